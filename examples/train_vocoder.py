"""Train a diffusion model that makes sound of mel spectrograms.

python examples/train_vocoder.py train.max_minutes=8

The report has held-back clips beside what became of their spectrograms: the model's sound, and
that of Griffin and Lim's search for phases.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

from recipe import (
    PIANO,
    Config,
    ModelConfig,
    SampleConfig,
    build_model,
    choose_sampling,
    fit_normalizer,
)

from audio_diffusion_pytorch import DiffusionVocoder
from audio_diffusion_pytorch.training import (
    Comparison,
    DataConfig,
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)


@dataclass
class VocoderModelConfig(ModelConfig):
    """The model, with its spectrogram.

    Attributes:
        mels: Bands of the spectrogram.
        frame: Samples of a frame of the spectrogram.
        hop: Samples between frames; a multiple of `bins`.
    """

    mels: int = 80
    frame: int = 1024
    hop: int = 256


@dataclass
class VocoderConfig(Config):
    """The settings of a vocoder."""

    recipe: Literal["vocoder"] = "vocoder"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO, crop="start"))
    model: VocoderModelConfig = field(default_factory=VocoderModelConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


def main() -> None:
    """Train, then write sounds, the comparison and a report to the run folder."""
    arguments = parse_recipe(__doc__, VocoderConfig)
    config = arguments.config
    data, held_back = open_data(config.data, config.train.seed)
    model = build_model(
        config,
        model_t=DiffusionVocoder,
        mel_channels=config.model.mels,
        mel_n_fft=config.model.frame,
        mel_hop_length=config.model.hop,
        mel_sample_rate=config.data.sample_rate,
        mel_normalize_log=True,
    )
    fit_normalizer(model, data)
    steps, sampling = config.sample.steps, choose_sampling(model, config.sample)

    def answer(averaged, clips, generator):
        spectrogram, length = averaged.to_spectrogram(clips.audio), clips.audio.shape[-1]
        options = {"length": length, "num_steps": steps, **sampling._asdict()}
        return {
            "vocoder": averaged.sample(spectrogram, generator, **options),
            "Griffin-Lim": averaged.to_spectrogram.invert(
                spectrogram, length, iterations=64, generator=generator
            ),
        }

    with open_session(arguments) as session:
        session.fit(model, data, held_back, make=Comparison(data, held_back, answer))


if __name__ == "__main__":
    sys.exit(run_recipe(main))
