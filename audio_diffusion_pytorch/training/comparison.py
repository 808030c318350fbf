"""Held-back clips beside what a model and simpler means make of them: heard, seen and measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.utils.data import default_collate

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.data.save import save_audio
from audio_diffusion_pytorch.diagnostics import MetricRow, Report, Verdict, save_comparison
from audio_diffusion_pytorch.diagnostics.report import format_value
from audio_diffusion_pytorch.metrics import log_spectral_distance

from .objective import to_device

Answer = Callable[[nn.Module, Clip, Generator], Mapping[str, Tensor]]
"""Makes sounds of batched clips, each `(b, c, t)`, by name: the model's first, baselines after."""
ORIGINAL = "original"


class Measure(NamedTuple):
    """A distance of sounds to their originals: lower is better.

    Attributes:
        name: What it is called.
        unit: Of the distance.
        distance: `(sounds, originals) -> (b,)`, both `(b, c, t)`.
    """

    name: str = "log-spectral distance"
    unit: str = "dB"
    distance: Callable[[Tensor, Tensor], Tensor] = log_spectral_distance


@dataclass(frozen=True)
class Compared:
    """Clips beside what was made of them, and how far it is from them.

    Attributes:
        names: Of the clips that are shown.
        sounds: Of these, by what made them, `(n, c, t)` on the CPU: "original" first, then the
            model's, then those of baselines.
        distances: By measure and by what made the sounds, `(m,)` of every clip that was measured.
        measures: The measures, in order.
        held_back: Whether the clips were never trained on.
    """

    names: list[str]
    sounds: dict[str, Tensor]
    distances: list[dict[str, Tensor]]
    measures: Sequence[Measure]
    held_back: bool

    @property
    def made(self) -> Tensor:
        """What the model made of the clips that are shown, `(n, c, t)`."""
        return self.sounds[self.by_model]

    @property
    def by_model(self) -> str:
        """The name under which the model's sounds stand."""
        return [*self.sounds][1]

    def means(self, measure: int = 0) -> dict[str, float]:
        """Return the mean distances of a measure, by what made the sounds, the model's first."""
        distances = self.distances[measure]
        return {name: float(values.mean()) for name, values in distances.items()}

    def rows(self) -> list[MetricRow]:
        """Return the table: the mean distance of each name, the model's beside the best baseline.

        A model that is no nearer than the best baseline is one to look closer at.
        """
        rows = []
        for index, (measure, distances) in enumerate(
            zip(self.measures, self.distances, strict=True)
        ):
            means = self.means(index)
            ours, *others = means
            target, verdict = "", "info"
            if others:
                best = min(others, key=lambda name: means[name])
                target = f"below {format_value(means[best], measure.unit)} ({best})"
                verdict = "pass" if means[ours] < means[best] else "warn"
            rows.append(_row(measure, ours, means[ours], target, verdict))  # type: ignore[arg-type]
            rows += [_row(measure, name, means[name]) for name in others]
            for name in others:
                nearer = int((distances[ours] < distances[name]).sum())
                by = f" by {measure.name}" if len(self.measures) > 1 else ""
                share = f"{nearer} of {len(distances[name])}"
                rows.append(MetricRow(f"  clips where {ours} beats {name}{by}", share))
        return rows

    def sentence(self) -> str:
        """Return the result in plain words."""
        count = len(next(iter(self.distances[0].values())))
        whose = "held-back" if self.held_back else "training"
        said = []
        for index, measure in enumerate(self.measures):
            means = [
                f"{name} {format_value(mean, measure.unit)}"
                for name, mean in self.means(index).items()
            ]
            what = measure.name[:1].upper() + measure.name[1:]
            said.append(f"{what} over {count} {whose} clips, lower is better: {', '.join(means)}.")
        return " ".join(said)

    def write(self, folder: Path, sample_rate: int, prefix: str = "") -> None:
        """Write each sound as `clip_0_original.wav`, ... and all as one `comparison.png`.

        Args:
            folder: Where to; made if need be.
            sample_rate: Hz.
            prefix: What all file names begin with.

        Raises:
            OSError: The folder cannot be written.
        """
        for name, sounds in self.sounds.items():
            for number, sound in enumerate(sounds):
                path = folder / f"{prefix}clip_{number}_{file_word(name)}.wav"
                save_audio(path, sound, sample_rate)
        save_comparison(folder / f"{prefix}comparison.png", self.sounds, sample_rate, self.names)

    def add_to(self, report: Report, sample_rate: int) -> None:
        """Put sentence, figures, rows and, clip by clip, the sounds (Hz) into a report."""
        report.paragraph(self.sentence())
        for index, measure in enumerate(self.measures):
            for name, mean in self.means(index).items():
                report.figure(f"{measure.name}, {name}", mean, measure.unit)
        report.rows.extend(self.rows())
        self.add_sounds(report, sample_rate)

    def add_sounds(self, report: Report, sample_rate: int, about: str = "") -> None:
        """Put the sounds into a report, clip by clip.

        Args:
            report: The report.
            sample_rate: Hz.
            about: What was done to the clips, behind the name of each.
        """
        for index, clip in enumerate(self.names):
            group = f"{clip}: {about}" if about else clip
            for name, sounds in self.sounds.items():
                note = "" if name == ORIGINAL else self._note(name, index)
                report.sound(name, sounds[index], sample_rate, note, group)

    def _note(self, name: str, index: int) -> str:
        original = self.sounds[ORIGINAL][index : index + 1]
        sound = self.sounds[name][index : index + 1]
        return ", ".join(
            f"{measure.name} {format_value(float(measure.distance(sound, original)), measure.unit)}"
            for measure in self.measures
        )


def _row(
    measure: Measure, name: str, value: float, target: str = "", verdict: Verdict = "info"
) -> MetricRow:
    return MetricRow(f"{measure.name}, {name}", value, target, verdict, measure.unit)


@dataclass(frozen=True)
class Comparison:
    """What a recipe makes of clips, to be shown while it trains and scored at its end.

    Given to `Session.fit` as `make`.

    Attributes:
        data: The training clips, which judge if nothing is held back.
        held_back: Clips never trained on.
        answer: Makes the sounds; the model is the averaged one. Sounds longer than the clips are
            cut, shorter ones filled with zeros.
        shown: How many clips are heard and seen.
        scored: How many are measured at most, spread evenly over the folder.
        measures: How they are measured.
        batch_size: Clips answered at a time.
    """

    data: AudioFolder
    held_back: AudioFolder | None
    answer: Answer
    shown: int = 4
    scored: int = 64
    measures: Sequence[Measure] = field(default_factory=lambda: (Measure(),))
    batch_size: int = 16

    @property
    def clips(self) -> AudioFolder:
        """The clips that judge."""
        return self.data if self.held_back is None else self.held_back

    def __call__(self, model: nn.Module, generator: Generator) -> Compared:
        """Return the shown clips and what is made of them.

        Args:
            model: The model, in the mode it should answer in.
            generator: Of all that is random, on the device of the model.

        Raises:
            ValueError: An answer has other clips or channels, or the name of the original.
        """
        return self._compare(model, generator, self._shown())

    def score(self, model: nn.Module, generator: Generator) -> Compared:
        """Return the same, measured on all clips that are to be scored."""
        count = min(len(self.clips), max(self.scored, self.shown))
        return self._compare(model, generator, spread(len(self.clips), count))

    def _shown(self) -> list[int]:
        count = min(len(self.clips), max(self.scored, self.shown))
        scored = spread(len(self.clips), count)
        return [scored[place] for place in spread(count, min(self.shown, count))]

    @torch.no_grad()
    def _compare(self, model: nn.Module, generator: Generator, chosen: list[int]) -> Compared:
        shown = set(self._shown())
        names: list[str] = []
        kept: dict[str, list[Tensor]] = {}
        distances: list[dict[str, list[Tensor]]] = [{} for _ in self.measures]
        for first in range(0, len(chosen), self.batch_size):
            indices = chosen[first : first + self.batch_size]
            clips: Clip = default_collate([self.clips[0, index] for index in indices])
            original = clips.audio
            answers = self.answer(model, to_device(clips, generator.device), generator)
            places = [place for place, index in enumerate(indices) if index in shown]
            names += [clip_name(clips.name[place]) for place in places]
            kept.setdefault(ORIGINAL, []).append(original[places])
            for name, answered in answers.items():
                sounds = _as_long(name, answered, original)
                kept.setdefault(name, []).append(sounds[places])
                for measure, found in zip(self.measures, distances, strict=True):
                    found.setdefault(name, []).append(measure.distance(sounds, original).cpu())
        return Compared(
            names,
            {name: torch.cat(parts) for name, parts in kept.items()},
            [{name: torch.cat(parts) for name, parts in found.items()} for found in distances],
            self.measures,
            self.held_back is not None,
        )


def spread(total: int, count: int) -> list[int]:
    """Return `count` of the numbers below `total`, spread evenly, the first one included."""
    return [place * total // count for place in range(count)]


def clip_name(name: str) -> str:
    """Return a clip's file without folder, suffix and place: "sub/069_A4.flac@0" is "069_A4"."""
    return PurePath(name.rpartition("@")[0] or name).stem


def file_word(name: str) -> str:
    """Return a name as it can stand in a file's: letters, digits and `_`."""
    return re.sub(r"\W+", "_", name).strip("_")


def _as_long(name: str, answered: Tensor, original: Tensor) -> Tensor:
    """Return an answer `(b, c, t)` as long as the original, float32 on the CPU."""
    sounds = answered.detach().float().cpu()
    if name == ORIGINAL or sounds.ndim != 3 or sounds.shape[:2] != original.shape[:2]:
        raise ValueError(
            f"the answer {name!r} must be sounds {tuple(original.shape)} under a name other than "
            f"{ORIGINAL!r}, got {tuple(sounds.shape)}"
        )
    missing = original.shape[-1] - sounds.shape[-1]
    return torch.nn.functional.pad(sounds, (0, missing))  # a negative pad cuts
