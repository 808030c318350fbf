"""Whatever its length, what goes into a model comes out as long; or one line names the multiple.

The fast run takes lengths around the multiples that the models work with; `-m slow` takes all of
1..4096.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

import audio_diffusion_pytorch as adp

SPREAD = [1, 2, 3, 5, 15, 16, 17, 63, 64, 100, 255, 257, 1000, 1023, 1024, 2049, 4095, 4096]
SPLITS = 3  # of the autoregressive model
NET: dict[str, Any] = {"channels": [4, 4], "factors": [2, 4], "items": [1, 1], "resnet_groups": 1}
ARGUMENTS: dict[str, Any] = {**NET, "net_t": adp.UNetV0, "modulation_features": 4}
Round = Callable[[Tensor], Tensor]


class Blocks(nn.Module):
    """An encoder that takes whole blocks of 8 samples only, as upstream's do."""

    downsample_factor = 8

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, 8)).mean(-1)


def raw(channels: int, **arguments: Any) -> Round:
    model = adp.DiffusionModel(in_channels=channels, **{**ARGUMENTS, **arguments})
    return lambda x: (model(x), model.sample(torch.randn_like(x), num_steps=1))[1]


def in_a_space(channels: int) -> Round:
    space = adp.MDCT(8, channels=channels)
    model = adp.DiffusionModel(in_channels=8 * channels, autoencoder=space, **ARGUMENTS)
    model.fit_normalizer([torch.randn(1, channels, 64)])
    return lambda x: (model(x), model.generate(len(x), x.shape[-1], 1))[1]


def upsampler(channels: int) -> Round:
    model = adp.DiffusionUpsampler(in_channels=channels, upsample_factor=3, **ARGUMENTS)

    def go(x: Tensor) -> Tensor:
        model(x)
        return model.sample(model.downsample(x), length=x.shape[-1], num_steps=1)

    return go


def vocoder(channels: int) -> Round:
    model = adp.DiffusionVocoder(
        mel_n_fft=16, mel_channels=4, mel_sample_rate=16000, mel_normalize_log=True, **ARGUMENTS
    )

    def go(x: Tensor) -> Tensor:
        model(x)
        return model.sample(model.to_spectrogram(x), length=x.shape[-1], num_steps=1)

    return go


def autoencoder(channels: int) -> Round:
    encoder = Blocks(channels)
    model = adp.DiffusionAE(in_channels=channels, encoder=encoder, inject_depth=1, **ARGUMENTS)

    def go(x: Tensor) -> Tensor:
        model(x)
        return model.decode(model.encode(x), length=x.shape[-1], num_steps=1)

    return go


def autoregressive(channels: int) -> Round:
    arguments = {**NET, "net_t": adp.UNetV0}

    def go(x: Tensor) -> Tensor:
        model = adp.DiffusionAR(
            in_channels=channels, length=x.shape[-1], num_splits=SPLITS, **arguments
        )
        model(x)
        return model.sample(len(x), SPLITS, 1)

    return go


def inpainter(channels: int) -> Round:
    part = adp.VInpainter(adp.UNetV0(dim=1, in_channels=channels, modulation_features=4, **NET))
    return lambda x: part(x, torch.zeros_like(x, dtype=torch.bool), 1, 1)


MODELS: dict[str, Callable[[int], Round]] = {
    "DiffusionModel": raw,
    "DiffusionModel behind LTPlugin": lambda channels: raw(
        channels, net_t=adp.LTPlugin(adp.UNetV0, num_filters=2, window_length=8, stride=4)
    ),
    "DiffusionModel in a space": in_a_space,
    "DiffusionUpsampler": upsampler,
    "DiffusionVocoder": vocoder,
    "DiffusionAE": autoencoder,
    "DiffusionAR": autoregressive,
    "VInpainter": inpainter,
}


@torch.no_grad()
def assert_as_long(name: str, channels: int, batch: int, lengths: list[int]) -> None:
    """Assert that a model trains on and makes sounds of these lengths, or names the multiple."""
    torch.manual_seed(0)
    go = MODELS[name](channels)
    for length in lengths:
        x = torch.randn(batch, channels, length, generator=Generator().manual_seed(length))
        if name == "DiffusionAR" and length % SPLITS:
            with pytest.raises(ValueError, match=f"multiple of num_splits.* {length} ") as caught:
                go(x)
            assert "\n" not in str(caught.value)
            continue
        made = go(x)
        assert made.shape == x.shape, f"{name}: {length} samples became {made.shape[-1]}"
        assert made.isfinite().all()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("name", MODELS)
def test_a_spread_of_lengths(name, channels, batch):
    assert_as_long(name, channels, batch, SPREAD)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("name", MODELS)
def test_every_length(name, channels, batch):
    assert_as_long(name, channels, batch, list(range(1, 4097)))


def test_an_autoregressive_model_names_its_length_when_it_is_called():
    model = adp.DiffusionAR(in_channels=1, length=30, num_splits=3, net_t=adp.UNetV0, **NET)
    with pytest.raises(ValueError, match=r"trains on 30 samples, got 31.*multiple"):
        model(torch.randn(1, 1, 31))
    assert model.generate(1, 31, 1).shape == (1, 1, 31)  # any length is made
