"""Solve through the eigenvectors: slower to make, then any damping is free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from influence_core.solvers.base import check_damping, refuse
from influence_core.solvers.damping import SpectralFilter


@dataclass(frozen=True)
class EigenFactor:
    """``V diag(values) V^T`` with its damping.

    Attributes:
        values: Undamped eigenvalues in ascending order, shape ``(p,)``; absolute ones where |H| was asked for.
        vectors: Shape ``(p, p)``.
        damping: The damping that is added.
        null: Number of leading eigenvalues that are zero up to rounding and left out: the solve is on their complement.
        filter: What is done to the eigenvalues in place of damping and inverting them; None if nothing is.
    """

    values: Tensor
    vectors: Tensor
    damping: float
    null: int = 0
    filter: SpectralFilter | None = None

    @property
    def lowest_eigenvalue(self) -> float:
        """Of the undamped curvature on the space that is solved."""
        return float(self.values[self.null])

    def solve(self, columns: Tensor) -> Tensor:
        """Apply the inverse to each column."""
        return self._vectors @ ((self._vectors.mT @ columns) * self._inverse[:, None])

    def whiten(self, columns: Tensor) -> Tensor:
        """``(values + damping)^-1/2 V^T`` times each column."""
        return (self._vectors.mT @ columns) * self._inverse.sqrt()[:, None]

    def project(self, columns: Tensor) -> Tensor:
        """The part of each column on the space that is solved."""
        return self._vectors @ (self._vectors.mT @ columns) if self.null else columns

    def multiply(self, columns: Tensor) -> Tensor:
        """``(curvature + damping I)``, or what stands in for it under a filter, times each column."""
        return self._vectors @ ((self._vectors.mT @ columns) / self._inverse[:, None])

    def inverts(self, matrix: Tensor) -> bool:
        """Whether this is the decomposition of ``matrix``, tried on one vector."""
        if matrix.shape != self.vectors.shape:
            return False
        probe = torch.linspace(-1, 1, len(matrix), dtype=matrix.dtype)[:, None]
        product = matrix @ probe
        mine = self.vectors @ (self.values[:, None] * (self.vectors.mT @ probe))
        return bool((mine - product).norm() <= 1e-9 * product.norm())

    def with_damping(self, damping: float) -> EigenFactor:
        """The same factor under another damping, and no filter.

        Raises:
            CurvatureError: If that damping leaves the curvature indefinite or singular.
        """
        if self.lowest_eigenvalue + check_damping(damping) <= _noise(self.values):
            raise refuse(self.lowest_eigenvalue, damping)
        return replace(self, damping=damping, filter=None)

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        stored = {"values": self.values, "vectors": self.vectors, "null": torch.tensor(self.null)}
        return stored if self.filter is None else stored | self.filter.tensors()

    @property
    def _vectors(self) -> Tensor:
        return self.vectors[:, self.null :]

    @property
    def _inverse(self) -> Tensor:
        """What each eigenvalue becomes, without the null space."""
        values = self.values[self.null :]
        return 1 / (values + self.damping) if self.filter is None else self.filter.apply(values)


@dataclass(frozen=True)
class Eigen:
    """Decompose once (about 14 s at 5,000 parameters), then any damping is free.

    Attributes:
        damping: Added to each eigenvalue, as written.
        absolute: Use ``|H|``, which turns every direction of negative curvature round.
        filter: In place of damping and inverting the eigenvalues; serves an indefinite curvature too.
    """

    damping: float = 0.0
    absolute: bool = False
    filter: SpectralFilter | None = None

    def factorise(self, matrix: Tensor, gradients: Tensor | None = None) -> EigenFactor:
        """Decompose ``matrix``, shape ``(p, p)``.

        Args:
            matrix: The undamped curvature.
            gradients: Columns that will be solved, shape ``(p, m)``. If given, eigenvalues that are zero up to
                rounding are left out, provided that no gradient has a part along them: no training loss depends
                on such a direction (unpenalised intercepts), so no score does.

        Raises:
            CurvatureError: If the damping leaves the curvature indefinite or singular.
        """
        values, vectors = torch.linalg.eigh(matrix)
        if self.absolute:
            order = values.abs().argsort()
            values, vectors = values.abs()[order], vectors[:, order]
        if self.filter is not None:
            return EigenFactor(values, vectors, 0.0, filter=self.filter)
        null = _null(values, vectors, gradients) if gradients is not None else 0
        return EigenFactor(values, vectors, 0.0, null).with_damping(self.damping)


def _noise(values: Tensor) -> float:
    return float(values.abs().max()) * len(values) * 1e-15


def _null(values: Tensor, vectors: Tensor, gradients: Tensor) -> int:
    """Leading eigenvalues that are zero and that no gradient reaches."""
    flat = int((values.abs() <= 100 * _noise(values)).sum())
    if not flat or float(values[0]) < -100 * _noise(values):
        return 0
    reached = (vectors[:, :flat].mT @ gradients).norm() / gradients.norm().clamp_min(1e-300)
    return flat if float(reached) < 1e-8 else 0  # noqa: PLR2004  (square root of float64's rounding)
