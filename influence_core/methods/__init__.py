"""Which attribution: the menu of the product, one file a method."""

from influence_core.methods.base import Attributor, Method
from influence_core.methods.exact import Exact

METHODS: dict[str, type[Exact]] = {Exact.name: Exact}

__all__ = ["METHODS", "Attributor", "Exact", "Method"]
