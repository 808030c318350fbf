"""Rows of sounds as one picture: what was made under what was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from .files import write_aside
from .plots import FLOOR_DB, draw_spectrogram, new_figure, png_of


def save_comparison(
    path: str | Path,
    rows: Mapping[str, Sequence[Tensor] | Tensor],
    sample_rate: int,
    titles: Sequence[str],
) -> None:
    """Write a PNG with a column of spectrograms per title.

    Args:
        path: the PNG file; written aside, then renamed.
        rows: by name the sounds `(c, t)` of each row, one per title, the first row on top.
        sample_rate: Hz.
        titles: a line above each column.

    Raises:
        ValueError: the rows differ in length, or there are no sounds.
        ImportError: matplotlib is missing (extra `[train]`).
        OSError: the file cannot be written.
    """
    count = len(titles)
    if count == 0 or not rows or any(len(sounds) != count for sounds in rows.values()):
        found = " and ".join(str(len(sounds)) for sounds in rows.values()) or "no rows"
        raise ValueError(
            f"a comparison needs as many sounds in every row as titles, got {found} for {count} "
            "titles"
        )
    last = len(rows) - 1
    figure, axes = new_figure(2.4 * count + 0.8, 2.2 * len(rows), rows=len(rows), columns=count)
    for row, (name, sounds) in enumerate(rows.items()):
        for column, sound in enumerate(sounds):
            place = axes[row][column]
            mesh = draw_spectrogram(place, sound, sample_rate)
            place.set_ylabel(f"{name}\nfrequency (Hz)" if column == 0 else "")
            place.set_xlabel("time (s)" if row == last else "")
            if column > 0:
                place.set_yticklabels([])
            if row == 0:
                place.set_title(titles[column], fontsize=10)
            if row < last:
                place.set_xticklabels([])
    bar = figure.colorbar(mesh, ax=[place for line in axes for place in line], pad=0.02, aspect=30)
    bar.set_label(f"dB under the loudest, {FLOOR_DB:.0f}..0")
    write_aside(path, png_of(figure))
