"""Train a diffusion model that makes the note it is asked for: by default a piano.

python examples/train_class_conditional.py train.max_minutes=8

Labels come from the file names: `069_A4_ff.flac` is note 69 at velocity ff. For other sounds give
`data.path` and `data.labels`, a regular expression with a named group per label or a CSV manifest.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

import torch
from recipe import (
    PIANO,
    Config,
    ModelConfig,
    SampleConfig,
    build_model,
    choose_sampling,
    fit_normalizer,
)

from audio_diffusion_pytorch.training import (
    DataConfig,
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)

NOTE_AND_VELOCITY = r"(?P<note>\d{3})_[A-G]s?\d_(?P<velocity>pp|mp|mf|ff)"


@dataclass
class LabelledConfig(Config):
    """The settings, with the labels of the piano notes."""

    recipe: Literal["class_conditional"] = "class_conditional"
    data: DataConfig = field(
        default_factory=lambda: DataConfig(path=PIANO, labels=NOTE_AND_VELOCITY, crop="start")
    )
    model: ModelConfig = field(
        default_factory=lambda: ModelConfig(bins=1024, energy_embedding=False)
    )
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


def main() -> None:
    """Train, then write sounds and a report to the run folder."""
    config = (arguments := parse_recipe(__doc__, LabelledConfig)).config
    if config.data.labels is None:
        raise ValueError("a class-conditional model needs labels: set data.labels to a pattern")
    data, held_back = open_data(config.data, config.train.seed)
    model = build_model(config, data.label_table.num_classes)
    fit_normalizer(model, data)
    sampling = choose_sampling(model, config.sample)
    count = min(config.sample.num, len(data))
    asked = torch.stack([data[i * len(data) // count].labels for i in range(count)])
    with open_session(arguments) as session:
        session.fit(
            model, data, held_back, sampling=sampling,
            make=lambda averaged, generator: averaged.generate(
                count, config.data.length, config.sample.steps, generator=generator,
                labels=asked.to(generator.device), **sampling._asdict(),
            ),
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_recipe(main))
