"""Methods that solve one prediction at a time: equal to the exact answer, whatever the blocks, order and threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from influence_core import memory
from influence_core.errors import CurvatureError, MethodError
from influence_core.methods import METHODS, ConjugateGradients, Exact, Lissa, auto
from influence_core.methods.exact import LARGEST
from influence_core.project import Project, Stacked, batches, stacked
from influence_core.target import Target
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples

DAMPING = 0.5
STEEP = {"dict": 20.0, "attention": 50.0}  # of nets whose largest eigenvalue is near 1,000: a condition number of 20
CG = ConjugateGradients(damping=DAMPING, tolerance=1e-9, precision="float64")
LISSA = Lissa(damping=DAMPING, tolerance=1e-4, batch=8, passes=4000, precision="float64")


def on(name: str, method: Any) -> Any:
    """The method under a damping that suits the net."""
    return replace(method, damping=STEEP.get(name, DAMPING))


# an answer's relative error is at most its residual times the condition number, which these nets keep small
METHOD = pytest.mark.parametrize(("method", "error"), [(CG, 1e-7), (LISSA, 3e-3)], ids=["cg", "lissa"])


@METHOD
@pytest.mark.parametrize("name", samples.NAMES)
def test_scores_equal_the_exact_ones(name: str, method: Any, error: float) -> None:
    project = samples.sample(name)
    exact = on(name, Exact(curvature="gauss-newton")).fit(project).scores(range(6))
    found = on(name, method).fit(project).scores(range(6))
    assert found.converged
    assert (found.unit, found.damping, found.target) == (exact.unit, exact.damping, exact.target)
    assert oracles.relative(found.values, exact.values) < error
    slope = (found.values * exact.values).sum() / found.values.square().sum()
    assert float(slope) == pytest.approx(1, abs=10 * error)


@METHOD
def test_any_target_and_the_hessian(method: Any, error: float) -> None:
    project = samples.sample("mlp")
    hessian = replace(method, curvature="hessian")
    for target in (Target("margin", "true"), Target("logit", 2), Target("loss", "predicted")):
        exact = Exact(damping=DAMPING).fit(project).scores([1, 4], target)
        assert oracles.relative(hessian.fit(project).scores([1, 4], target).values, exact.values) < error


@METHOD
@pytest.mark.parametrize("name", ["mlp", "dict", "attention"])
def test_permuting_the_training_data_permutes_the_scores(name: str, method: Any, error: float) -> None:
    project = samples.sample(name)
    order = torch.randperm(30).tolist()
    shuffled = replace(project, train=[project.train[i] for i in order])
    method = on(name, method)
    plain = method.fit(project).scores(range(6)).values
    assert oracles.relative(method.fit(shuffled).scores(range(6)).values, plain[:, order]) < error


@METHOD
@pytest.mark.parametrize("name", ["mlp", "convolved", "attention", "regression"])
def test_rows_in_memory_and_companions_change_nothing(name: str, method: Any, error: float) -> None:
    project, method = samples.sample(name), replace(on(name, method), tolerance=1e-2)
    plain = method.fit(project).scores(range(6)).values
    in_parts = replace(method, rows=7).fit(project)
    assert oracles.relative(in_parts.scores(range(6)).values, plain) < 1e-10
    one_by_one = torch.cat([in_parts.scores([i]).values for i in range(6)])
    assert oracles.relative(one_by_one, plain) < 1e-10


@pytest.mark.parametrize(
    ("name", "error"),
    # a layer norm and a largest eigenvalue of 1,000: conjugate gradients carry the rounding of each product on
    [("mlp", 1e-5), ("convolved", 1e-5), ("attention", 1e-3)],
)
@pytest.mark.parametrize("method", [CG, LISSA], ids=["cg", "lissa"])
def test_float32_changes_late_digits_only(name: str, error: float, method: Any) -> None:
    project = samples.sample(name)
    single = replace(on(name, method), precision="float32", tolerance=1e-2)
    plain = single.fit(project).scores(range(6)).values
    assert oracles.relative(replace(single, rows=7).fit(project).scores(range(6)).values, plain) < error


def test_the_same_damping_twice_is_the_same_answer_and_another_is_another() -> None:
    project = samples.sample("mlp")
    fitted = CG.fit(project)
    first, again = fitted.scores([0]).values, fitted.scores([0]).values
    assert torch.equal(first, again)
    for damping in (0.05, 5.0):
        exact = Exact(damping=damping, curvature="gauss-newton").fit(project).scores([0]).values
        assert oracles.relative(replace(CG, damping=damping).fit(project).scores([0]).values, exact) < 1e-6


def test_lissa_lets_conjugate_gradients_finish() -> None:
    project = samples.sample("mlp")
    alone = replace(LISSA, passes=1, tolerance=1e-8)
    assert not alone.fit(project).scores([0]).converged
    found = replace(alone, finish="cg").fit(project).scores(range(6))
    assert found.converged
    exact = Exact(damping=DAMPING, curvature="gauss-newton").fit(project).scores(range(6)).values
    assert oracles.relative(found.values, exact) < 1e-6
    assert all([leg.solver for leg in solve.legs] == ["lissa", "cg"] for solve in found.solves)
    assert all(0 < (solve.seconds or 0) < 60 for solve in found.solves)


def indefinite() -> Project:
    """A network that was stopped early: its Hessian has negative eigenvalues."""
    project = samples.trained(samples.mlp(), ClassificationTask(3), samples.rows(30), samples.rows(6), steps=3)
    assert float(torch.linalg.eigvalsh(Exact(5.0).fit(project).curvature)[0]) < -0.01
    return project


@pytest.mark.parametrize("method", [CG, LISSA], ids=["cg", "lissa"])
def test_a_hessian_that_stays_indefinite_is_refused_with_its_eigenvalue(method: Any) -> None:
    project = indefinite()
    lowest = float(torch.linalg.eigvalsh(Exact(5.0).fit(project).curvature)[0])
    with pytest.raises(CurvatureError, match=rf"lowest eigenvalue is {lowest:.3g}, so damping 0\.001 .* at least"):
        replace(method, curvature="hessian", damping=1e-3).fit(project)
    replace(method, damping=1e-3).fit(project)  # Gauss-Newton is never indefinite
    replace(method, curvature="hessian", damping=2.5 * abs(lowest)).fit(project)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tolerance": 1e-9}, "in float32 a residual means something from 1e-05"),
        ({"tolerance": 0.0}, "Tolerance is 0"),
        ({"damping": -1.0}, "Damping is -1"),
        ({"rows": 0}, "rows is 0"),
    ],
)
@pytest.mark.parametrize("kind", [Lissa, ConjugateGradients])
def test_settings_that_cannot_be_are_refused_before_any_work(kind: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises((MethodError, CurvatureError), match=words):
        kind(**settings).fit(samples.sample("mlp"))


@pytest.mark.parametrize("free", [2_000_000, 120_000])
def test_memory_that_will_not_suffice_is_foreseen_with_the_rows_that_would_fit(
    free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = nn.Sequential(nn.Linear(5, 400), nn.Tanh(), nn.Linear(400, 3))
    project = Project("wide", wide.eval(), ClassificationTask(3), samples.rows(600), samples.rows(3))
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    if free < 1_000_000:
        with pytest.raises(MethodError, match=r"One example needs about .* and 0 MB are free|attribute fewer"):
            CG.fit(project)
        return
    with pytest.raises(MethodError, match=r"512 examples at once need about .* at most \d+ rows at once") as caught:
        CG.fit(project)
    fitting = int(str(caught.value).rpartition("--rows ")[2].rstrip(".)"))
    assert 1 <= fitting < 512
    replace(CG, rows=fitting).prepare(project)  # what it advises is not refused


def test_what_a_row_keeps_is_measured() -> None:
    model = Lissa(precision="float64").prepare(samples.sample("mlp")).model
    kept = memory.bytes_of_a_row(model, samples.sample("mlp").train)
    assert 8 * (5 + 4) <= kept <= 8 * 200  # at least its inputs and hidden units


def test_a_confident_prediction_is_as_exact_as_any_other_in_float32() -> None:
    """Its loss is below the rounding of float32, and so is its gradient there; the squares are below its range."""
    model = samples.mlp().eval()
    with torch.no_grad():
        model[2].weight *= 150
    project = Project("confident", model, ClassificationTask(3, 0.05), samples.rows(30), samples.rows(30))
    _, batch = next(batches(project.test, 30))
    outputs = model(batch[0]).detach()
    losses = nn.functional.cross_entropy(outputs, outputs.argmax(dim=1), reduction="none")
    ids = losses.argsort()[:4].tolist()
    assert float(losses[ids[0]]) < 1e-15
    target = Target("loss", "predicted")
    found = ConjugateGradients(damping=DAMPING, tolerance=1e-3).fit(project).scores(ids, target)
    exact = Exact(damping=DAMPING, curvature="gauss-newton").fit(project).scores(ids, target).values
    assert found.converged
    for row, expected in zip(found.values, exact, strict=True):
        assert oracles.relative(row, expected) < 1e-2


class Tokens(nn.Module):
    """Layers of torch whose fast kernels have no forward-mode derivative."""

    def __init__(self, mix: nn.Module) -> None:
        super().__init__()
        self.embedding, self.mix, self.out = nn.Embedding(7, 8), mix, nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.embedding(tokens)
        if isinstance(self.mix, nn.MultiheadAttention):
            hidden = self.mix(hidden, hidden, hidden, need_weights=False)[0]
        else:
            hidden = self.mix(hidden)
        return self.out((hidden[0] if isinstance(hidden, tuple) else hidden).mean(dim=1))


def tokens(mix: nn.Module) -> Project:
    rows = [(torch.randint(7, (5,)), i % 3) for i in range(15)]
    return Project("tokens", Tokens(mix).eval(), ClassificationTask(3, 0.05), rows[:12], rows[12:])


MIXES = {
    "attention": lambda: nn.MultiheadAttention(8, 2, batch_first=True),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
}


@pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])
@pytest.mark.parametrize("name", MIXES)
def test_attention_layers_of_torch_are_served(name: str, curvature: Any) -> None:
    project = tokens(MIXES[name]())
    method = replace(CG, damping=5.0, curvature=curvature)
    exact = Exact(damping=5.0, curvature=curvature).fit(project).scores(range(3)).values
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()
    assert oracles.relative(method.fit(project).scores(range(3)).values, exact) < 1e-6
    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()) == before


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_served_by_iterative_methods_only(kind: Any) -> None:
    project = tokens(kind(8, 8, batch_first=True))
    with pytest.raises(MethodError, match=r"lacks a derivative .*use the method cg"):
        Exact(damping=5.0).fit(project)
    found = replace(CG, damping=5.0).fit(project).scores(range(3))
    assert found.converged
    expected = oracles.damped_gauss_newton_scores(project, 5.0, range(3))
    assert oracles.relative(found.values, expected) < 1e-6


@pytest.mark.parametrize("kind", [Exact, Lissa, ConjugateGradients])
def test_a_word_that_is_no_choice_is_refused(kind: Any) -> None:
    with pytest.raises(MethodError, match=r"has no curvature 'ggn'; choose one of "):
        kind(curvature="ggn", damping=0.5).fit(samples.sample("mlp"))


@pytest.mark.filterwarnings("ignore")
def test_a_model_without_a_second_derivative_is_refused_with_a_sentence() -> None:
    class Rooted(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + (0 * self.weight.sum()).sqrt()

    rows = samples.rows(8)
    with pytest.raises(MethodError, match="holds NaN or infinity"):
        CG.fit(Project("rooted", Rooted(5, 3).eval(), ClassificationTask(3), rows, rows[:2]))


def test_auto_takes_the_exact_method_as_far_as_it_goes() -> None:
    assert auto(samples.sample("mlp")) == Exact()
    large = nn.Linear(5, LARGEST // 5)
    project = Project("large", large.eval(), ClassificationTask(LARGEST // 5), samples.rows(3), samples.rows(3))
    assert auto(project) == ConjugateGradients()
    assert auto(replace(project, attributed=("bias",))) == Exact()


def test_the_menu_names_every_method() -> None:
    assert {"exact", "newton", "lissa", "cg"} <= set(METHODS)
    for name, kind in METHODS.items():
        assert (kind.name, bool(kind.title), bool(kind.cost), bool(kind.limits)) == (name, True, True, True)


def test_a_stacked_data_set_gives_the_same_batches() -> None:
    for rows in (samples.rows(9), samples.token_rows(9)):
        whole = stacked(rows, torch.float64)
        assert isinstance(whole, Stacked)
        assert len(whole) == 9
        for ids in ([0, 1, 2], [7, 3, 3], [8]):
            (_, plain), (_, sliced) = next(batches(rows, 9, ids)), next(batches(whole, 9, ids))
            assert all(
                torch.equal(torch.as_tensor(a), torch.as_tensor(b))
                for a, b in zip(
                    torch.utils._pytree.tree_leaves(plain), torch.utils._pytree.tree_leaves(sliced), strict=True
                )
            )
    texts = [("a", 0), ("b", 1)]
    assert stacked(texts, torch.float64) is texts  # not tensors: read row by row
