"""What stands in a data set, in numbers and plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from audio_diffusion_pytorch.data.errors import REMEDY


@dataclass
class DataReport:
    """What was found in a folder of sounds.

    Attributes:
        folder: where the sounds are.
        num_files: usable files.
        hours: their length together.
        num_items: clips in an epoch.
        length: samples of a clip.
        sample_rate: the rate of the clips, Hz.
        sample_rates: files by the rate they have, Hz.
        channels: files by the number of channels they have.
        short_files: names of files shorter than a clip.
        short: what is done with those: `"pad"` or `"skip"`.
        bad_files: names and reasons of files that cannot be used.
        silent_files: names of files that stay below -60 dBFS; None if samples were not looked at.
        unlabelled: usable files without a label; None for a data set without labels.
        in_memory: whether the sounds are kept in memory.
    """

    folder: str
    num_files: int = 0
    hours: float = 0.0
    num_items: int = 0
    length: int = 0
    sample_rate: int = 0
    sample_rates: dict[int, int] = field(default_factory=dict)
    channels: dict[int, int] = field(default_factory=dict)
    short_files: list[str] = field(default_factory=list)
    short: str = "pad"
    bad_files: list[tuple[str, str]] = field(default_factory=list)
    silent_files: list[str] | None = None
    unlabelled: int | None = None
    in_memory: bool = False

    def text(self) -> str:
        """Some lines for a person to read."""
        lines = [
            f"{self.folder}: {self.num_files} sound files, {_duration(self.hours)}, "
            f"{self.num_items} clips of {self.length} samples at {self.sample_rate} Hz",
            f"sample rates: {_histogram(self.sample_rates, 'Hz')}; "
            f"channels: {_histogram(self.channels, '')}",
        ]
        if self.short_files:
            done = "padded with zeros at the end" if self.short == "pad" else "left out"
            lines.append(f"{done}, shorter than a clip: {listing(self.short_files)}")
        lines.extend(f"left out, {without_remedy(why)}" for _, why in self.bad_files[:10])
        if len(self.bad_files) > 10:
            lines.append(f"left out, {len(self.bad_files) - 10} more bad files")
        if self.silent_files:
            lines.append(f"silent (never above -60 dBFS): {listing(self.silent_files)}")
        if self.silent_files is None:
            lines.append("only the headers were looked at; data.check=full decodes everything")
        if self.unlabelled:
            lines.append(f"without a label: {self.unlabelled} files")
        return "\n".join(lines)


def without_remedy(reason: str) -> str:
    """Why a file cannot be used, for where that has been dealt with.

    >>> without_remedy("a.wav: no sound in it; remove it or set data.bad=skip")
    'a.wav: no sound in it'
    """
    return reason.removesuffix(f"; {REMEDY}")


def listing(names: Sequence[str], limit: int = 3) -> str:
    """The count and first few of many names.

    >>> listing(["a.wav", "b.wav", "c.wav"], limit=2)
    '3 files (a.wav, b.wav, ...)'
    """
    shown = ", ".join([*names[:limit], *(["..."] if len(names) > limit else [])])
    return f"{len(names)} file{'s' if len(names) != 1 else ''} ({shown})"


def _histogram(counts: dict[int, int], unit: str) -> str:
    parts = [f"{value} {unit}".strip() + f" x {n}" for value, n in sorted(counts.items())]
    return ", ".join(parts) or "none"


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours >= 1 / 60 else f"{hours * 3600:.1f} s"
