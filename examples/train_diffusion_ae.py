"""Train a diffusion autoencoder: a few numbers a second that a diffusion model makes sound of.

python examples/train_diffusion_ae.py train.max_minutes=8

The report has held-back clips beside what became of them: coded by the model, and by the best
linear code (principal components of MDCT frames) of as many numbers a second.
"""

from __future__ import annotations

import sys

from baselines import LinearCode
from codes_and_parts import CodeConfig, build_autoencoder
from recipe import choose_sampling, fit_normalizer
from torch import Generator, Tensor

from audio_diffusion_pytorch import DiffusionAE
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.training import (
    Comparison,
    clip_batches,
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)


def main() -> None:
    """Train, then write sounds, the comparison and a report to the run folder."""
    arguments = parse_recipe(__doc__, CodeConfig)
    config = arguments.config
    hop, values = config.model.latent_hop, config.model.latent_channels
    data, held_back = open_data(config.data, config.train.seed)
    model = build_autoencoder(config)
    fit_normalizer(model, data)
    linear = LinearCode(clip_batches(data, len(data)), hop, values)
    sampling = choose_sampling(model, config.sample)

    def answer(averaged: DiffusionAE, clips: Clip, generator: Generator) -> dict[str, Tensor]:
        made = averaged.decode(
            averaged.encode(clips.audio),
            generator,
            length=clips.audio.shape[-1],
            num_steps=config.sample.steps,
            solver=sampling.solver,
            grid=sampling.grid,
        )
        rate = values * config.data.sample_rate / hop
        return {"autoencoder": made, f"linear code of {rate:g} numbers/s": linear(clips.audio)}

    with open_session(arguments) as session:
        make = Comparison(data, held_back, answer)
        session.fit(model, data, held_back, make, sampling=sampling)


if __name__ == "__main__":
    sys.exit(run_recipe(main))
