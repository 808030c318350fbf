"""Curves and sounds as inline SVG, whose colours follow the page's light or dark theme."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape

from torch import Tensor

from .plots import frequency_ticks, log_spectrogram, outline, png_bytes, spectrogram_image

Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By name, the steps and the values."""

_WIDTH, _HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 40
_COLOURS = 6
_BUCKETS = 180


def curve_svg(
    lines: Lines, title: str, log: bool = True, x_label: str = "step", y_label: str = "loss"
) -> str:
    """Curves in one frame with labelled axes and a legend that gives the last values.

    A curve of many points is drawn as its mean over short stretches, inside a pale band from the
    lowest to the highest value of each stretch. Non-finite values are left out.

    Args:
        lines: by name, the steps and the values.
        title: read out by screen readers.
        log: whether the values' axis is logarithmic (if all values are above 0).
        x_label: what the steps are.
        y_label: what the values are.
    """
    points = {name: _finite(*line) for name, line in lines.items()}
    points = {name: line for name, line in points.items() if line}
    if not points:
        return '<p class="quiet">No values were logged.</p>'
    every = [point for line in points.values() for point in line]
    x_low, x_high = min(x for x, _ in every), max(x for x, _ in every)
    y_low, y_high = min(y for _, y in every), max(y for _, y in every)
    log = log and y_low > 0
    x_ticks = _linear_ticks(x_low, x_high)
    y_ticks = _log_ticks(y_low, y_high) if log else _linear_ticks(y_low, y_high)
    y_low, y_high = _margin(min(y_low, *y_ticks), max(y_high, *y_ticks), log)

    def x_at(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - x_low) / ((x_high - x_low) or 1.0)

    def y_at(y: float) -> float:
        low, high, y = (math.log(v) for v in (y_low, y_high, y)) if log else (y_low, y_high, y)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (y - low) / ((high - low) or 1.0)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in y_ticks:
        y = y_at(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" ')
        parts.append(f'y2="{y:.1f}"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">')
        parts.append(f"{_tick(tick)}</text>")
    for tick in x_ticks:
        parts.append(f'<text x="{x_at(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" ')
        parts.append(f'text-anchor="middle">{_tick(tick)}</text>')
    base = _HEIGHT - _BOTTOM
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" ')
    parts.append(f'y1="{base}" y2="{base}"/>')
    for index, line in enumerate(points.values()):
        placed = [(x_at(x), y_at(y)) for x, y in line]
        parts.append(_line_svg(placed, f"c{index % _COLOURS}"))
    parts.append(f'<text class="label" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 5}" text-anchor="end">')
    parts.append(f"{escape(x_label)}</text></svg>")
    keys = "".join(
        f'<span><i class="c{index % _COLOURS}"></i>{escape(name)} '
        f"<b>{_tick(line[-1][1])}</b> at {_tick(line[-1][0])}</span>"
        for index, (name, line) in enumerate(points.items())
    )
    scale = f"{escape(y_label)}, {'logarithmic' if log else 'linear'} axis"
    legend = f'<p class="legend"><span>{scale}</span>{keys}</p>'
    return f'{legend}<div class="wide chart">{"".join(parts)}</div>'


def sound_svg(audio: Tensor, sample_rate: int, title: str) -> str:
    """A sound's waveform above its spectrogram, with axes in seconds and Hz.

    Args:
        audio: `(c, t)`.
        sample_rate: Hz.
        title: read out by screen readers.
    """
    width, height, left, wave = 300, 120, 30, 30
    seconds = audio.shape[-1] / sample_rate
    low, high = outline(audio, width)
    step = width / len(low)
    tall = max(1.0, max(high), -min(low))
    half = wave / 2

    top_edge = [(left + (i + 0.5) * step, half - half * v / tall) for i, v in enumerate(high)]
    low_edge = [(left + (i + 0.5) * step, half - half * v / tall) for i, v in enumerate(low)]
    picture = base64.b64encode(png_bytes(spectrogram_image(audio, sample_rate, height, width)))
    _, frequencies = log_spectrogram(audio[..., :1], sample_rate, height, 1)
    lowest, highest = float(frequencies[0]), float(frequencies[-1])
    top = wave + 6
    parts = [
        f'<svg viewBox="0 0 {left + width + 8} {top + height + 16}" role="img" '
        f'aria-label="waveform and spectrogram of {escape(title)}">'
        f'<polygon class="wave" points="{_joined(top_edge + low_edge[::-1])}"/>'
        f'<image x="{left}" y="{top}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{picture.decode("ascii")}"/>'
    ]
    free = top + height + 9.0  # the lowest place still without a label
    for tick, label in frequency_ticks(lowest, highest).items():
        y = top + height * (1 - math.log(tick / lowest) / math.log(highest / lowest))
        if free - y >= 11 and y > top - 2:
            parts.append(f'<text x="{left - 4}" y="{y + 3:.1f}" text-anchor="end">{label}</text>')
            free = y
    for second in _linear_ticks(0, seconds, 4):
        x = left + width * second / seconds
        anchor = "end" if x > left + width - 10 else "start" if x < left + 5 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{top + height + 12}" text-anchor="{anchor}">')
        parts.append(f"{second:g} s</text>")
    return "".join(parts) + "</svg>"


def _finite(steps: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    pairs = zip(steps, values, strict=True)
    return [(float(x), float(y)) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def _line_svg(points: list[tuple[float, float]], colour: str) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    band = ""
    if len(points) > 2 * _BUCKETS:
        size = math.ceil(len(points) / _BUCKETS)
        buckets = [points[start : start + size] for start in range(0, len(points), size)]
        means = [(_mean([x for x, _ in part]), _mean([y for _, y in part])) for part in buckets]
        highs = [(x, min(y for _, y in part)) for (x, _), part in zip(means, buckets, strict=True)]
        lows = [(x, max(y for _, y in part)) for (x, _), part in zip(means, buckets, strict=True)]
        band = f'<polygon class="band {colour}" points="{_joined(highs + lows[::-1])}"/>'
        points = means
    return f'{band}<polyline class="line {colour}" points="{_joined(points)}"/>'


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _margin(low: float, high: float, log: bool) -> tuple[float, float]:
    """A little air, and a range that is never empty."""
    if log:
        return (low, high) if high > low * 1.01 else (low / 2, high * 2)
    return (low, high) if high > low else (low - 1, high + 1)


def _linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from just below low to just above high, few enough to read."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{factor * 10.0**power:.6g}") for power in powers for factor in factors]
        start = max((i for i, tick in enumerate(ticks) if tick <= low), default=0)
        end = min((i for i, t in enumerate(ticks) if t >= high), default=len(ticks) - 1)
        if end - start < 7:
            return ticks[start : end + 1]
    return ticks[start : end + 1 : math.ceil((end - start + 1) / 7)]


def _tick(value: float) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.4g}"
