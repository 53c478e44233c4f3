"""Fashion-MNIST, 60,000 + 10,000 pictures of 28 x 28, from Debian's package; and a softmax head at its optimum on them.

Fetched once with apt into the user's cache; nothing is installed and no root is needed.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from scipy.optimize import minimize
from torch import Tensor, nn

from demo_models.heads import Rows
from demo_models.kept import recipe_hash, trained_once
from influence_core.project import Project
from influence_core.removal.head_fit import HeadProblem, chord_fit, linear_module, output_basis, ridge_of
from influence_core.solvers.cholesky import Cholesky
from influence_core.task import ClassificationTask

PACKAGE = "dataset-fashion-mnist"
FOLDER = user_cache_path("influence-dashboard", appauthor=False) / PACKAGE
FILES = {split: (f"{name}-images-idx3-ubyte.gz", f"{name}-labels-idx1-ubyte.gz") for split, name in
         (("train", "train"), ("test", "t10k"))}  # fmt: skip
NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
DECAY = 1e-3


def fetch(folder: Path = FOLDER) -> Path:
    """The folder with the four files, downloaded if they are not there.

    Raises:
        RuntimeError: If apt cannot deliver the package.
    """
    wanted = [name for pair in FILES.values() for name in pair]
    if all((folder / name).is_file() for name in wanted):
        return folder
    with tempfile.TemporaryDirectory() as at:
        try:
            subprocess.run(["apt-get", "download", PACKAGE], cwd=at, check=True, capture_output=True, text=True)
            subprocess.run(["dpkg-deb", "-x", next(Path(at).glob("*.deb")), at], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
            msg = (
                f"Fashion-MNIST cannot be fetched ({reason}); run `apt-get download {PACKAGE}` on Debian, unpack "
                f"it with `dpkg-deb -x` and put {', '.join(wanted)} into {folder}."
            )
            raise RuntimeError(msg) from error
        folder.mkdir(parents=True, exist_ok=True)
        for name in wanted:
            shutil.move(next(Path(at).rglob(name)), folder / name)
    return folder


def read(split: str) -> Rows:
    """Pixels from 0 to 1, shape ``(n, 784)`` in float32, and class numbers."""
    images, labels = (gzip.decompress((fetch() / name).read_bytes()) for name in FILES[split])
    pixels = np.frombuffer(images, dtype=np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255
    numbers = np.frombuffer(labels, dtype=np.uint8, offset=8).astype(np.int64)
    return Rows(torch.from_numpy(pixels), torch.from_numpy(numbers))


def project() -> Project:
    """Softmax regression at its optimum; trained once on a machine, in some minutes."""
    task = ClassificationTask(n_classes=10, weight_decay=DECAY)
    train = read("train")
    name = f"fashion-{recipe_hash([str(DECAY)], [train.labels, train.inputs[:100]])}"
    model = trained_once(name, nn.Linear(784, 10, dtype=torch.float64), lambda: trained(train, task))
    return Project("fashion", model, task, train, read("test"), class_names=NAMES)


def trained(train: Rows, task: ClassificationTask) -> nn.Linear:
    """The optimum: L-BFGS until it is near, then steps with the curvature there."""
    inputs = torch.cat([train.inputs.double(), torch.ones(len(train), 1, dtype=torch.float64)], dim=1)
    ones, ridge = torch.ones(len(train), dtype=torch.float64), ridge_of(task, inputs.shape[1], intercept=True)
    problem = HeadProblem(task, inputs, train.labels, ones, ridge, output_basis(task, 10))
    shape = (problem.basis.shape[1], inputs.shape[1])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        at: Tensor = torch.from_numpy(flat).view(shape)
        return float(problem.objective(at, ones)), problem.gradient(at, ones).flatten().numpy()

    options = {"maxiter": 300, "maxcor": 30, "gtol": 1e-7, "ftol": 0.0}
    near = minimize(objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=options)
    start = torch.from_numpy(near.x).view(shape)
    factor = Cholesky().factorise(problem.curvature(start, ones).matrix())
    return linear_module(problem.basis @ chord_fit(problem, ones, start, factor.solve), intercept=True)
