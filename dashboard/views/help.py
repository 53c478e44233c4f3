"""Help: what the score is, the sign, the keys, the limits and the words."""

from __future__ import annotations

import streamlit as st

from dashboard import state
from dashboard.components import style


def page() -> None:
    """The page."""
    style.draw()
    state.reconcile()
    st.title("Help", anchor=False)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(SCORE)
        st.markdown(TRUST)
        st.markdown(LIMITS)
    with right:
        st.markdown(KEYS)
        st.markdown(GLOSSARY)


SCORE = """
## What the score is
The score of a training example for a prediction is the **predicted change of that prediction's loss if the training
example were removed and the model fitted again**, with the rest of the training objective left as it is.

- **▲ Helpful (positive):** without the example the loss would rise.
- **▼ Harmful (negative):** without the example the loss would fall.

The unit is *nats* for losses, *logits* for logits and margins, and the label's own unit in a regression. If another
target is explained, such as the logit of a class, the words are *supports* and *opposes* (in a regression *raises* and
*lowers*), because nothing is helped or harmed by it.

A score is shown with its rank, its share of all influence of its side, and its place in the distribution. Sizes of
single scores are small by nature: each example is one of many.
"""

TRUST = """
## How far to trust it
The strip above the cards says it in one of four words:

- **✔ checked:** scores were compared with fitting the model again, and agree.
- **? doubtful:** they agree in part; read the numbers beside it.
- **✖ do not rely:** they do not agree, or the solver got nowhere. In that case no ranking is shown.
- **○ not checked:** nobody compared them with a refit yet.

*Check by refitting* makes the comparison for the prediction on screen: tick up to 20 examples, and see the predicted
change beside the one that really happened.
"""

LIMITS = """
## What it is not good for
- Scores are a **first-order** estimate. For an example with great weight of its own the true change is often larger.
- Scores **add up** only for a few removed examples that do not stand in for each other.
- They assume a model **at the optimum** of its objective; a large gradient norm is noted in the strip.
- They say what *this* fit took from the data, not what is true in the world. A harmful example is not always wrong: it
  may be rare, and right.
"""

KEYS = """
## Keys
| key | does |
|---|---|
| **N** | next prediction of the list |
| **P** | previous prediction of the list |
| **↑ ↓** | walk through the list once a cell of it is selected |
| **S** | solve or refine the prediction on screen, if that was stopped or failed |
| **Q** | cancel the solve or the build under way |
| **B** | build the run whose form is open |
| **F** | fit again without the ticked examples |
| **X** | untick all examples |
| **Space** | tick the card whose box is focused |
| **Enter** | open the focused card, press the focused button |
| **Esc** | close the open training example |
| **Tab** | go to the next control |

The browser's Back and Forward go through the predictions you looked at. *Copy link* copies the address of exactly what
is on screen.
"""

GLOSSARY = """
## Words
- **Influence, score:** see *What the score is*.
- **Target:** which number of the prediction is explained: its loss, a logit, a margin or a value.
- **Margin:** the log-odds of a class against all others.
- **Self-influence:** how much an example moves its own loss. High values are unusual examples, and often mislabels.
- **Curvature:** how the training objective bends around the fitted parameters. It is inverted to get the scores.
- **Hessian, Gauss-Newton:** two kinds of curvature. Gauss-Newton leaves out the part that can be negative; where the
  model fits its data the two are close.
- **Exact, LiSSA, conjugate gradients:** ways to invert it. Exact does it once, for small models. The other two solve
  one prediction at a time, LiSSA on small samples of the data and conjugate gradients on all of it, until the residual
  is small enough.
- **First order, Newton:** scores are first order: they follow the slope at the fitted parameters and are too small for
  influential examples. The method newton takes an example out with its own curvature and is right in size. Where both
  are at hand, an example's closer look says how far its first-order scores are off.
- **LoGra:** the exact inversion on projected gradients: of each layer only the few directions of its inputs and outputs
  that vary most are kept. The share of a prediction's gradient that this loses stands beside its scores.
- **Arnoldi:** exact in a number of directions, those along which the curvature is largest; the rest is left out.
- **Outside:** the share of a prediction's gradient that lies outside the directions that a method keeps. The more it
  is, the more may be missing from the scores; keep more directions.
- **Damping:** a number added to the curvature before it is inverted; 0 where that is not needed.
- **Spectral filter:** what stands in for damping where the project says how the model was trained: directions that the
  training had no time to follow count only as far as it went.
- **Residual:** how far the inversion is from exact, relative and on all training data; 0 is perfect, 1 is no answer.
- **Rank by:** the order of the examples on each side; the score shown is always the effect. *effect* is the score
  itself; *relative* divides it by the root of the example's self-influence (RelatIF), *cosine* by the length of its
  gradient. With both, a few odd examples no longer come first for every prediction.
- **Baseline:** a simple number beside the real scores: products or cosines of gradients, similarity of last features,
  the training loss, or chance. It predicts no refit, and says so in the strip.
- **Run:** one method with its settings, applied to this model and data. A workspace can hold several; *Build another
  run* in the header adds one, where the project's code is at hand.
- **Spearman correlation:** how alike two orders of the training examples are: 1 the same, 0 unrelated, −1 reversed.
- **Overlap:** how many of the strongest examples of one run are among the strongest of another.
- **Leave-one-out:** fitting again without one example: what a score predicts.
- **Slope:** of a line through actual against predicted changes; 1 is right in size, above 1 means predicted too small.
- **Metadata:** columns that you gave with the examples and the model need not know. Each is a filter.
- **Slice:** filters saved under a name. Everybody who opens this workspace can choose it; it finds what fits it now.
- **Solved:** predictions whose scores are stored in this workspace. *To do* in the list is solved when you pick it;
  *none* needs the project's code, given by `influence open DIR --project FILE`; *failed* was tried without reaching an
  answer, and says why when you pick it.
- **First answer, refined:** conjugate gradients and LiSSA take seconds a prediction, so that EK-FAC, an approximation,
  answers first. The one on screen is refined in the background, and the page says which it shows and what changed. In
  the list, *refined* was solved and *first* was not yet. Which predictions a training example helps and harms counts
  refined ones only.
- **EK-FAC:** a curvature layer by layer, inverted exactly: quick, but blind to what couples layers.
"""
