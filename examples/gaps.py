"""Gaps cut into recordings, filled by a model and by simpler means, and measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from linear_prediction import fill_from_both_sides, fill_least_squares
from torch import Generator, Tensor

from audio_diffusion_pytorch.data import AudioFolder, Clip
from audio_diffusion_pytorch.diagnostics import MetricRow, Report, write_aside, write_report
from audio_diffusion_pytorch.metrics import log_spectral_distance
from audio_diffusion_pytorch.models import DiffusionModel, inpaint
from audio_diffusion_pytorch.training import Compared, Comparison, Measure, Run

MODEL, SILENCE = "model", "silence"
PREDICTION, LEAST_SQUARES = "linear prediction", "least squares"
Distances = dict[str, float]
"""By what filled a gap, the mean distance in dB."""
CLEARLY = 0.5
"""A model's distance is to be at most this part of that of silence."""


class Gap(NamedTuple):
    """Samples `start..end` that are missing.

    Attributes:
        place: "start" of the clip, where a note is struck, or its "middle", where it rings.
        milliseconds: How long.
        start: First sample.
        end: The one after the last.
    """

    place: str
    milliseconds: float
    start: int
    end: int

    @property
    def name(self) -> str:
        """How it is told."""
        return f"{self.place}, {self.milliseconds:g} ms"

    def distance(self, sounds: Tensor, originals: Tensor) -> Tensor:
        """Return the log-spectral distance `(b,)` in dB inside the gap.

        Frames of 256 samples every 64, so that the shortest gap holds some that see nothing else.
        """
        inside = slice(self.start, self.end)
        return log_spectral_distance(sounds[..., inside], originals[..., inside], 256, 64)


def gaps_asked(
    milliseconds: Sequence[float], places: Sequence[str], length: int, sample_rate: int
) -> list[Gap]:
    """Return the gaps of these lengths at these places of clips of `length` samples.

    Raises:
        ValueError: A gap is not above 0, or leaves less than a quarter of the clip.
    """
    gaps = []
    for place in places:
        for duration in sorted(milliseconds):
            size = round(duration * sample_rate / 1000)
            if not 1 <= size <= 0.75 * length:
                raise ValueError(
                    f"--gaps takes milliseconds, up to {750 * length / sample_rate:.0f} in clips "
                    f"of {length / sample_rate:.2f} s, got {duration:g}"
                )
            start = 0 if place == "start" else (length - size) // 2
            gaps.append(Gap(place, duration, start, start + size))
    return gaps


def fill_gap(
    model: DiffusionModel, clips: Clip, generator: Generator, gap: Gap, ask: dict[str, Any]
) -> dict[str, Tensor]:
    """Return clips `(b, c, t)` with a gap filled by the model, and by what needs no training."""
    cut = clips.audio.clone()
    cut[..., gap.start : gap.end] = 0
    place = torch.arange(cut.shape[-1], device=cut.device)
    kept = (place < gap.start) | (place >= gap.end)
    labels = {"labels": clips.labels} if clips.labels.shape[-1] else {}
    made = inpaint(model, cut, kept, generator=generator, **ask, **labels)
    known = cut.cpu()
    return {
        MODEL: made,
        SILENCE: known,
        PREDICTION: fill_from_both_sides(known, gap.start, gap.end),
        LEAST_SQUARES: fill_least_squares(known, gap.start, gap.end),
    }


def compare_gap(
    model: DiffusionModel,
    data: AudioFolder,
    held_back: AudioFolder | None,
    gap: Gap,
    generator: Generator,
    ask: dict[str, Any],
) -> Compared:
    """Return held-back clips beside what fills a gap in them, measured in the gap."""

    def answer(model: Any, clips: Clip, generator: Generator) -> dict[str, Tensor]:
        return fill_gap(model, clips, generator, gap, ask)

    measures = (Measure("distance in the gap", "dB", gap.distance),)
    return Comparison(data, held_back, answer, 3, measures=measures).score(model, generator)


WAYS = (MODEL, SILENCE, PREDICTION, LEAST_SQUARES)
HEADER = f"{'gap (dB from the original)':28}" + "".join(f"{name:>20}" for name in WAYS)


def line(gap: Gap, means: Distances) -> str:
    """Return the distances of a gap as a line under `HEADER`."""
    return f"{gap.name:28}" + "".join(f"{means[name]:20.2f}" for name in WAYS)


def table(results: dict[Gap, Distances]) -> list[MetricRow]:
    """Return a row per gap and way to fill it; a model passes that clearly beats silence."""
    rows = []
    for gap, means in results.items():
        model = MetricRow.at_most(gap.name, means[MODEL], CLEARLY * means[SILENCE], "dB")
        rows.append(model)
        rows += [
            MetricRow(f"  {gap.name}, {name}", value, unit="dB")
            for name, value in means.items()
            if name != MODEL
        ]
    return rows


def sentence(results: dict[Gap, Distances]) -> str:
    """Return in plain words where the model fills better than the best linear prediction."""
    said = []
    for place in dict.fromkeys(gap.place for gap in results):
        lengths = [gap.milliseconds for gap in results if gap.place == place]
        won = [
            gap.milliseconds
            for gap, means in results.items()
            if gap.place == place and means[MODEL] < min(means[PREDICTION], means[LEAST_SQUARES])
        ]
        if not won:
            told = f"linear prediction is nearer at every length up to {max(lengths):g} ms"
        elif won == lengths[-len(won) :]:
            told = f"the model is nearer than linear prediction from {won[0]:g} ms on"
        else:
            listed = ", ".join(f"{length:g}" for length in won)
            told = f"the model is nearer than linear prediction at {listed} ms"
        where = "At the start of the clips, where notes are struck," if place == "start" else (
            "In their middle"
        )  # fmt: skip
        said.append(f"{where} {told}.")
    return " ".join(said)


def write_report_of(
    folder: Path,
    run: Run,
    results: dict[Gap, Distances],
    heard: dict[str, Compared],
    sample_rate: int,
) -> None:
    """Write `inpainting.html` and `inpainting.json`.

    Args:
        folder: Where to.
        run: Whose model it was.
        results: The mean distances of each gap.
        heard: By place, the clips that are heard.
        sample_rate: Hz.
    """
    report = Report("Gaps in notes, filled and measured", run.directory.name)
    report.paragraph(sentence(results))
    report.rows.extend(table(results))
    for place, compared in heard.items():
        here = {gap.milliseconds: means for gap, means in results.items() if gap.place == place}
        report.curve(
            f"Distance in a gap at the {place} of the clip, lower is better",
            {
                name: ([*here], [means[name] for means in here.values()])
                for name in compared.means()
            },
            log=False,
            x_label="gap (ms)",
            y_label="dB",
        )
        report.figure(f"{place}, {max(here):g} ms, {MODEL}", here[max(here)][MODEL], "dB")
        compared.add_sounds(report, sample_rate, f"{max(here):g} ms missing at the {place}")
    write_report(folder / "inpainting.html", report, max_sounds=len(report.sounds))
    figures = {gap.name: means for gap, means in results.items()}
    write_aside(folder / "inpainting.json", json.dumps(figures, indent=1) + "\n")
