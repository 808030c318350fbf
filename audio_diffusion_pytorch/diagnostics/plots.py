"""Pictures of sounds and of training curves, drawn by matplotlib without a screen."""

from __future__ import annotations

import importlib
import io
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .files import write_aside

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Dark to light with steadily rising lightness, so that it also reads in grey.
_COLOURS = (
    (6, 6, 16), (36, 20, 84), (92, 28, 122), (150, 44, 124),
    (208, 66, 108), (244, 112, 88), (252, 178, 118), (252, 246, 196),
)  # fmt: skip
FLOOR_DB = -80.0
"""Levels below this, in dB under the loudest point, are drawn as silence."""


def as_audio(audio: Tensor | NDArray[Any]) -> Tensor:
    """Any one sound as float32 `(c, t)` on the CPU; `(t,)` becomes one channel.

    Raises:
        ValueError: it is neither `(t,)` nor `(c, t)`, or has no samples.
    """
    sound = torch.as_tensor(audio).detach().to("cpu", torch.float32)
    if sound.ndim == 1:
        sound = sound[None]
    if sound.ndim != 2 or sound.shape[0] == 0 or sound.shape[1] == 0:
        raise ValueError(
            f"expected one sound (channels, samples), got shape {tuple(sound.shape)}; "
            "pass the items of a batch one by one"
        )
    return sound


def log_spectrogram(
    audio: Tensor | NDArray[Any], sample_rate: int, bins: int = 128, frames: int = 256
) -> tuple[Tensor, Tensor]:
    """A picture of a sound: level over time and frequency, the frequencies spaced as pitches.

    Channels are averaged in power. Non-finite samples count as silence.

    Args:
        audio: `(c, t)` or `(t,)`.
        sample_rate: Hz.
        bins: rows, from about 30 Hz (or what a window can resolve) to half the sample rate.
        frames: columns, at most; short sounds have fewer.

    Returns:
        `(bins, frames)` in dB under the loudest point, `FLOOR_DB`..0, the lowest frequency first;
        and the frequencies of the rows `(bins,)` in Hz. Silence is `FLOOR_DB` everywhere.

    Raises:
        ValueError: `audio` is not one sound.
    """
    sound = torch.nan_to_num(as_audio(audio), nan=0.0, posinf=0.0, neginf=0.0)
    # 64 ms resolve the harmonics of a low voice; no shorter than 256 samples at low rates.
    window = 2 ** max(8, round(math.log2(0.064 * sample_rate)))
    length = sound.shape[-1]
    hop = max(window // 16, math.ceil(length / frames))
    spectrum = torch.stft(
        torch.nn.functional.pad(sound, (window // 2, window // 2 + window)),
        window,
        hop,
        window=torch.hann_window(window),
        center=False,
        return_complex=True,
    )
    power = spectrum.abs().square().mean(0)[:, : max(1, math.ceil(length / hop))]
    lowest = max(30.0, sample_rate / window)
    frequencies = torch.logspace(math.log10(lowest), math.log10(sample_rate / 2), bins)
    # Between two bins of the transform the level is interpolated; many bins in a row: the loudest.
    position = (frequencies * window / sample_rate).clamp(max=power.shape[0] - 1.0)
    below = position.floor().long()
    above = (below + 1).clamp(max=power.shape[0] - 1)
    part = (position - below)[:, None]
    rows = power[below] * (1 - part) + power[above] * part
    for row in range(bins - 1):
        if below[row + 1] - below[row] > 1:
            rows[row] = power[below[row] : below[row + 1]].amax(0)
    loudest = rows.amax()
    if not loudest > 1e-12:
        return torch.full_like(rows, FLOOR_DB), frequencies
    return (10 * torch.log10(rows / loudest + 1e-12)).clamp(min=FLOOR_DB), frequencies


def spectrogram_image(
    audio: Tensor | NDArray[Any], sample_rate: int, height: int = 128, width: int = 256
) -> NDArray[np.uint8]:
    """A spectrogram without axes, for logs and reports.

    Args:
        audio: `(c, t)` or `(t,)`.
        sample_rate: Hz.
        height: rows of the picture.
        width: columns at most.

    Returns:
        `(h, w, 3)` uint8, high frequencies on top, black at `FLOOR_DB`.

    Raises:
        ValueError: `audio` is not one sound.
    """
    level, _ = log_spectrogram(audio, sample_rate, height, width)
    shade = (level.flip(0) / FLOOR_DB).neg().add(1) * (len(_COLOURS) - 1)
    colours = torch.tensor(_COLOURS, dtype=torch.float32)
    below = shade.floor().long().clamp(max=len(_COLOURS) - 2)
    part = (shade - below)[..., None]
    mixed = colours[below] * (1 - part) + colours[below + 1] * part
    image: NDArray[np.uint8] = mixed.round().to(torch.uint8).numpy()
    return image


def save_spectrogram(
    path: str | Path, audio: Tensor | NDArray[Any], sample_rate: int, title: str = ""
) -> None:
    """Writes a PNG: waveform above, spectrogram below, axes in seconds and Hz.

    Args:
        path: the PNG file; written aside, then renamed.
        audio: `(c, t)` or `(t,)`.
        sample_rate: Hz.
        title: a line above the picture.

    Raises:
        ValueError: `audio` is not one sound.
        ImportError: matplotlib is missing (extra `[train]`).
        OSError: the file cannot be written.
    """
    sound = as_audio(audio)
    seconds = sound.shape[-1] / sample_rate
    figure, grid = new_figure(7.0, 4.2, rows=2, ratios=(1, 3))
    (top,), (bottom,) = grid
    low, high, times = _outline(torch.nan_to_num(sound), seconds)
    top.fill_between(times.numpy(), low.numpy(), high.numpy(), color="#3b528b", linewidth=0.5)
    limit = max(1.0, float(high.max()), float(-low.min()))
    top.set(xlim=(0, seconds), ylim=(-limit, limit), yticks=[-limit, 0, limit], xticklabels=[])
    top.set_yticklabels([f"{-limit:.3g}", "0", f"{limit:.3g}"])
    top.grid(alpha=0.25)
    mesh = draw_spectrogram(bottom, sound, sample_rate)
    bottom.set(xlabel="time (s)", ylabel="frequency (Hz)")
    bar = figure.colorbar(mesh, ax=[top, bottom], pad=0.02, aspect=30)
    bar.set_label("level (dB under the loudest)")
    if title:
        top.set_title(title, loc="left", fontsize=10)
    write_aside(path, png_of(figure))


def draw_spectrogram(place: Any, sound: Tensor, sample_rate: int) -> Any:
    """Draw the spectrogram of `sound (c, t)` on matplotlib axes; returns the coloured mesh."""
    level, frequencies = log_spectrogram(sound, sample_rate, 256, 512)
    seconds = sound.shape[-1] / sample_rate
    edges_t = torch.linspace(0, seconds, level.shape[1] + 1)
    ratio = frequencies[1] / frequencies[0]
    edges_f = torch.cat([frequencies, frequencies[-1:] * ratio]) / ratio.sqrt()
    mesh = place.pcolormesh(
        edges_t.numpy(), edges_f.numpy(), level.numpy(), cmap="magma", vmin=FLOOR_DB, vmax=0
    )
    mesh.set_rasterized(True)
    place.set_yscale("log")
    ticks = frequency_ticks(float(edges_f[0]), float(edges_f[-1]))
    place.set_yticks(list(ticks), labels=list(ticks.values()))
    place.minorticks_off()
    place.set_xlim(0, seconds)
    place.set_ylim(float(edges_f[0]), float(edges_f[-1]))
    return mesh


def loss_curve_image(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str = "loss",
    log: bool = True,
) -> NDArray[np.uint8]:
    """Training curves as a picture.

    Args:
        curves: by name the steps and the values; non-finite values are gaps.
        title: a line above the picture.
        log: whether the values' axis is logarithmic (only if all values are above 0).

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        ImportError: matplotlib is missing (extra `[train]`).
    """
    figure, ((axes,),) = new_figure(7.0, 3.6)
    finite = []
    for name, (steps, values) in curves.items():
        axes.plot(list(steps), list(values), label=name, linewidth=1.5)
        finite += [value for value in values if math.isfinite(value)]
    if log and finite and min(finite) > 0:
        axes.set_yscale("log")
    axes.set(xlabel="step")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    if curves:
        axes.legend(frameon=False)
    figure.canvas.draw()
    pixels: Any = figure.canvas.buffer_rgba()
    image: NDArray[np.uint8] = np.array(pixels, dtype=np.uint8)[..., :3].copy()
    return image


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """An `(h, w, 3)` uint8 picture as the bytes of a PNG file (W3C PNG, section 5)."""
    height, width, _ = image.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    rows = b"".join(b"\0" + image[row].tobytes() for row in range(height))  # filter 0: none
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def frequency_ticks(lowest: float, highest: float) -> dict[int, str]:
    """Round frequencies in Hz between two limits, with their labels."""
    round_ones = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
    return {
        tick: f"{tick // 1000}k" if tick >= 1000 else str(tick)
        for tick in round_ones
        if lowest <= tick <= highest
    }


def outline(audio: Tensor | NDArray[Any], columns: int) -> tuple[list[float], list[float]]:
    """The lowest and the highest sample of each of at most `columns` parts, over all channels."""
    low, high, _ = _outline(torch.nan_to_num(as_audio(audio)), 1.0, columns)
    return low.tolist(), high.tolist()


def _outline(sound: Tensor, seconds: float, columns: int = 1000) -> tuple[Tensor, Tensor, Tensor]:
    parts = torch.tensor_split(sound, min(columns, sound.shape[-1]), dim=-1)
    low = torch.stack([part.min() for part in parts])
    high = torch.stack([part.max() for part in parts])
    return low, high, torch.linspace(0, seconds, len(parts))


def _matplotlib(module: str) -> Any:
    try:
        package = importlib.import_module("matplotlib")
        importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        raise ImportError(
            'pictures need matplotlib: pip install "audio-diffusion-pytorch[train]"'
        ) from None
    return package


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, ratios: Sequence[int] = ()
) -> tuple[Any, Any]:
    """A figure of its own on an Agg canvas and its grid of axes, `grid[row][column]`.

    No global state and no backend of the user's changes. `ratios` are the heights of the rows.
    """
    package = _matplotlib("figure")
    _matplotlib("backends.backend_agg")
    figure = package.figure.Figure(figsize=(width, height), dpi=120, layout="constrained")
    package.backends.backend_agg.FigureCanvasAgg(figure)
    heights = {"height_ratios": list(ratios or [1] * rows)}
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=heights)


def png_of(figure: Any) -> bytes:
    """The figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
