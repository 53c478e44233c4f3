"""A project of table rows and a PyTorch model: which training rows made a prediction?

It runs as it stands, on the breast cancer data that scikit-learn ships. Put your data and your model into sections 1
and 2; `influence check` on this file then says what does not fit yet.
"""

from pathlib import Path

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.utils.data import default_collate

from influence_core import ClassificationTask, Project, TableView

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace the table, for instance by pandas.read_csv("my.csv"). The model gets numbers, here standardised columns; the
# rows are shown in the units of `table`. `train` and `test` are lists of (numbers, label); labels count from 0 (for a
# regression they are floats: then take RegressionTask, one output, and no class_names).

cancer = load_breast_cancer(as_frame=True)
table, labels = cancer.data, cancer.target.tolist()
class_names = tuple(str(name) for name in cancer.target_names)
n_train = 400
train_table, test_table = table.iloc[:n_train], table.iloc[n_train:].reset_index(drop=True)
mean, spread = train_table.mean(), train_table.std()
inputs = torch.tensor(((table - mean) / spread).to_numpy(), dtype=torch.float64)
rows = list(zip(inputs, labels, strict=True))
train, test = rows[:n_train], rows[n_train:]
train_keys = [f"patient {i}" for i in range(n_train)]  # your own ids, such as record numbers: they name a row on screen
test_keys = [f"patient {i}" for i in range(n_train, len(rows))]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace `network` by your model and WEIGHTS by the file of its trained weights. The task is the loss that it was
# trained with: cross-entropy, and weight_decay as you gave it to torch.optim (0 if you gave none).

WEIGHTS = Path(__file__).with_suffix(".pt")
task = ClassificationTask(n_classes=2, weight_decay=0.02)


def new_network() -> nn.Module:
    """A small network of one hidden layer."""
    return nn.Sequential(nn.Linear(30, 6), nn.Tanh(), nn.Linear(6, 2)).double()


def trained() -> nn.Module:
    """The network, trained on all rows at once to where its gradient is nearly zero, as the scores take it to be."""
    torch.manual_seed(0)
    model, batch = new_network(), default_collate(train)
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=3000, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def objective() -> float:
        optimiser.zero_grad()
        loss = task.losses(model(batch[0]), batch).mean() + task.penalty(dict(model.named_parameters()))
        loss.backward()
        return loss.item()

    optimiser.step(objective)
    return model


if not WEIGHTS.exists():  # delete this block, and trained(), once WEIGHTS is your own file
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same weights on every machine, however many cores it has
    torch.save(trained().state_dict(), WEIGHTS)
    torch.set_num_threads(threads)
network = new_network()
network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
network.eval()

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = Project(
    name="my-table",
    title="Breast cancer",
    description="A small network that tells benign from malignant tumours by 30 measurements of cell nuclei.",
    model=network,
    task=task,
    train=train,
    test=test,
    class_names=class_names,
    view=TableView(train_table, test_table),
    train_keys=train_keys,
    test_keys=test_keys,
)
