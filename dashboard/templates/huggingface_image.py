"""A project of images and a model of Hugging Face's transformers: which training images made a prediction?

It runs as it stands, offline, on digits that come with scikit-learn and a tiny vision transformer that it trains in
seconds. Put your data and your model into sections 1 and 2; `influence check` on this file then says what does not fit.
"""

from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_digits
from transformers import AutoImageProcessor, AutoModelForImageClassification

from influence_core import from_huggingface

# --- 1. Your data -----------------------------------------------------------------------------------------------------
# Replace `rows` by yours: dicts of an image (of Pillow, an array or a path), a label (class name or number) and, if you
# have one, an `id` that names it on screen; or data sets from disk: datasets.load_from_disk(...).

digits = load_digits()
pictures = [Image.fromarray((255 / 16 * picture).astype("uint8")) for picture in digits.images]
rows = [
    {"image": picture, "label": str(digit), "id": f"digit {i}"}
    for i, (picture, digit) in enumerate(zip(pictures, digits.target, strict=True))
]
train, test = rows[:600], rows[600:800]

# --- 2. Your model ----------------------------------------------------------------------------------------------------
# Replace FOLDER by the folder that your save_pretrained() wrote, model and image processor, and WEIGHT_DECAY by that of
# its training (0 if there was none). For a model tuned with PEFT see PeftModel.from_pretrained(..., is_trainable=True).

FOLDER = Path(__file__).with_suffix(".model")
WEIGHT_DECAY = 3e-3


def make_tiny_vit() -> None:
    """A vision transformer of one layer, trained on `train`; its last layer to the optimum, as scores assume."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    grey = {"image_mean": [0.5], "image_std": [0.5]}
    processor = ViTImageProcessorPil(size={"height": 8, "width": 8}, **grey)

    torch.manual_seed(0)
    ids = {str(digit): digit for digit in range(10)}
    shape = {
        "hidden_size": 32,
        "initializer_range": 0.1,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    names = {"label2id": ids, "id2label": {digit: name for name, digit in ids.items()}}
    vit = ViTForImageClassification(ViTConfig(image_size=8, patch_size=2, num_channels=1, **shape, **names)).eval()
    pixels = processor([row["image"] for row in train], return_tensors="pt")["pixel_values"]
    labels = torch.tensor([ids[str(row["label"])] for row in train])

    def objective() -> torch.Tensor:
        decay = sum(p.square().sum() for p in vit.parameters()) * WEIGHT_DECAY / 2
        loss: torch.Tensor = vit(pixel_values=pixels, labels=labels).loss + decay
        vit.zero_grad()
        loss.backward()
        return loss

    whole = torch.optim.Adam(vit.parameters(), lr=5e-3)
    for _ in range(100):
        whole.step(objective)
    torch.optim.LBFGS(vit.classifier.parameters(), max_iter=300, line_search_fn="strong_wolfe").step(objective)
    processor.save_pretrained(FOLDER)
    vit.save_pretrained(FOLDER)


if not FOLDER.exists():  # delete this block, and make_tiny_vit(), once FOLDER holds your model
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same weights on every machine, however many cores it has
    make_tiny_vit()
    torch.set_num_threads(threads)
processor = AutoImageProcessor.from_pretrained(FOLDER, local_files_only=True)
model = AutoModelForImageClassification.from_pretrained(FOLDER, local_files_only=True)

# --- 3. The project ---------------------------------------------------------------------------------------------------

project = from_huggingface(
    model,
    processor,
    train,
    test,
    name="my-images",
    columns=("image", "label"),
    weight_decay=WEIGHT_DECAY,
    attributed=("classifier.*",),  # the last layer: exact within seconds; leave it out to attribute every layer
    title="Handwritten digits",
    description="A tiny vision transformer that reads digits of 8 by 8 pixels.",
)
