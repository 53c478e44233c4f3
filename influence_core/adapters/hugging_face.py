"""Models and data of Hugging Face's transformers, peft and datasets as a project; nothing is fetched from a network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from torch import Tensor, nn

from influence_core.adapters.about import About
from influence_core.adapters.labelled_rows import LabelledRows
from influence_core.adapters.pictures import PictureRows, Pictures, in_memory
from influence_core.adapters.tokens import Texts, Tokeniser, told
from influence_core.errors import ProjectError
from influence_core.project import Dataset, Project, Stacked
from influence_core.task import ClassificationTask, MultiLabelTask, RegressionTask, Task
from influence_core.views import ImageView, TextView, View


def from_huggingface(  # noqa: PLR0913  (the one call of a project file: every argument but four has a default)
    model: Any,
    processor: Any,
    train: Any,
    test: Any,
    *,
    name: str = "my-project",
    columns: tuple[str, ...] = ("text", "label"),
    max_length: int | None = None,
    weight_decay: float = 0.0,
    attributed: tuple[str, ...] = (),
    **about: Unpack[About],
) -> Project:
    """A project of a sequence or image classifier of transformers, or of one tuned with peft.

    The model is never modified: one in train mode, or not on the CPU, is copied first. Of a model tuned with peft the
    parameters that require a gradient are attributed: the adapter's, and modules saved with it such as the classifier.

    Args:
        model: An ``AutoModelForSequenceClassification``, an ``AutoModelForImageClassification``, or a ``PeftModel``
            round one of them.
        processor: Its tokenizer or its image processor.
        train: The rows it was fitted on: a ``datasets.Dataset`` or a sequence of dicts.
        test: The rows whose predictions are explained.
        name: A short name, used in links.
        columns: The text (two names for a pair of texts) or the image, then the label. A column called ``id`` becomes
            the examples' keys, other columns of short values their metadata.
        max_length: Tokens at which a text is cut, as in training; by default the most that the model reads.
        weight_decay: ``R = weight_decay / 2 * ||theta||^2``, as the training objective had it.
        attributed: Glob patterns of the parameters that are attributed; empty means all that require a gradient.
        **about: Other fields of the project.

    Raises:
        ProjectError: If model, processor and data do not fit together.
    """
    kind = _kind(processor)
    model = _at_rest(model)
    splits = (LabelledRows.of("train", train), LabelledRows.of("test", test))
    *inputs, label = columns
    task = _task(model.config, weight_decay)
    labels = [_labels(task, model.config, rows, label) for rows in splits]
    read = _texts if kind == "text" else _pictures
    (train_set, test_set), view, said = read(model.config, (processor, max_length), [*splits], tuple(inputs), labels)
    found: dict[str, Any] = {
        "view": view,
        "class_names": _class_names(task, model.config, splits[0], label),
        **_columns_of(splits, columns),
        **about,
    }
    found["description"] = f"{about.get('description') or _described(model)} {said}".strip()
    return Project(name=name, model=model, task=task, train=train_set, test=test_set, attributed=attributed, **found)


def _kind(processor: Any) -> str:
    try:
        import transformers  # noqa: PLC0415  (optional)
    except ImportError as error:
        msg = "from_huggingface needs transformers; install it with `pip install 'influence-dashboard[huggingface]'`."
        raise ProjectError(msg) from error
    if isinstance(processor, transformers.PreTrainedTokenizerBase):
        return "text"
    if hasattr(processor, "image_mean") or isinstance(processor, transformers.BaseImageProcessor):
        return "image"
    msg = f"The processor is a {type(processor).__name__}; give the model's tokenizer or its image processor."
    raise ProjectError(msg)


def _at_rest(model: Any) -> Any:
    """The model itself, or a copy in eval mode on the CPU if it is not so.

    Raises:
        ProjectError: If it is no model of transformers, or no parameter of its adapter can be attributed.
    """
    if not isinstance(model, nn.Module) or not hasattr(getattr(model, "config", None), "id2label"):
        msg = f"The model is a {type(model).__name__}; give a sequence or image classifier of transformers."
        raise ProjectError(msg)
    if hasattr(model, "peft_config"):
        _check_adapter(model)
    on_cpu = all(p.device.type == "cpu" for p in model.parameters())
    if on_cpu and not any(layer.training for layer in model.modules()):
        return model
    return copy.deepcopy(model).cpu().eval()


def _check_adapter(model: nn.Module) -> None:
    if any(getattr(layer, "merged", False) for layer in model.modules()):
        msg = "The adapter is merged into the model's weights, so nothing of it can be attributed; unmerge it first."
        raise ProjectError(msg)
    if not any(p.requires_grad for p in model.parameters()):
        msg = (
            "No parameter of the adapter requires a gradient, as it was loaded for inference; load it with "
            "PeftModel.from_pretrained(..., is_trainable=True)."
        )
        raise ProjectError(msg)


def _task(config: Any, weight_decay: float) -> Task:
    """The model's own training loss: by its ``problem_type``, or by the number of its outputs."""
    if config.problem_type == "multi_label_classification":
        return MultiLabelTask(config.num_labels, weight_decay)
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        return RegressionTask(weight_decay, n_outputs=config.num_labels)
    return ClassificationTask(config.num_labels, weight_decay)


def _labels(task: Task, config: Any, rows: LabelledRows, column: str) -> Tensor:
    if isinstance(task, MultiLabelTask | RegressionTask):
        return rows.values(column, task.n_targets)
    return rows.labels(column, {str(word): int(number) for word, number in config.label2id.items()})


def _class_names(task: Task, config: Any, rows: LabelledRows, column: str) -> tuple[str, ...]:
    """The config's; where it only has numbers for names, those that the data set's label column declares."""
    names = tuple(str(config.id2label[i]) for i in range(task.n_targets))
    declared = getattr(getattr(rows.rows, "features", {}).get(column), "names", None) or ()
    generic = names == tuple(f"LABEL_{i}" for i in range(task.n_targets))
    return tuple(declared) if generic and len(declared) == task.n_targets else names


def _columns_of(splits: Sequence[LabelledRows], columns: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rows in splits:
        metadata = rows.metadata(but=columns)
        found |= {f"{rows.split}_keys": rows.keys()} | (
            {} if metadata is None else {f"{rows.split}_metadata": metadata}
        )
    return found


Read = tuple[list[Dataset], View, str]


def _texts(
    config: Any,
    processing: tuple[Any, int | None],
    splits: Sequence[LabelledRows],
    names: tuple[str, ...],
    labels: Sequence[Tensor],
) -> Read:
    processor, max_length = processing
    tokeniser = Tokeniser.of(processor, _positions(config), max_length)
    texts = [Texts(rows, names) for rows in splits]
    encoded = tokeniser.encode(texts)
    said = [told(t, tokeniser.cut(t, e), tokeniser) for t, e in zip(texts, encoded, strict=True)]
    data: list[Dataset] = [
        Stacked({**tokens, "labels": known}, len(known)) for tokens, known in zip(encoded, labels, strict=True)
    ]
    return data, TextView(texts[0].shown, texts[1].shown), " ".join(filter(None, said))


def _pictures(
    config: Any,
    processing: tuple[Any, int | None],
    splits: Sequence[LabelledRows],
    names: tuple[str, ...],
    labels: Sequence[Tensor],
) -> Read:
    mode = "L" if getattr(config, "num_channels", 3) == 1 else "RGB"
    for rows in splits:
        if names[0] not in rows.names:
            rows.column(names[0])  # raises, with the columns that there are
    shown = [Pictures(rows, names[0], mode) for rows in splits]
    data = [in_memory(PictureRows(p, processing[0], known)) for p, known in zip(shown, labels, strict=True)]
    return data, ImageView(shown[0], shown[1]), ""


def _positions(config: Any) -> int | None:
    """Tokens that fit into the model; those that count positions from behind the padding have fewer than they say."""
    known: int | None = getattr(config, "max_position_embeddings", None)
    behind = config.model_type in ("roberta", "xlm-roberta", "camembert", "longformer", "mpnet")
    return known - (config.pad_token_id or 0) - 1 if known and behind else known


def _described(model: Any) -> str:
    parameters: Mapping[str, nn.Parameter] = dict(model.named_parameters())
    total = sum(p.numel() for p in parameters.values())
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return f"{type(inner).__name__} with {total:,} parameters."
