"""Products of many rows with a few columns, by cache-sized blocks on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import repeat
from typing import TypeVar

import torch
from torch import Tensor

CONVERTED = 2048  # bfloat16 rows made float32 at once: 2 MB at 256 columns, the fastest measured

T = TypeVar("T")
R = TypeVar("R")


def product(rows: Tensor, columns: Tensor) -> Tensor:
    """``rows @ columns``, shape ``(n, K)`` and ``(K, m)`` to ``(n, m)``; in float32 if the rows are rounded to 16 bits.

    torch's own product of bfloat16 rows rounds the result, and so the scores, to three digits.
    """
    if rows.element_size() > 2:  # noqa: PLR2004  (bytes of a bfloat16)
        return rows @ columns.to(rows)
    columns = columns.to(rows.device, torch.float32)
    result = columns.new_empty(len(rows), columns.shape[1])
    for start in range(0, len(rows), CONVERTED):
        torch.mm(rows[start : start + CONVERTED].float(), columns, out=result[start : start + CONVERTED])
    return result


def rough_product(rows: Tensor, columns: Tensor) -> Tensor:
    """``rows @ columns`` in float32, of rows that are rounded to 16 bits to three digits only: half the time.

    The processor's own product of such rows. A column is the sum of two of 16 bits, so that only the result is rounded.
    """
    if rows.element_size() > 2:  # noqa: PLR2004  (bytes of a bfloat16)
        return rows @ columns.to(rows.dtype)
    high = columns.to(rows.dtype)
    both = torch.cat([high, (columns - high.to(columns.dtype)).to(rows.dtype)], dim=1)
    products = (both.mT.contiguous() @ rows.mT).float().mT
    return products[:, : columns.shape[1]] + products[:, columns.shape[1] :]


def share_out(work: Callable[[Iterable[T]], R], items: Iterable[T]) -> list[R]:
    """Run ``work`` on each core; the cores take the items from one queue.

    One thread a core with plain blocks is faster than torch's own threads, which meet after every block. The result of
    a block does not depend on who computes it.
    """
    cores = torch.get_num_threads()
    queue = iter(list(items))  # the iterator of a list hands out each item once, whichever thread asks
    return list(_pool(cores).map(work, repeat(queue, cores)))


@cache
def _pool(cores: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores, "rows", torch.set_num_threads, (1,))  # of the pool's own threads only
