"""Write the names and shapes of the weights of every model: what saved files depend on.

    python tools/make_key_lists.py

It writes `tests/golden/keys/NAME.txt`. A test compares the models with these lists, since a name
that changes makes saved models unreadable. Run it when a name is meant to change or a model is new,
give the old names a load pre-hook, and say so in the changelog.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch import MDCT, Companded, LatentNormalizer, LTPlugin, UNetV0
from audio_diffusion_pytorch.diffusion import LearnedUncertainty
from audio_diffusion_pytorch.models import (
    DiffusionAE,
    DiffusionAR,
    DiffusionModel,
    DiffusionUpsampler,
    DiffusionVocoder,
    EncoderBase,
)

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden" / "keys"

README: dict[str, Any] = {
    "in_channels": 2,
    "channels": [8, 32, 64, 128, 256, 512, 512, 1024, 1024],
    "factors": [1, 4, 4, 4, 2, 2, 2, 2, 2],
    "items": [1, 2, 2, 2, 2, 2, 2, 4, 4],
}
ATTENTIONS: dict[str, Any] = {
    "attentions": [0, 0, 0, 0, 0, 1, 1, 1, 1],
    "attention_heads": 8,
    "attention_features": 64,
}
TEXT: dict[str, Any] = {
    "use_text_conditioning": True,
    "use_embedding_cfg": True,
    "embedding_max_length": 64,
    "embedding_features": 768,
    "cross_attentions": [0, 0, 0, 1, 1, 1, 1, 1, 1],
}
SMALL: dict[str, Any] = {
    "channels": [8, 16],
    "factors": [1, 2],
    "items": [1, 1],
    "modulation_features": 32,
}


class Encoder(EncoderBase):
    """The least that a `DiffusionAE` takes."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.out_channels, self.downsample_factor = 4, 2
        self.conv = nn.Conv1d(1, 4, 2, stride=2)

    def forward(self, x: Tensor, with_info: bool = False) -> Any:
        """Return the latents."""
        return (self.conv(x), {}) if with_info else self.conv(x)


def behind_a_transform() -> nn.Module:
    """A model as the recipes make them."""
    space = Companded(MDCT(16, sample_rate=16000))
    return DiffusionModel(
        UNetV0,
        in_channels=16,
        autoencoder=space,
        normalizer=LatentNormalizer(16),
        diffusion_weight=LearnedUncertainty(8),
        num_classes=(5, 3),
        gated_skip=True,
        energy_embedding=True,
        **SMALL,
    )


MODELS: dict[str, Callable[[], nn.Module]] = {
    "unet_v0": lambda: UNetV0(dim=1, **README, **ATTENTIONS),
    "unet_v0_text": lambda: UNetV0(dim=1, **README, **ATTENTIONS, **TEXT),
    "unet_v0_images": lambda: UNetV0(dim=2, in_channels=3, context_channels=[0, 5], **SMALL),
    "learned_transform": lambda: LTPlugin(UNetV0, 4, 8, 8)(dim=1, in_channels=2, **SMALL),
    "diffusion_model": lambda: DiffusionModel(UNetV0, **README, **ATTENTIONS, **TEXT),
    "diffusion_model_transform": behind_a_transform,
    "diffusion_upsampler": lambda: DiffusionUpsampler(
        in_channels=2, upsample_factor=16, net_t=UNetV0, **SMALL
    ),
    "diffusion_vocoder": lambda: DiffusionVocoder(
        net_t=UNetV0, mel_channels=80, mel_n_fft=1024, mel_sample_rate=48000, **SMALL
    ),
    "diffusion_ae": lambda: DiffusionAE(
        net_t=UNetV0, in_channels=1, encoder=Encoder(), inject_depth=1, **SMALL
    ),
    "diffusion_ar": lambda: DiffusionAR(
        net_t=UNetV0, in_channels=2, length=16, num_splits=4, **SMALL
    ),
}


def key_list(name: str) -> str:
    """Return a line for each weight of a model: its name and shape."""
    with torch.device("meta"):
        state = MODELS[name]().state_dict()
    lines = (f"{key} {tuple(value.shape)}\n" for key, value in state.items())
    return "".join(line.replace(", ", ",") for line in lines)


def main() -> None:
    """Write the lists."""
    about = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=about).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        (FOLDER / f"{name}.txt").write_text(key_list(name), encoding="utf-8")
        print(f"{name}: {len(key_list(name).splitlines())} weights")


if __name__ == "__main__":
    main()
