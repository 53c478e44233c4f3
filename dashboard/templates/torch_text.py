"""A project of texts and a PyTorch model: which training texts made a prediction?

It runs as it stands, on sentences that describe data sets and come with scikit-learn. Put your data and your model into
sections 1 and 2; `influence check` on this file then says what does not fit yet.
"""

import copy
import re
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from influence_core import ClassificationTask, Project, TextView

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace the sentences by your texts and `label` by their class numbers, from 0. The task here: which data set does a
# sentence describe?

class_names = ("breast_cancer", "lfw", "rcv1", "twenty_newsgroups")
texts: list[str] = []
labels: list[int] = []
for label, name in enumerate(class_names):
    described = (resources.files("sklearn.datasets") / "descr" / f"{name}.rst").read_text(encoding="utf-8")
    sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.:;])\s+|\n\s*\n", described)]
    found = [sentence for sentence in sentences if len(sentence) > 30]
    texts += found
    labels += [label] * len(found)
is_test = [i % 4 == 0 for i in range(len(texts))]
train_texts = [text for text, held_out in zip(texts, is_test, strict=True) if not held_out]
test_texts = [text for text, held_out in zip(texts, is_test, strict=True) if held_out]

# The model gets numbers: replace `encoded` by your own tokenizer. All rows have one length, filled up with 0.

LENGTH = 60


def words_of(text: str) -> list[str]:
    """The words of a text."""
    return re.findall(r"[a-z]{2,}", text.lower())[:LENGTH]


vocabulary = sorted({word for text in train_texts for word in words_of(text)})
number_of = {word: number for number, word in enumerate(vocabulary, start=2)}  # 0 fills up, 1 is any other word


def encoded(text: str) -> Tensor:
    """Word numbers, filled up with 0."""
    numbers = [number_of.get(word, 1) for word in words_of(text)]
    return torch.tensor(numbers + [0] * (LENGTH - len(numbers)))


rows = [(encoded(text), label) for text, label in zip(texts, labels, strict=True)]
train = [row for row, held_out in zip(rows, is_test, strict=True) if not held_out]
test = [row for row, held_out in zip(rows, is_test, strict=True) if held_out]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace `Network` by your class and WEIGHTS by the file of its trained weights. The task is the loss that it was
# trained with: cross-entropy, and weight_decay as you gave it to torch.optim (0 if you gave none).

WEIGHTS = Path(__file__).with_suffix(".pt")
task = ClassificationTask(n_classes=len(class_names), weight_decay=1e-3)


class Network(nn.Module):
    """The mean of the words' vectors and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(vocabulary) + 2, 16, padding_idx=0)
        self.head = nn.Linear(16, len(class_names))

    def forward(self, numbers: Tensor) -> Tensor:
        """Logits of a batch of texts; one without words is the zero vector."""
        known = (numbers > 0).sum(dim=1, keepdim=True).clamp_min(1)
        logits: Tensor = self.head(self.words(numbers).sum(dim=1) / known)
        return logits


def minimise(model: nn.Module, parameters: list[nn.Parameter], weights: Tensor, steps: int) -> nn.Module:
    """Train some parameters on all rows at once: weighted mean loss plus penalty, as the scores take it to be."""
    batch = default_collate(train)
    optimiser = torch.optim.LBFGS(parameters, max_iter=steps, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def objective() -> float:
        optimiser.zero_grad()
        loss = (weights * task.losses(model(batch[0]), batch)).mean() + task.penalty(dict(model.named_parameters()))
        loss.backward()
        return loss.item()

    optimiser.step(objective)
    return model.eval()


def fit(_: object, weights: Tensor, __: int) -> nn.Module:
    """For "Check by refitting": the last layer once more, with other weights of the training rows (0 = left out)."""
    model = copy.deepcopy(network)
    return minimise(model, list(model.head.parameters()), weights.float(), 500)


network = Network()
if not WEIGHTS.exists():  # delete this block once WEIGHTS is your own file
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same weights on every machine, however many cores it has
    torch.manual_seed(0)
    network = Network()
    minimise(network, list(network.parameters()), torch.ones(len(train)), 40)
    minimise(network, list(network.head.parameters()), torch.ones(len(train)), 500)  # to its optimum
    torch.save(network.state_dict(), WEIGHTS)
    torch.set_num_threads(threads)
network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
network.eval()

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = Project(
    name="my-texts",
    title="Which data set?",
    description="Sentences of scikit-learn's descriptions of data sets; the model tells which data set they describe.",
    model=network,
    task=task,
    train=train,
    test=test,
    class_names=class_names,
    view=TextView(train_texts, test_texts),
    attributed=("head.*",),  # the last layer: exact within seconds; leave it out to attribute every layer
    fit=fit,
)
