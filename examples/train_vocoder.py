"""Train a diffusion model that makes sound of mel spectrograms: by default of piano notes.

python examples/train_vocoder.py train.max_minutes=8

The report has held-back clips beside what became of their spectrograms: the sound that the model
makes, and that of Griffin and Lim's search for phases.
"""

from __future__ import annotations

import sys

from recipe import choose_sampling, fit_normalizer
from sound_to_sound import VocoderConfig, build_vocoder
from torch import Generator, Tensor

from audio_diffusion_pytorch import DiffusionVocoder
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
    arguments = parse_recipe(__doc__, VocoderConfig)
    config = arguments.config
    data, held_back = open_data(config.data, config.train.seed)
    model = build_vocoder(config)
    fit_normalizer(model, data)
    sampling = choose_sampling(model, config.sample)

    def answer(averaged: DiffusionVocoder, clips: Clip, generator: Generator) -> dict[str, Tensor]:
        to_spectrogram, length = averaged.to_spectrogram, clips.audio.shape[-1]
        mel = to_spectrogram(clips.audio)
        steps = config.sample.steps
        made = averaged.sample(mel, generator, length=length, num_steps=steps, **sampling._asdict())
        found = to_spectrogram.invert(mel, length, iterations=64, generator=generator)
        return {"vocoder": made, "Griffin-Lim": found}

    with open_session(arguments) as session:
        make = Comparison(data, held_back, answer)
        session.fit(model, data, held_back, make, sampling=sampling)


if __name__ == "__main__":
    sys.exit(run_recipe(main))
