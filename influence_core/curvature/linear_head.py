"""Closed-form curvature of a linear head on fixed inputs: softmax and least squares.

With logits ``z_i = W x_i`` every gradient is a Kronecker product ``d_i (x) x_i`` and the Hessian of the data term is
``(1/n) sum_i S_i (x) x_i x_i^T`` with ``S_i`` the second derivative of the loss by the logits: for softmax
``diag(p) - p p^T`` (block ``(a, b)`` is ``(1/n) X^T diag(p_a ([a=b] - p_b)) X``), for squared error 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WEIGHTED = 2**23  # numbers of the weighted copies of the inputs that are made at a time: 64 MB


def contrasts(n_classes: int) -> Tensor:
    """Orthonormal basis of the class contrasts, shape ``(n_classes, n_classes - 1)``.

    Adding one vector to the logits of every class changes no softmax loss. The columns span everything else
    (Helmert contrasts), so that a head is solved on the complement of its class-shift null space.
    """
    rows = torch.arange(1, n_classes, dtype=torch.float64, device="cpu")
    basis = torch.triu(torch.ones(n_classes, n_classes - 1, dtype=torch.float64, device="cpu"))
    basis.diagonal(-1).copy_(-rows)
    lengths: Tensor = torch.linalg.vector_norm(basis, dim=0)
    return basis / lengths


@dataclass(frozen=True)
class LinearHead:
    """Hessian of ``(1/n) sum_i loss(B k_i) + R`` for coefficients ``(k, d)`` in the output basis ``B``.

    ``HeadProblem.curvature_at`` builds it.

    Attributes:
        inputs: Fixed inputs, shape ``(n, d)``, the intercept's column of ones included.
        output_curvature: Second derivative of each loss in the output basis, shape ``(n, k, k)``.
        ridge: Diagonal of the regulariser's Hessian for one output, shape ``(d,)``.
    """

    inputs: Tensor
    output_curvature: Tensor
    ridge: Tensor

    @property
    def size(self) -> int:
        """Number of coefficients, ``k d``."""
        return self.output_curvature.shape[1] * self.inputs.shape[1]

    def matrix(self) -> Tensor:
        """Dense curvature, shape ``(k d, k d)``, output-major as in ``weight.flatten()``."""
        n, d = self.inputs.shape
        k = self.output_curvature.shape[1]
        result = self.inputs.new_empty(k, d, k, d)
        for a in range(k):
            strip = (self._strip(a) / n).view(d, k - a, d)
            result[a, :, a:] = strip
            result[a:, :, a] = strip.permute(1, 2, 0)
            result[a, :, a].diagonal().add_(self.ridge)
        return result.view(k * d, k * d)

    def _strip(self, a: int) -> Tensor:
        """``X^T diag(S_ab) X`` for all ``b`` from ``a`` on, side by side, shape ``(d, (k - a) d)``."""
        n, d = self.inputs.shape
        width = (self.output_curvature.shape[1] - a) * d
        rows = max(1, WEIGHTED // width)
        total = self.inputs.new_zeros(d, width)
        for start in range(0, n, rows):
            inputs, weights = self.inputs[start : start + rows], self.output_curvature[start : start + rows, a, a:]
            total.addmm_(inputs.mT, (weights[:, :, None] * inputs[:, None, :]).flatten(1))
        return total

    def matvec(self, vectors: Tensor) -> Tensor:
        """Curvature times each column, shape ``(k d, m)``, without forming the matrix."""
        n, d = self.inputs.shape
        k = self.output_curvature.shape[1]
        weights = vectors.view(k, d, -1)
        moved = torch.einsum("nd,kdm->nkm", self.inputs, weights)
        curved = torch.einsum("nab,nbm->nam", self.output_curvature, moved)
        data = torch.einsum("nd,nkm->kdm", self.inputs, curved) / n
        return (data + self.ridge[:, None] * weights).reshape(vectors.shape)
