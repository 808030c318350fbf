"""Small models, and classes of one's own that a saved file may name."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0

SMALL = {"channels": [8, 16], "factors": [1, 2], "items": [1, 1], "modulation_features": 16}


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.fixture
def small_model():
    """Return a function that builds a model on raw audio."""

    def build(*args, **changes):
        net_t = {} if args else {"net_t": UNetV0}
        return DiffusionModel(*args, **{**net_t, "in_channels": 1, **SMALL, **changes})

    return build


@pytest.fixture
def fitted_model():
    """Return a function that builds a model behind a transform, with a fitted normaliser."""

    def build(**changes):
        model = DiffusionModel(
            UNetV0,
            in_channels=16,
            autoencoder=Companded(MDCT(16, sample_rate=16000), 0.5),
            normalizer=LatentNormalizer(16, whitening=0.5),
            **{**SMALL, **changes},
        )
        model.fit_normalizer([torch.randn(2, 1, 400, generator=seeded(5))])
        return model

    return build


@pytest.fixture
def same_answers():
    """Return a check that two models give the same loss and the same sounds, bit for bit."""

    def check(one, other, length=200, **cond):
        x = torch.randn(3, 1, length, generator=seeded(1)).to(next(one.parameters()).dtype)
        for model in (one, other):
            model.train()
        losses = [model(x, generator=seeded(2), **cond) for model in (one, other)]
        assert torch.equal(*losses) and losses[0].isfinite()
        sounds = [model.generate(2, length, 3, generator=seeded(3)) for model in (one, other)]
        assert torch.equal(*sounds) and sounds[0].abs().max() > 0

    return check
