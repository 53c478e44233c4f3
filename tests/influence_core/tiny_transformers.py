"""Transformers of a few hundred parameters, built from their configs, with a tokenizer and rows of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from influence_core.project import Project, batches

WORDS = ("good", "bad", "film", "book", "very", "not", "the", "plot")
CLASSES = ("praise", "neither", "blame")


def tokenizer() -> PreTrainedTokenizerFast:
    """Words to numbers, framed as BERT's are."""
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    numbers = {word: i for i, word in enumerate([*names.values(), *WORDS])}
    words = Tokenizer(models.WordLevel(numbers, names["unk_token"]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **names)


def bert(attention: str = "sdpa", **config: Any) -> BertForSequenceClassification:
    """Two layers of width 8 in eval mode."""
    torch.manual_seed(1)
    names = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}
    given = {"num_hidden_layers": 2, **({} if "num_labels" in config else names), **config}
    made = BertConfig(
        vocab_size=12, hidden_size=8, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16, pad_token_id=0, initializer_range=0.5, attn_implementation=attention, **given,
    )  # fmt: skip
    return BertForSequenceClassification(made).eval()


def text_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts of two to nine words, each with a class's name, a number of its own and where it is from."""
    random = np.random.default_rng(seed)
    return [
        {
            "text": " ".join(random.choice(WORDS, size=random.integers(2, 10))),
            "label": CLASSES[random.integers(3)],
            "id": f"review {seed}-{i}",
            "stars": int(random.integers(1, 6)),
        }
        for i in range(count)
    ]


def vit(**config: Any) -> ViTForImageClassification:
    """One layer of width 8 on four patches, in eval mode."""
    torch.manual_seed(1)
    made = ViTConfig(
        image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        initializer_range=0.5, **config,
    )  # fmt: skip
    return ViTForImageClassification(made).eval()


def image_processor() -> ViTImageProcessorPil:
    return ViTImageProcessorPil(size={"height": 8, "width": 8})


def image_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Coloured noise of different sizes."""
    random = np.random.default_rng(seed)
    sizes = random.integers(8, 14, size=(count, 2))
    pictures = [Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sizes]
    return [{"image": picture, "label": i % 2} for i, picture in enumerate(pictures)]


def settle(project: Project, steps: int = 60) -> Project:
    """Train the project's own model a little further, in place."""
    parameters = [p for p in project.model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=0.02)
    _, batch = next(batches(project.train, len(project.train)))
    for _ in range(steps):
        optimiser.zero_grad()
        outputs = project.task.outputs(project.model, batch)
        penalty = project.task.penalty(dict(project.model.named_parameters()))
        (project.task.losses(outputs, batch).mean() + penalty).backward()
        optimiser.step()
    optimiser.zero_grad()
    return project


def state(model: nn.Module) -> dict[str, Any]:
    """All that must be left as it was: weights, buffers, flags, modes, hooks."""
    return {
        "tensors": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "flags": [p.requires_grad for p in model.parameters()],
        "modes": [layer.training for layer in model.modules()],
        "hooks": [(len(layer._forward_hooks), len(layer._forward_pre_hooks)) for layer in model.modules()],
        "attention": model.config._attn_implementation,
    }


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    tensors = one["tensors"].keys() == two["tensors"].keys() and all(
        torch.equal(tensor, two["tensors"][name]) for name, tensor in one["tensors"].items()
    )
    return tensors and all(one[part] == two[part] for part in ("flags", "modes", "hooks", "attention"))
