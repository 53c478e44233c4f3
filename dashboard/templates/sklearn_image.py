"""A project of images and a scikit-learn model: which training images made a prediction?

It runs as it stands, on handwritten digits that scikit-learn ships. Put your data and your model into sections 1 and 2;
`influence check` on this file then says what does not fit yet.
"""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from influence_core import ImageView, from_sklearn

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace the digits: `pictures` are what is shown, arrays of shape (height, width) or (height, width, 3) or images of
# Pillow; `features` are what the model reads, one row of numbers an image: its pixels, as here, or what a large network
# makes of it. Labels are class names or numbers.

digits = load_digits()
pictures, features, labels = digits.images, digits.data, digits.target
n_train = 1300
train = features[:n_train], labels[:n_train]
test = features[n_train:], labels[n_train:]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace the pipeline by yours, fitted on `train` here or loaded, for instance by joblib.load("my_model.joblib"). It
# ends in a linear model: LogisticRegression, LinearRegression, Ridge, SGDClassifier, SGDRegressor. Its C or alpha and
# its class weights are read off it; give sample_weight=... in section 3 if you gave it to fit().

model = make_pipeline(MinMaxScaler(), LogisticRegression(C=1.0, max_iter=1000))
model.fit(*train)

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = from_sklearn(
    model,
    train,
    test,
    name="my-images",
    title="Handwritten digits",
    description="Softmax regression on the pixels of digits of 8 by 8.",
    view=ImageView(pictures[:n_train], pictures[n_train:]),
    train_keys=[f"digit {i}" for i in range(n_train)],  # your own ids, such as file names: they name an image on screen
    test_keys=[f"digit {i}" for i in range(n_train, len(labels))],
)
