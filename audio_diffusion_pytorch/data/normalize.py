"""Level: measuring loudness and peak, gains that are only applied when asked, fades, a limiter."""

from __future__ import annotations

from math import cos, log10, pi, sin

import torch
from torch import Tensor

SILENCE_PEAK = 1e-3  # -60 dBFS: below it a clip is noise floor and is never turned up
CLIP_PEAK_DB = -1.0
CLIP_LOUDNESS_LUFS = -23.0  # EBU R 128


def peak(audio: Tensor) -> float:
    """Largest absolute sample of `audio` (any shape), 0 for none."""
    return float(audio.abs().max()) if audio.numel() else 0.0


def to_decibels(gain: float) -> float:
    """An amplitude ratio in dB; minus infinity for 0."""
    return 20 * log10(gain) if gain > 0 else float("-inf")


def loudness(audio: Tensor, sample_rate: int) -> float:
    """Integrated loudness of `audio` `(c, t)` in LUFS; minus infinity for silence.

    Source: ITU-R BS.1770-4: K-weighting, 400 ms blocks with 75 % overlap, gates at -70 LUFS and
    10 LU below the mean. A sound shorter than one block is measured as one block. The weighting
    is applied in the frequency domain, so it costs one transform.
    """
    weighted = _k_weighted(audio.double(), sample_rate)
    block = round(0.4 * sample_rate)
    if weighted.shape[-1] < block:
        powers = weighted.square().mean(dim=-1, keepdim=True)
    else:
        powers = weighted.unfold(-1, block, round(0.1 * sample_rate)).square().mean(dim=-1)
    power = powers.sum(dim=0)  # all channels weigh 1: left, right, centre
    power = power[power > 10 ** ((-70 + 0.691) / 10)]
    if power.numel() == 0:
        return float("-inf")
    gated = power[power > power.mean() / 10]
    return -0.691 + 10 * log10(float(gated.mean()))


def normalize_peak(audio: Tensor, peak_db: float = CLIP_PEAK_DB) -> Tensor:
    """`audio` at a peak of `peak_db` dBFS; silence (below -60 dBFS) is left as it is."""
    level = peak(audio)
    return audio if level < SILENCE_PEAK else audio * (10 ** (peak_db / 20) / level)


def normalize_loudness(audio: Tensor, sample_rate: int, lufs: float = CLIP_LOUDNESS_LUFS) -> Tensor:
    """`audio` `(c, t)` at `lufs` LUFS; silence (below -60 dBFS or -70 LUFS) is left as it is."""
    level = loudness(audio, sample_rate) if peak(audio) >= SILENCE_PEAK else float("-inf")
    return audio if level == float("-inf") else audio * 10 ** ((lufs - level) / 20)


def fade_edges(audio: Tensor, num_samples: int) -> Tensor:
    """`audio` `(c, t)` with raised-cosine fades over `num_samples` at both ends."""
    num_samples = min(num_samples, audio.shape[-1] // 2)
    if num_samples <= 0:
        return audio
    ramp = 0.5 - 0.5 * torch.cos(torch.arange(num_samples) * (pi / num_samples))
    gain = torch.ones(audio.shape[-1])
    gain[:num_samples] = ramp
    gain[-num_samples:] = ramp.flip(0)
    return audio * gain


def limit(audio: Tensor, sample_rate: int, ceiling_db: float = -0.1) -> Tensor:
    """`audio` `(c, t)` with its gain lowered around peaks above `ceiling_db` dBFS, never raised.

    The gain is the least one needed within 5 ms to either side, smoothed over the same span: the
    mean of values that each suffice also suffices, so no sample passes the ceiling.
    """
    ceiling = 10 ** (ceiling_db / 20)
    if peak(audio) <= ceiling:
        return audio
    needed = (ceiling / audio.double().abs().amax(dim=0)).clamp_max(1.0)
    reach = max(1, round(0.005 * sample_rate))
    padded = torch.nn.functional.pad(needed[None], (2 * reach, 2 * reach), value=1.0)
    least = -torch.nn.functional.max_pool1d(-padded, 2 * reach + 1, stride=1)
    smooth = torch.nn.functional.avg_pool1d(least, 2 * reach + 1, stride=1)[0]
    limited: Tensor = (audio * smooth).clamp(-ceiling, ceiling).to(audio.dtype)
    return limited


def _k_weighted(audio: Tensor, sample_rate: int) -> Tensor:
    num_frames = audio.shape[-1]
    size = 2 ** (num_frames + sample_rate // 2 - 1).bit_length()  # room for the filters' tails
    angle = torch.arange(size // 2 + 1, dtype=torch.float64) * (2 * pi / size)
    response = _shelf(angle, sample_rate) * _highpass(angle, sample_rate)
    weighted: Tensor = torch.fft.irfft(torch.fft.rfft(audio, size) * response, size)
    return weighted[..., :num_frames]


def _shelf(angle: Tensor, sample_rate: int) -> Tensor:
    """+4 dB above about 1.5 kHz, the head: a biquad shelf designed for any rate."""
    gain, quality = 10 ** (4.0 / 40), 1 / 2**0.5
    w = 2 * pi * 1500.0 / sample_rate
    c, alpha = cos(w), sin(w) / (2 * quality)
    root = 2 * gain**0.5 * alpha
    above, below = gain + 1, gain - 1
    b = (gain * (above + below * c + root), -2 * gain * (below + above * c),
         gain * (above + below * c - root))  # fmt: skip
    a = (above - below * c + root, 2 * (below - above * c), above - below * c - root)
    return _response(b, a, angle)


def _highpass(angle: Tensor, sample_rate: int) -> Tensor:
    """A second-order high-pass at 38 Hz, quality 0.5."""
    w = 2 * pi * 38.0 / sample_rate
    c, alpha = cos(w), sin(w)
    b = ((1 + c) / 2, -(1 + c), (1 + c) / 2)
    return _response(b, (1 + alpha, -2 * c, 1 - alpha), angle)


def _response(
    b: tuple[float, float, float], a: tuple[float, float, float], angle: Tensor
) -> Tensor:
    z = torch.exp(-1j * angle)
    numerator: Tensor = b[0] + b[1] * z + b[2] * z * z
    denominator: Tensor = a[0] + a[1] * z + a[2] * z * z
    return torch.div(numerator, denominator)
