"""Makes tests/ml/fixtures/hf_vit.npz: what Hugging Face's ViT answers, and with which weights.

python benchmarks/hf_reference.py

Its norms are given our epsilon (1e-5, torch's own); everything else is as `ViTModel` has it. The
weights are far from their start, so that every bias and norm matters. Needs the `bench` group.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from transformers import ViTConfig, ViTModel

FILE = Path(__file__).parents[1] / "tests/ml/fixtures/hf_vit.npz"
PIXELS, PATCH = 72, 8


def main() -> None:
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=(1, PIXELS),
        patch_size=(1, PATCH),
        num_channels=1,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=96,
        layer_norm_eps=1e-5,
    )
    model = ViTModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        spectra = 1 + 0.3 * torch.randn(4, PIXELS)
        states = model(pixel_values=spectra[:, None, None]).last_hidden_state
    weights = {f"weight/{name}": value.numpy() for name, value in model.state_dict().items()}
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, spectra=spectra.numpy(), states=states.numpy(), **weights)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
