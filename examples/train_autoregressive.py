"""Train a model that goes on from a beginning, part by part, for as long as it is asked to.

python examples/train_autoregressive.py train.max_minutes=8

The report has held-back clips of twice the length that was trained on, beside what became of their
first part: continued by the model, by linear prediction (what a struck string does by itself), by
repeating it, and by silence.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch
from codes_and_parts import PartsConfig, build_autoregressive
from linear_prediction import go_on
from recipe import fit_normalizer
from torch import Generator, Tensor

from audio_diffusion_pytorch import DiffusionAR
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.metrics import log_spectral_distance
from audio_diffusion_pytorch.training import (
    Comparison,
    Measure,
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)


def main() -> None:
    """Train, then write sounds, the comparison and a report to the run folder."""
    arguments = parse_recipe(__doc__, PartsConfig)
    config = arguments.config
    data, held_back = open_data(config.data, config.train.seed)
    model = build_autoregressive(config)
    fit_normalizer(model, data)
    part, parts = model.split_length, 2 * model.num_splits
    longer = open_data(replace(config.data, length=parts * part), config.train.seed)

    def answer(averaged: DiffusionAR, clips: Clip, generator: Generator) -> dict[str, Tensor]:
        start, steps = clips.audio[..., :part], config.sample.steps
        predicted = go_on(start.cpu(), clips.audio.shape[-1] - part)
        return {
            "model": averaged.sample(len(start), parts, steps, start, generator=generator),
            "linear prediction": torch.cat([start.cpu(), predicted], dim=-1),
            "its first part again and again": start.repeat(1, 1, parts),
            "silence": start,
        }

    def what_follows(sounds: Tensor, originals: Tensor) -> Tensor:
        return log_spectral_distance(sounds[..., part:], originals[..., part:])

    measure = Measure("log-spectral distance of what follows", distance=what_follows)
    with open_session(arguments) as session:
        make = Comparison(*longer, answer, measures=[measure])
        session.fit(model, data, held_back, make=make)


if __name__ == "__main__":
    sys.exit(run_recipe(main))
