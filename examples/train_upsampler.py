"""Train a diffusion model that gives sound of a low sample rate its upper frequencies back.

python examples/train_upsampler.py train.max_minutes=8

By default it makes 16 kHz piano notes out of 4 kHz. The report has held-back clips beside what
became of them: upsampled by the model, and by sinc interpolation, which adds no frequency.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

from baselines import sinc_interpolation
from recipe import (
    PIANO,
    Config,
    ModelConfig,
    SampleConfig,
    build_model,
    choose_sampling,
    fit_normalizer,
)

from audio_diffusion_pytorch import DiffusionUpsampler
from audio_diffusion_pytorch.training import (
    Comparison,
    DataConfig,
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)


@dataclass
class UpsamplerModelConfig(ModelConfig):
    """The model, with its two rates.

    Attributes:
        factor: How many times `data.sample_rate` is above the rate to start from.
    """

    factor: int = 4


@dataclass
class UpsamplerConfig(Config):
    """The settings of an upsampler."""

    recipe: Literal["upsampler"] = "upsampler"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO, crop="start"))
    model: UpsamplerModelConfig = field(default_factory=UpsamplerModelConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


def main() -> None:
    """Train, then write sounds, the comparison and a report to the run folder."""
    arguments = parse_recipe(__doc__, UpsamplerConfig)
    config, factor = arguments.config, arguments.config.model.factor
    data, held_back = open_data(config.data, config.train.seed)
    model = build_model(config, model_t=DiffusionUpsampler, upsample_factor=factor)
    fit_normalizer(model, data)
    steps, sampling = config.sample.steps, choose_sampling(model, config.sample)

    def answer(averaged, clips, generator):
        low, length = averaged.downsample(clips.audio), clips.audio.shape[-1]
        options = {"length": length, "num_steps": steps, **sampling._asdict()}
        return {
            "upsampler": averaged.sample(low, generator, keep_low=True, **options),
            "sinc interpolation": sinc_interpolation(low, factor),
        }

    with open_session(arguments) as session:
        session.fit(model, data, held_back, make=Comparison(data, held_back, answer))


if __name__ == "__main__":
    sys.exit(run_recipe(main))
