"""A project of texts and a model of Hugging Face's transformers: which training texts made a prediction?

It runs as it stands, offline, on sentences that come with scikit-learn and a tiny BERT that it trains in seconds. Put
your data and your model into sections 1 and 2; `influence check` on this file then says what does not fit yet.
"""

import re
from importlib import resources
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from influence_core import from_huggingface

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace `rows` by yours: dicts of a text, a label (class name or number) and, if you have one, an `id` that names it
# on screen; or data sets from disk: datasets.load_from_disk(...). The task here: which data set is described?

class_names = ("breast_cancer", "lfw", "rcv1", "twenty_newsgroups")
rows = []
for name in class_names:
    described = (resources.files("sklearn.datasets") / "descr" / f"{name}.rst").read_text(encoding="utf-8")
    sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.:;])\s+|\n\s*\n", described)]
    found = [sentence for sentence in sentences if len(sentence) > 30]
    rows += [{"text": text, "label": name, "id": f"{name} {i}"} for i, text in enumerate(found)]
train = [row for i, row in enumerate(rows) if i % 4]
test = [row for i, row in enumerate(rows) if not i % 4]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace FOLDER by the folder that your save_pretrained() wrote, model and tokenizer, and WEIGHT_DECAY by that of its
# training (0 if there was none). For a model tuned with PEFT see PeftModel.from_pretrained(..., is_trainable=True).

FOLDER = Path(__file__).with_suffix(".model")
WEIGHT_DECAY = 1e-3
MAX_LENGTH = 64  # tokens at which a text is cut, as in training


def make_tiny_bert() -> None:
    """A vocabulary and a BERT of one layer, trained on `train`; its last layer to the optimum, as scores assume."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]"]
    words.train_from_iterator([row["text"] for row in train], trainers.WordLevelTrainer(special_tokens=special))
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")

    torch.manual_seed(0)
    ids = {name: i for i, name in enumerate(class_names)}
    shape = {
        "hidden_size": 32,
        "initializer_range": 0.1,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    names = {"label2id": ids, "id2label": dict(enumerate(class_names))}
    config = BertConfig(vocab_size=len(words.get_vocab()), max_position_embeddings=MAX_LENGTH, **shape, **names)
    bert = BertForSequenceClassification(config).eval()  # without dropout, so that the loss below is the whole truth
    cut = {"padding": True, "truncation": True, "max_length": MAX_LENGTH, "return_tensors": "pt"}
    batch = tokenizer([row["text"] for row in train], **cut)
    labels = torch.tensor([ids[row["label"]] for row in train])

    def objective() -> torch.Tensor:
        decay = sum(p.square().sum() for p in bert.parameters()) * WEIGHT_DECAY / 2
        loss: torch.Tensor = bert(**batch, labels=labels).loss + decay
        bert.zero_grad()
        loss.backward()
        return loss

    whole = torch.optim.Adam(bert.parameters(), lr=3e-3)
    for _ in range(30):
        whole.step(objective)
    torch.optim.LBFGS(bert.classifier.parameters(), max_iter=300, line_search_fn="strong_wolfe").step(objective)
    tokenizer.save_pretrained(FOLDER)
    bert.save_pretrained(FOLDER)


if not FOLDER.exists():  # delete this block, and make_tiny_bert(), once FOLDER holds your model
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same weights on every machine, however many cores it has
    make_tiny_bert()
    torch.set_num_threads(threads)
tokenizer = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
model = AutoModelForSequenceClassification.from_pretrained(FOLDER, local_files_only=True)

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = from_huggingface(
    model,
    tokenizer,
    train,
    test,
    name="my-texts",
    columns=("text", "label"),
    max_length=MAX_LENGTH,
    weight_decay=WEIGHT_DECAY,
    attributed=("classifier.*",),  # the last layer: exact within seconds; leave it out to attribute every layer
    title="Which data set?",
    description="Sentences of scikit-learn's descriptions of data sets; a tiny BERT tells which one they describe.",
)
