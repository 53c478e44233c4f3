"""The precisions that a method can compute in."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "float64", "bfloat16"]
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


def dtype_of(precision: Precision) -> torch.dtype:
    """The torch type of a precision."""
    return _DTYPES[precision]
