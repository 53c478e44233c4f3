"""A project of texts and a scikit-learn model: which training texts made a prediction?

It runs as it stands, on sentences that describe data sets and come with scikit-learn. Put your data and your model into
sections 1 and 2; `influence check` on this file then says what does not fit yet.
"""

import re
from importlib import resources

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from influence_core import from_sklearn

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace the sentences by your texts and the names by their classes: two lists for training, two for testing. The task
# here: which data set does a sentence describe?

texts: list[str] = []
labels: list[str] = []
for name in ("breast_cancer", "lfw", "rcv1", "twenty_newsgroups"):
    described = (resources.files("sklearn.datasets") / "descr" / f"{name}.rst").read_text(encoding="utf-8")
    sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.:;])\s+|\n\s*\n", described)]
    found = [sentence for sentence in sentences if len(sentence) > 30]
    texts += found
    labels += [name] * len(found)
train_rows = [i for i in range(len(texts)) if i % 4]
test_rows = [i for i in range(len(texts)) if not i % 4]
train = [texts[i] for i in train_rows], [labels[i] for i in train_rows]
test = [texts[i] for i in test_rows], [labels[i] for i in test_rows]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace the pipeline by yours, fitted on `train` here or loaded, for instance by joblib.load("my_model.joblib"). It
# ends in a linear model: LogisticRegression, LinearRegression, Ridge, SGDClassifier, SGDRegressor. Its C or alpha and
# its class weights are read off it; give sample_weight=... in section 3 if you gave it to fit().

model = make_pipeline(TfidfVectorizer(max_features=300), LogisticRegression(C=1.0, max_iter=1000))
model.fit(*train)

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = from_sklearn(
    model,
    train,
    test,
    name="my-texts",
    title="Which data set?",
    description="Sentences of scikit-learn's descriptions of data sets; the model tells which data set they describe.",
    train_keys=[f"sentence {i}" for i in train_rows],  # your own ids, such as file names: they name a text on screen
    test_keys=[f"sentence {i}" for i in test_rows],
)
