"""Texts as a tokenizer's numbers, all of one padded length."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from influence_core.adapters.labelled_rows import LabelledRows
from influence_core.errors import ProjectError

LONGEST = 100_000  # a tokenizer without a limit of its own says 10^30

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Texts:
    """The texts of one split, in one column or in two that make a pair.

    Attributes:
        rows: The split.
        names: The columns.
    """

    rows: LabelledRows
    names: tuple[str, ...]

    @cached_property
    def columns(self) -> list[list[str]]:
        """The texts of each column.

        Raises:
            ProjectError: If a cell holds no text; the row is named.
        """
        found = [self.rows.column(name) for name in self.names]
        for name, cells in zip(self.names, found, strict=True):
            for row, cell in enumerate(cells):
                if not isinstance(cell, str):
                    kind = "nothing" if cell is None else f"a {type(cell).__name__}"
                    msg = f"Row {row} of the {self.rows.split} data has {kind} in '{name}'; a text is needed."
                    raise ProjectError(msg)
        return found

    @property
    def shown(self) -> list[str]:
        """What a person reads of each row."""
        if len(self.names) == 1:
            return [text if text.strip() else "[This text is empty.]" for text in self.columns[0]]
        pairs = zip(*self.columns, strict=True)
        return ["\n\n".join(f"{n}: {text}" for n, text in zip(self.names, pair, strict=True)) for pair in pairs]

    @property
    def empty(self) -> list[int]:
        """Rows without a visible letter."""
        return [row for row, texts in enumerate(zip(*self.columns, strict=True)) if not "".join(texts).strip()]


@dataclass(frozen=True)
class Tokeniser:
    """The user's tokenizer, of which a copy works.

    Attributes:
        processor: The copy.
        longest: Tokens a text may have.
        asked: Whether the user said so.
    """

    processor: Any
    longest: int
    asked: bool

    @classmethod
    def of(cls, processor: Any, model_limit: int | None, max_length: int | None) -> Tokeniser:
        """Choose the length at which texts are cut.

        Raises:
            ProjectError: If the tokenizer cannot pad, or the length is more than the model can read.
        """
        if processor.pad_token is None:
            msg = (
                "The tokenizer has no pad token, and texts of different lengths share a batch; set "
                "tokenizer.pad_token (often to tokenizer.eos_token) and model.config.pad_token_id as in training."
            )
            raise ProjectError(msg)
        limit = min(processor.model_max_length, model_limit or LONGEST, LONGEST)
        if max_length is not None and not 1 <= max_length <= limit:
            msg = f"max_length is {max_length}; the model reads 1 to {limit} tokens."
            raise ProjectError(msg)
        own = copy.deepcopy(processor)  # a call changes the padding and truncation that it remembers
        own.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True  # all lengths are known only after a pass
        return cls(own, max_length or limit, max_length is not None)

    def encode(self, splits: Sequence[Texts]) -> list[dict[str, Tensor]]:
        """What the model is given for each row of the splits, every tensor of shape ``(n, length)``.

        Raises:
            ProjectError: If a text has no token at all; the row is named.
        """
        found = [self._tokens(texts) for texts in splits]
        length = max(len(ids) for tokens in found for ids in tokens["input_ids"])
        padded = [
            self.processor.pad(tokens, padding="max_length", max_length=length, return_tensors="pt") for tokens in found
        ]
        return [dict(tokens) for tokens in padded]

    def cut(self, texts: Texts, encoded: dict[str, Tensor]) -> int:
        """How many of the texts are longer than the model is given."""
        full = (encoded["attention_mask"].sum(dim=1) >= self.longest).nonzero()[:, 0].tolist()
        whole = [[column[row] for row in full] for column in texts.columns]
        if not full:
            return 0
        return sum(len(ids) > self.longest for ids in self.processor(*whole, verbose=False)["input_ids"])

    def _tokens(self, texts: Texts) -> dict[str, Any]:
        tokens = self.processor(*texts.columns, truncation=True, max_length=self.longest, return_attention_mask=True)
        for row, ids in enumerate(tokens["input_ids"]):
            if not ids:
                msg = f"The text of row {row} of the {texts.rows.split} data is empty; drop the row or fill it in."
                raise ProjectError(msg)
        return dict(tokens)


def told(texts: Texts, n_cut: int, tokeniser: Tokeniser) -> str:
    """One sentence on texts that are cut or empty, for the log and the description; empty if none is."""
    split, n = texts.rows.split, len(texts.rows)
    parts = []
    if n_cut:
        longest = tokeniser.longest
        parts.append(f"{n_cut:,} of the {n:,} {split} texts are longer than {longest} tokens and are cut there")
    if texts.empty:
        first = texts.empty[0]
        parts.append(f"{len(texts.empty):,} of the {n:,} {split} texts are empty, the first of them in row {first}")
    said = f"{'; '.join(parts)}." if parts else ""
    if said:
        _log.log(logging.INFO if tokeniser.asked else logging.WARNING, said)
    return said
