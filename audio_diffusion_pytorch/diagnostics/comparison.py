"""Two rows of sounds as one picture: what was made under what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .files import write_aside
from .plots import FLOOR_DB, draw_spectrogram, new_figure, png_of


def save_comparison(
    path: str | Path,
    upper: Sequence[Tensor],
    lower: Sequence[Tensor],
    sample_rate: int,
    titles: Sequence[str],
    rows: tuple[str, str] = ("real", "made"),
) -> None:
    """Write a PNG with a column of two spectrograms per title.

    Args:
        path: the PNG file; written aside, then renamed.
        upper: sounds `(c, t)` of the first row.
        lower: those of the second row, as many.
        sample_rate: Hz.
        titles: a line above each column.
        rows: what the rows are.

    Raises:
        ValueError: the rows differ in length, or there are no sounds.
        ImportError: matplotlib is missing (extra `[train]`).
        OSError: the file cannot be written.
    """
    count = len(titles)
    if count == 0 or len(upper) != count or len(lower) != count:
        raise ValueError(
            f"a comparison needs as many sounds in both rows as titles, got {len(upper)} and "
            f"{len(lower)} for {count} titles"
        )
    figure, axes = new_figure(2.4 * count + 0.8, 4.4, rows=2, columns=count)
    for row, (name, sounds) in enumerate(zip(rows, (upper, lower), strict=True)):
        for column, sound in enumerate(sounds):
            place = axes[row][column]
            mesh = draw_spectrogram(place, sound, sample_rate)
            place.set_ylabel(f"{name}\nfrequency (Hz)" if column == 0 else "")
            place.set_xlabel("time (s)" if row == 1 else "")
            if column > 0:
                place.set_yticklabels([])
            if row == 0:
                place.set_title(titles[column], fontsize=10)
                place.set_xticklabels([])
    bar = figure.colorbar(mesh, ax=[place for line in axes for place in line], pad=0.02, aspect=30)
    bar.set_label(f"dB under the loudest, {FLOOR_DB:.0f}..0")
    write_aside(path, png_of(figure))
