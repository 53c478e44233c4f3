"""A project of table rows and a scikit-learn model: which training rows made a prediction?

It runs as it stands, on the breast cancer data that scikit-learn ships. Put your data and your model into sections 1
and 2; `influence check` on this file then says what does not fit yet.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from influence_core import from_sklearn

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace the table, for instance by pandas.read_csv("my.csv"), and the labels: class names or numbers. Columns of words
# and missing cells are fine if the pipeline of section 2 prepares them.

cancer = load_breast_cancer(as_frame=True)
table, labels = cancer.data, cancer.target_names[cancer.target]
n_train = 400
train = table.iloc[:n_train], labels[:n_train]
test = table.iloc[n_train:], labels[n_train:]
train_keys = [f"patient {i}" for i in range(n_train)]  # your own ids, such as record numbers: they name a row on screen
test_keys = [f"patient {i}" for i in range(n_train, len(table))]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace the pipeline by yours, fitted on `train` here or loaded, for instance by joblib.load("my_model.joblib"). It
# ends in a linear model: LogisticRegression, LinearRegression, Ridge, SGDClassifier, SGDRegressor. Its C or alpha and
# its class weights are read off it; give sample_weight=... in section 3 if you gave it to fit().

model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
model.fit(*train)

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = from_sklearn(
    model,
    train,
    test,
    name="my-table",
    title="Breast cancer",
    description="Logistic regression that tells benign from malignant tumours by 30 measurements of cell nuclei.",
    train_keys=train_keys,
    test_keys=test_keys,
)
