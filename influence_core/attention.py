"""Attention of which every derivative exists, in torch's own layers and in those of Hugging Face's transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

NAME = "influence_plain"  # of the kind of attention, in the registry of transformers


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention by plain operations: its fused kernels have no forward-mode derivative."""
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


def unfuse(module: nn.Module) -> None:
    """Give the transformers inside a private copy an attention that never looks at its mask's values.

    By default a mask without padding is left out, which is a decision that no derivative by vmap can take. The kind
    that is registered here builds every mask, and attends by ``scaled_dot_product_attention``.
    """
    if "transformers" not in sys.modules:
        return  # then no model is one of its
    from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel  # noqa: PLC0415  (optional)
    from transformers.integrations.sdpa_attention import sdpa_attention_forward  # noqa: PLC0415
    from transformers.masking_utils import sdpa_mask  # noqa: PLC0415

    found = [layer for layer in module.modules() if isinstance(layer, PreTrainedModel)]
    if not found:
        return
    AttentionInterface.register(NAME, sdpa_attention_forward)
    AttentionMaskInterface.register(NAME, partial(_whole_mask, sdpa_mask))
    for layer in found:
        capped = getattr(layer.config, "attn_logit_softcapping", None)  # the plain kind only has it as "eager"
        if getattr(layer, "_supports_sdpa", False) and not capped:
            layer.config._attn_implementation = NAME


def _whole_mask(mask: object, *args: object, **given: object) -> object:
    return mask(*args, **{**given, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})  # type: ignore[operator]
