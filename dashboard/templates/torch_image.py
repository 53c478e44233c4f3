"""A project of images and a PyTorch model: which training images made a prediction?

It runs as it stands, on handwritten digits that scikit-learn ships. Put your data and your model into sections 1 and 2;
`influence check` on this file then says what does not fit yet.
"""

import copy
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import default_collate

from influence_core import ClassificationTask, Project

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace the digits. `train` and `test` are anything with a length and items (image, label): lists, as here, or a
# torch Dataset. Images are float tensors of one shape (channels, height, width), labels are numbers from 0. The rows of
# `train` are those that the model was trained on, in any order, without random augmentation: a row that is read twice
# has to be the same.

digits = load_digits()
images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
rows = list(zip(images, digits.target.tolist(), strict=True))
train, test = rows[:1000], rows[1000:1300]
class_names = tuple(str(digit) for digit in range(10))
train_keys = [f"digit {i}" for i in range(1000)]  # your own ids, such as file names: they name an image on screen
test_keys = [f"digit {i}" for i in range(1000, 1300)]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace `Network` by your class and WEIGHTS by the file of its trained weights. The task is the loss that it was
# trained with: cross-entropy, and weight_decay as you gave it to torch.optim (0 if you gave none).

WEIGHTS = Path(__file__).with_suffix(".pt")
task = ClassificationTask(n_classes=10, weight_decay=5e-3)


class Network(nn.Module):
    """A small convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(72, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        logits: Tensor = self.head(self.features(image))
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
    minimise(network, list(network.parameters()), torch.ones(len(train)), 60)
    minimise(network, list(network.head.parameters()), torch.ones(len(train)), 500)  # to its optimum
    torch.save(network.state_dict(), WEIGHTS)
    torch.set_num_threads(threads)
network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
network.eval()

# --- 3. The project ---------------------------------------------------------------------------------------------------
# The images are shown as they are in `train` and `test`; if yours are normalised, or no pictures at all, say what to
# show with view=ImageView(train_pictures, test_pictures), PIL images or arrays.

project = Project(
    name="my-images",
    title="Handwritten digits",
    description="A small convolutional network that reads digits of 8 by 8 pixels.",
    model=network,
    task=task,
    train=train,
    test=test,
    class_names=class_names,
    train_keys=train_keys,
    test_keys=test_keys,
    attributed=("head.*",),  # the last layer: exact within seconds; leave it out to attribute every layer
    fit=fit,
)
