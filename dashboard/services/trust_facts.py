"""What the numbers of the trust strip mean, one line each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from influence_core.store import Run

# what a fact looks like -> what it means
MEANINGS: tuple[tuple[str, str], ...] = (
    (r"^method ", "**Method:** how the scores were computed; a run is one method with its settings."),
    (
        r"^damping |mean eigenvalue|^spectral filter|^filter",
        "**Damping:** a number, 0 or more, that is added to the curvature before it is inverted. More of it makes "
        "solves easier and scores smaller.",
    ),
    (
        r"^residual ",
        "**Residual:** how far the solve is from exact, relative and on all training data: 0 is exact, 1 no answer.",
    ),
    (r"^no residual", "**No residual:** nothing was solved for this prediction yet, so that its error is not known."),
    (r" curvature\b", "**Curvature:** what is inverted: how the training objective bends around the parameters."),
    (
        r"^Pearson ",
        "**Pearson:** correlation of predicted changes with those of real refits, −1 to 1; 1 is the best.",
    ),
    (
        r"^slope ",
        "**Slope:** of real changes on predicted ones: 1 is right in size, above 1 means predicted too small, below "
        "0 in the wrong direction.",
    ),
    (r"covered$", "**Covered:** share of the model's parameters whose part in the scores is counted."),
    (
        r"directions kept|numbers an example",
        "**Kept:** the directions, or numbers an example, in which the curvature is inverted; the rest is left out.",
    ),
    (
        r"outside$",
        "**Outside:** share of this prediction's gradient (of its squared length) that is left out; 0 is the best.",
    ),
)
FACTORED = {"ekfac": "EK-FAC", "kfac": "K-FAC", "diagonal": "diagonal"}


def meanings(facts: Sequence[str]) -> str:
    """What each kind of number among these facts means, as a Markdown list."""
    lines = [meaning for pattern, meaning in MEANINGS if any(re.search(pattern, fact) for fact in facts)]
    return "\n".join(f"- {line}" for line in lines)


def curvature(run: Run) -> str:
    """Which curvature was inverted, in words."""
    given = run.hyperparameters
    if "factors" in given:
        return f"{FACTORED.get(str(given['factors']), given['factors'])} curvature ({given['fisher']} Fisher)"
    if "projection" in given:
        return f"{run.curvature} curvature of projected gradients ({given['fisher']} Fisher)"
    return f"{run.curvature} curvature"
