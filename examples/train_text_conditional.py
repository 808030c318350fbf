"""Train a model that makes the sound it is told of in words: by default piano notes.

python examples/train_text_conditional.py train.max_minutes=8

Captions are made of the labels: `069_A4_ff.flac` is "A4, very loud". For sounds of your own give
`data.path` and `data.labels`, a CSV manifest with the columns `file` and `caption`, or a pattern
with named groups; `text.encoder=t5-small` understands language. The report has held-back clips
beside what their captions made, and says how many of these have another pitch than the clip.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch
from captions import CaptionedConfig, CaptionLoss, Captions, build_captioned
from recipe import choose_sampling, fit_normalizer
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.metrics import cents, estimate_pitch
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
    arguments = parse_recipe(__doc__, CaptionedConfig)
    config = arguments.config
    if config.data.labels is None:
        raise ValueError("captions are made of labels: set data.labels to a manifest or a pattern")
    data, held_back = open_data(config.data, config.train.seed)
    captions = Captions(data.label_table)
    model = build_captioned(config)
    fit_normalizer(model, data)
    sampling = choose_sampling(model, config.sample)
    rate = config.data.sample_rate

    def answer(averaged: nn.Module, clips: Clip, generator: Generator) -> Mapping[str, Tensor]:
        sounds = averaged.generate(
            len(clips.audio),
            config.data.length,
            config.sample.steps,
            generator=generator,
            text=captions(clips.labels),
            **sampling._asdict(),
        )
        return {"its caption": sounds, "another caption": sounds.roll(len(sounds) // 2, dims=0)}

    def wrong_pitch(sounds: Tensor, originals: Tensor) -> Tensor:
        made, meant = (estimate_pitch(x.mean(1), rate).frequency for x in (sounds, originals))
        return 100.0 * ~(cents(made, meant).abs() <= 50)  # no pitch at all is wrong, too

    measures = [Measure("pitch mismatch", "%", wrong_pitch), Measure()]
    print("captions, for example:", *captions(torch.stack([data[0].labels, data[-1].labels])))
    with open_session(arguments) as session:
        session.fit(
            model,
            data,
            held_back,
            make=Comparison(data, held_back, answer, measures=measures),
            loss=CaptionLoss(captions, config.text.dropout),
            sampling=sampling,
        )


if __name__ == "__main__":
    sys.exit(run_recipe(main))
