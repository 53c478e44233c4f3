"""Which attribution: the menu of the product, one file a method."""

from influence_core.methods.auto import auto
from influence_core.methods.base import Attributor, Fit, Method
from influence_core.methods.conjugate_gradients import ConjugateGradients
from influence_core.methods.exact import Exact
from influence_core.methods.lissa import Lissa
from influence_core.methods.newton import Newton

METHODS: dict[str, type[Method]] = {kind.name: kind for kind in (Exact, Newton, Lissa, ConjugateGradients)}

__all__ = ["METHODS", "Attributor", "ConjugateGradients", "Exact", "Fit", "Lissa", "Method", "Newton", "auto"]
