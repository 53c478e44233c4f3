"""A small convolutional classifier, trained the same way to the last bit on every run.

Influence assumes an optimum, so mini-batches are followed by L-BFGS on the whole training set, which goes down where
the objective is flat, and by plain gradient steps, which take away what its long steps left where it is steep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor, nn

MOMENTUM = 0.9
CHUNK = 500  # rows a piece of a step on the whole set; larger pieces leave the processor's cache


@dataclass(frozen=True)
class Recipe:
    """What decides the weights beside the data; its ``repr`` is hashed.

    Attributes:
        channels: Output channels of the two convolutions, 5 x 5 with stride 2.
        hidden: Units between the convolutions and the ten logits.
        weight_decay: ``R = weight_decay / 2 * ||theta||^2`` over all parameters. More of it does not bring the optimum
            nearer: where the loss is flat, the gradient that is left grows with it.
        epochs: Passes over the data in mini-batches.
        kept_epochs: After which of them, from 1, ``moments`` keeps the weights.
        batch_size: Rows a mini-batch.
        learning_rate: Peak of the one-cycle schedule of the mini-batches.
        quasi_newton_steps: At most that many evaluations of L-BFGS with a line search.
        gradient_steps: Steps on the whole training set at the end.
        gradient_rate: Their learning rate, below 2 by the largest curvature.
    """

    channels: tuple[int, int] = (8, 16)
    hidden: int = 32
    weight_decay: float = 5e-4
    epochs: int = 30
    kept_epochs: tuple[int, ...] = (3, 8, 15, 22, 28)
    batch_size: int = 64
    learning_rate: float = 0.1
    quasi_newton_steps: int = 90
    gradient_steps: int = 60
    gradient_rate: float = 0.1


def network(recipe: Recipe, side: int, seed: int) -> nn.Sequential:
    """An untrained network of float32 for pictures of ``(1, side, side)``, the same for the same seed.

    tanh: the same training leaves a smaller gradient of the objective than with ReLU or GELU, and misreads fewer test
    digits.
    """
    first, second = recipe.channels
    left = -(-side // 4)  # each stride halves and rounds up
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, dtype=torch.float32),
            nn.Tanh(),
            nn.Conv2d(first, second, 5, stride=2, padding=2, dtype=torch.float32),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(second * left * left, recipe.hidden, dtype=torch.float32),
            nn.Tanh(),
            nn.Linear(recipe.hidden, 10, dtype=torch.float32),
        )


@dataclass(frozen=True, eq=False)
class Training:
    """Minimises ``(1/n) sum_i weights_i loss_i + R`` with cross-entropy ``loss``.

    Attributes:
        recipe: How.
        inputs: Shape ``(n, 1, side, side)``, in the model's precision.
        labels: Classes, shape ``(n,)``.
        weights: One a row, shape ``(n,)``, in the model's precision; 1/n is kept whatever they are.
        seed: Of the order of the rows.
    """

    recipe: Recipe
    inputs: Tensor
    labels: Tensor
    weights: Tensor
    seed: int

    def run(self, model: nn.Module) -> None:
        """Train in place; what the result is to the last bit depends on the number of threads."""
        model.train()
        self._mini_batches(model)
        self._quasi_newton_steps(model)
        self._gradient_steps(model)
        model.requires_grad_(requires_grad=True).eval()
        model.zero_grad()

    def moments(self, model: nn.Module) -> list[dict[str, Tensor]]:
        """Train in place by mini-batches alone; the state dicts after the epochs that are to be kept."""
        found: list[dict[str, Tensor]] = []

        def keep(epoch: int) -> None:
            if epoch in self.recipe.kept_epochs:
                found.append({name: value.detach().clone() for name, value in model.state_dict().items()})

        self._mini_batches(model.train(), keep)
        return found

    def rates(self) -> list[float]:
        """How far one gradient takes the network in the end, after the same epochs: rate over ``1 - momentum``."""
        optimiser, schedule = self._optimiser([torch.zeros(1, requires_grad=True)])
        found: list[float] = []
        for epoch in range(1, self.recipe.epochs + 1):
            for _ in range(self._steps):
                optimiser.step()
                schedule.step()
            if epoch in self.recipe.kept_epochs:
                (now,) = optimiser.param_groups
                found.append(now["lr"] / (1 - now["momentum"]))
        return found

    @property
    def _steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.labels) // self.recipe.batch_size)

    def _optimiser(self, parameters: Iterable[Tensor]) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.OneCycleLR]:
        """With its schedule; this weight decay adds weight_decay * theta, the gradient of R, to every step."""
        recipe = self.recipe
        rate, decay = recipe.learning_rate, recipe.weight_decay
        optimiser = torch.optim.SGD(parameters, rate, momentum=MOMENTUM, weight_decay=decay)
        total = recipe.epochs * self._steps
        return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=total)

    def _mini_batches(self, model: nn.Module, after: Callable[[int], None] = lambda epoch: None) -> None:
        """``after`` is told the number of each epoch that ends, from 1."""
        optimiser, schedule = self._optimiser(model.parameters())
        generator = torch.Generator().manual_seed(self.seed)
        for epoch in range(1, self.recipe.epochs + 1):
            for rows in torch.split(torch.randperm(len(self.labels), generator=generator), self.recipe.batch_size):
                optimiser.zero_grad()
                (self._loss(model, rows) / len(rows)).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            after(epoch)

    def _quasi_newton_steps(self, model: nn.Module) -> None:
        optimiser = torch.optim.LBFGS(
            model.parameters(),
            max_iter=self.recipe.quasi_newton_steps,
            max_eval=self.recipe.quasi_newton_steps,
            history_size=30,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )
        optimiser.step(lambda: self._objective(model))  # type: ignore[no-untyped-call]

    def _gradient_steps(self, model: nn.Module) -> None:
        optimiser = torch.optim.SGD(model.parameters(), lr=self.recipe.gradient_rate, momentum=MOMENTUM)
        for _ in range(self.recipe.gradient_steps):
            self._objective(model)
            optimiser.step()

    def _objective(self, model: nn.Module) -> float:
        """The objective's value; its gradient is left in the parameters."""
        model.zero_grad()
        squares = torch.stack([p.square().sum() for p in model.parameters()]).sum()
        parts = [0.5 * self.recipe.weight_decay * squares]
        parts[0].backward()  # type: ignore[no-untyped-call]
        for rows in torch.split(torch.arange(len(self.labels)), CHUNK):
            parts.append(self._loss(model, rows) / len(self.labels))
            parts[-1].backward()  # type: ignore[no-untyped-call]
        return sum(part.item() for part in parts)

    def _loss(self, model: nn.Module, rows: Tensor) -> Tensor:
        """Weighted sum over the rows."""
        return self.weights[rows] @ F.cross_entropy(model(self.inputs[rows]), self.labels[rows], reduction="none")
