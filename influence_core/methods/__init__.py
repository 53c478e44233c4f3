"""Which attribution: the menu of the product, one file a method."""

from influence_core.methods.arnoldi import Arnoldi
from influence_core.methods.auto import auto
from influence_core.methods.base import Attributor, Fit, Method
from influence_core.methods.baseline import Baseline
from influence_core.methods.combining import combined
from influence_core.methods.conjugate_gradients import ConjugateGradients
from influence_core.methods.ekfac import Ekfac
from influence_core.methods.exact import Exact
from influence_core.methods.grad_cosine import GradCosine
from influence_core.methods.grad_dot import GradDot
from influence_core.methods.lissa import Lissa
from influence_core.methods.logra import Logra
from influence_core.methods.newton import Newton
from influence_core.methods.random_order import RandomOrder
from influence_core.methods.similarity import Similarity
from influence_core.methods.tracin import TracIn
from influence_core.methods.training_loss import TrainingLoss

BASELINES: dict[str, type[Baseline]] = {
    kind.name: kind for kind in (GradDot, GradCosine, TracIn, Similarity, TrainingLoss, RandomOrder)
}
_KINDS: tuple[type[Method], ...] = (
    Exact,
    Newton,
    ConjugateGradients,
    Lissa,
    Ekfac,
    Arnoldi,
    Logra,
    *BASELINES.values(),
)
METHODS: dict[str, type[Method]] = {kind.name: kind for kind in _KINDS}

__all__ = [
    "BASELINES",
    "METHODS",
    "Arnoldi",
    "Attributor",
    "Baseline",
    "ConjugateGradients",
    "Ekfac",
    "Exact",
    "Fit",
    "GradCosine",
    "GradDot",
    "Lissa",
    "Logra",
    "Method",
    "Newton",
    "RandomOrder",
    "Similarity",
    "TracIn",
    "TrainingLoss",
    "auto",
    "combined",
]
