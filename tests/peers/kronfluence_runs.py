"""kronfluence on a project of ours: the same loss, measurement, Fisher and absolute damping, in float64 or float32."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from influence_core.project import Project, batches


class CrossEntropy(Task):
    """Summed cross-entropy, of the true labels or of labels that the model draws."""

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
        outputs = model(batch[0])
        labels = torch.multinomial(outputs.detach().softmax(dim=1), 1)[:, 0] if sample else batch[1]
        return F.cross_entropy(outputs, labels, reduction="sum")

    def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")


class Rival:
    """Their analysis of one project's model.

    Args:
        project: Ours; its regulariser is left out, as they know none.
        folder: Where they keep their files.
        dtype: Of everything.
        damping: Added to every eigenvalue.
        batch: Rows at once.
    """

    def __init__(self, project: Project, folder: Path, dtype: torch.dtype, damping: float, batch: int) -> None:
        self.batch, self.dtype = batch, dtype
        self.train, self.test = (self._rows(rows) for rows in (project.train, project.test))
        task = CrossEntropy()
        model = prepare_model(copy.deepcopy(project.model).to(dtype), task)
        self.analyzer = Analyzer("rival", model, task, cpu=True, disable_tqdm=True, output_dir=str(folder))
        types = dict.fromkeys(("per_sample_gradient_dtype", "precondition_dtype", "score_dtype"), dtype)
        self.scoring = ScoreArguments(damping_factor=damping, **types)

    def fit(self, name: str = "ekfac", *, empirical: bool = True) -> None:
        """Fit the factors of EK-FAC."""
        arguments = FactorArguments(strategy="ekfac", use_empirical_fisher=empirical)
        for field in ("activation_covariance", "gradient_covariance", "per_sample_gradient", "lambda"):
            setattr(arguments, f"{field}_dtype", self.dtype)
        fit = self.analyzer.fit_all_factors
        self._quietly(fit, name, self.train, self.batch, factor_args=arguments, overwrite_output_dir=True)

    def scores(self, count: int, name: str = "ekfac") -> Tensor:
        """Scores of the first test rows: sums over nothing, so ``n`` times ours."""
        self._quietly(
            self.analyzer.compute_pairwise_scores,
            "pairs",
            name,
            self.test,
            self.train,
            count,
            per_device_train_batch_size=self.batch,
            query_indices=list(range(count)),
            score_args=self.scoring,
            overwrite_output_dir=True,
        )
        return next(iter(self.analyzer.load_pairwise_scores("pairs").values()))

    def self_influence(self, name: str = "ekfac") -> Tensor:
        """``n`` times our self-influence."""
        self._quietly(
            self.analyzer.compute_self_scores,
            "self",
            name,
            self.train,
            self.batch,
            score_args=self.scoring,
            overwrite_output_dir=True,
        )
        return next(iter(self.analyzer.load_self_scores("self").values()))

    def _rows(self, rows: Any) -> TensorDataset:
        _, batch = next(batches(rows, len(rows)))
        inputs, labels = batch[:2]
        return TensorDataset(inputs.to(self.dtype), labels)

    @staticmethod
    def _quietly(call: Any, *args: Any, **given: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(*args, **given)
