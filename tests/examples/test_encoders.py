"""The encoder of `train_diffusion_ae.py`: its codes tell clips apart, and it goes on learning."""

from __future__ import annotations

import pytest
import torch

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import probe_conditioner_gain
from audio_diffusion_pytorch.training import clip_batches, open_data

STEPS = 20


@pytest.fixture
def recipe(import_example):
    """The settings of the recipe, small, its model and 16 of its clips."""
    codes = import_example("codes_and_parts")
    model = codes.CodeModelConfig(
        bins=64, channels=(16, 16), modulation_features=32, latent_hop=512, latent_channels=4
    )
    config = codes.CodeConfig(model=model)
    config.data.length = 4096
    data, _ = open_data(config.data, config.train.seed)
    built = codes.build_autoencoder(config)
    import_example("recipe").fit_normalizer(built, data)
    return config, built, next(iter(clip_batches(data, 16)))


def test_the_codes_start_where_the_tanh_is_steep(recipe):
    _, model, audio = recipe
    before_tanh = model.encode(audio).detach().clamp(-1 + 1e-6, 1 - 1e-6).atanh()
    assert before_tanh.std() == pytest.approx(0.5, abs=0.1)
    assert before_tanh.mean().abs() < 0.05


def test_codes_differ_and_are_heard_before_any_step(recipe):
    """Before it has running means, too; a few codes stood beside hundreds of channels unheard."""
    _, model, audio = recipe
    assert 0.1 < model.eval().encode(audio).std() < 0.7
    labels = torch.empty(len(audio), 0, dtype=torch.long)
    clips = Clip(audio, labels, [""] * len(audio))
    assert probe_conditioner_gain(model, clips, initial=True).verdict == "ok"


def test_the_encoder_is_not_saturated_by_its_first_steps(recipe):
    """It was after ten steps: all codes at +-1 for all clips, all gradients zero."""
    config, model, audio = recipe
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.train.learning_rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(audio, generator=generator).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip_norm)
        optimizer.step()
    gradients = [p.grad.square().sum() for p in model.encoder.parameters()]
    assert torch.stack(gradients).sum().sqrt() > 1e-5
    codes = model.eval().encode(audio)
    assert (codes.abs() > 0.99).float().mean() < 0.05
    assert codes.mean(-1).std(0).min() > 0.05
