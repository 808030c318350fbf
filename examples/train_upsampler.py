"""Train a diffusion model that gives sound of a low sample rate its upper frequencies back.

python examples/train_upsampler.py train.max_minutes=8

By default it makes 16 kHz piano notes out of 4 kHz. The report has held-back clips beside what
became of them: upsampled by the model, and by sinc interpolation, which adds no frequency.
"""

from __future__ import annotations

import sys

from baselines import sinc_interpolation
from recipe import choose_sampling, fit_normalizer
from sound_to_sound import UpsamplerConfig, build_upsampler
from torch import Generator, Tensor

from audio_diffusion_pytorch import DiffusionUpsampler
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.training import (
    Comparison,
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)


def main() -> None:
    """Train, then write sounds, the comparison and a report to the run folder."""
    arguments = parse_recipe(__doc__, UpsamplerConfig)
    config = arguments.config
    data, held_back = open_data(config.data, config.train.seed)
    model = build_upsampler(config)
    fit_normalizer(model, data)
    sampling = choose_sampling(model, config.sample)

    def answer(
        averaged: DiffusionUpsampler, clips: Clip, generator: Generator
    ) -> dict[str, Tensor]:
        low = averaged.downsample(clips.audio)
        upsampled = averaged.sample(
            low,
            generator,
            length=clips.audio.shape[-1],
            num_steps=config.sample.steps,
            keep_low=True,
            **sampling._asdict(),
        )
        interpolated = sinc_interpolation(low, averaged.upsample_factor)
        return {"upsampler": upsampled, "sinc interpolation": interpolated}

    with open_session(arguments) as session:
        make = Comparison(data, held_back, answer)
        session.fit(model, data, held_back, make, sampling=sampling)


if __name__ == "__main__":
    sys.exit(run_recipe(main))
