"""Train a diffusion model on a folder of recordings and make new sounds like them.

python examples/train_unconditional.py data.path=DIR data.sample_rate=16000 train.max_minutes=10
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from recipe import Config, build_model, choose_sampling, fit_normalizer

from audio_diffusion_pytorch.training import (
    open_data,
    open_session,
    parse_recipe,
    run_recipe,
)


@dataclass
class UnconditionalConfig(Config):
    """The settings."""

    recipe: Literal["unconditional"] = "unconditional"


def main() -> None:
    """Train, then write sounds and a report to the run folder."""
    arguments = parse_recipe(__doc__, UnconditionalConfig)
    config = arguments.config
    if config.data.labels is not None:
        raise ValueError("data.labels is for train_class_conditional.py: use that, or leave it out")
    if config.sample.guidance != 1:
        raise ValueError("sample.guidance is for train_class_conditional.py: leave it out")
    data, held_back = open_data(config.data, config.train.seed)
    model = build_model(config)
    fit_normalizer(model, data)
    sampling = choose_sampling(model, config.sample)
    with open_session(arguments) as session:
        session.fit(
            model,
            data,
            held_back,
            make=lambda averaged, generator: averaged.generate(
                config.sample.num,
                config.data.length,
                config.sample.steps,
                generator=generator,
                **sampling._asdict(),
            ),
            sampling=sampling,
        )


if __name__ == "__main__":
    sys.exit(run_recipe(main))
