"""What is measured of one stretch of sound: the facts that all checks of the data judge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.source import resample

from .bandwidth_edge import spectrum_edge
from .flat_tops import FlatTops, flat_tops

FRAME_SECONDS = 0.05
THUMBNAIL_RATE = 4000  # Hz: holds the fundamentals of music, and comparing it is cheap
LOWEST_DB = -200.0
MOST_SHIFT = 50  # samples: two microphones a foot apart


@dataclass(frozen=True)
class SoundFacts:
    """One stretch of sound, measured once; samples that are no numbers counted as 0.

    Attributes:
        name: Of the file, or of the clip.
        sample_rate: Hz.
        channels: How many.
        num_frames: Samples per channel.
        start: First sample in its file.
        not_finite: How many samples are NaN or infinite.
        rms: Root mean square over all channels, 1 is full scale.
        peak: Largest magnitude.
        offset: Mean of the channel where it is furthest from 0.
        offset_rms: Root mean square of the channels' means, at most `rms`.
        levels: Of each 50 ms, dBFS `(frames,)`.
        padding: Samples that are exactly 0 at the end.
        tops: Where the waveform was cut off.
        agreement: Correlation of the first two channels, -1..1; None for mono or a silent channel.
        shift: Samples by which the second channel lags where the two agree or disagree the most,
            within `MOST_SHIFT` either way; 0 for mono or a silent channel.
        apart: Level of their difference over that of their sum, dB; None likewise.
        edge: Frequency in Hz above which there is abruptly nothing; None where there is no such.
        digest: The same for the same samples only.
        thumbnail: The mono mix at `THUMBNAIL_RATE` `(u,)`.
    """

    name: str
    sample_rate: int
    channels: int
    num_frames: int
    start: int
    not_finite: int
    rms: float
    peak: float
    offset: float
    offset_rms: float
    levels: Tensor
    padding: int
    tops: FlatTops
    agreement: float | None
    shift: int
    apart: float | None
    edge: float | None
    digest: str
    thumbnail: Tensor

    @property
    def file(self) -> str:
        """The file it is from: a clip's name goes on with `@` and its place."""
        file, _, place = self.name.rpartition("@")
        return file if file and place.isdigit() else self.name

    @property
    def place(self) -> int:
        """Its first sample in that file, as far as it is known."""
        place = self.name.rpartition("@")[2]
        return int(place) if self.file != self.name and place.isdigit() else self.start

    @property
    def seconds(self) -> float:
        """Length in s."""
        return self.num_frames / self.sample_rate

    @property
    def rms_db(self) -> float:
        """Level in dBFS."""
        return to_db(self.rms)


def measure_sound(audio: Tensor, sample_rate: int, name: str = "", start: int = 0) -> SoundFacts:
    """Measure one sound `(c, t)` at `sample_rate` Hz.

    Args:
        audio: At least one sample; 1 is full scale.
        sample_rate: Hz.
        name: To call it by.
        start: Its first sample's place in the file.

    Raises:
        ValueError: It is not `(c, t)` with a sample in it, or the rate is not above 0.
    """
    if audio.ndim != 2 or audio.numel() == 0 or sample_rate < 1:
        raise ValueError(
            "a sound to measure is (c, t) with at least one sample at a rate above 0 Hz, got "
            f"{tuple(audio.shape)} at {sample_rate} Hz"
        )
    audio = audio.detach().cpu().float()
    finite = torch.isfinite(audio)
    audio = torch.where(finite, audio, torch.zeros(()))
    agreement, apart = _stereo(audio)
    shift = 0 if agreement is None else _shift(audio)
    mono = audio.mean(0, keepdim=True) if audio.shape[0] > 1 else audio
    means = audio.double().mean(1)
    return SoundFacts(
        name=name,
        sample_rate=sample_rate,
        channels=audio.shape[0],
        num_frames=audio.shape[1],
        start=start,
        not_finite=int((~finite).sum()),
        rms=float(audio.double().square().mean().sqrt()),
        peak=float(audio.abs().max()),
        offset=float(means[means.abs().argmax()]),
        offset_rms=float(means.square().mean().sqrt()),
        levels=_frame_levels(audio, sample_rate),
        padding=_padding(audio),
        tops=flat_tops(audio),
        agreement=agreement,
        shift=shift,
        apart=apart,
        edge=spectrum_edge(audio, sample_rate),
        digest=hashlib.sha256(audio.contiguous().numpy().tobytes()).hexdigest(),
        thumbnail=resample(mono, sample_rate, THUMBNAIL_RATE)[0].contiguous(),
    )


def measure_clips(clips: Clip | Tensor, sample_rate: int) -> list[SoundFacts]:
    """Measure clips as training sees them.

    Args:
        clips: Batched clips, or their audio `(b, c, t)`.
        sample_rate: Hz.

    Raises:
        ValueError: The audio is not `(b, c, t)`.
    """
    audio = clips.audio if isinstance(clips, Clip) else clips
    if audio.ndim != 3:
        raise ValueError(f"clips must be (b, c, t), got {tuple(audio.shape)}: collate them first")
    names = (
        list(clips.name) if isinstance(clips, Clip) else [f"clip {i}" for i in range(len(audio))]
    )
    return [
        measure_sound(sound, sample_rate, name) for sound, name in zip(audio, names, strict=True)
    ]


def to_db(amplitude: float) -> float:
    """An amplitude in dBFS, never below -200."""
    return max(LOWEST_DB, 20 * float(torch.tensor(max(amplitude, 1e-10)).double().log10()))


def from_db(decibels: float) -> float:
    """The amplitude of a level in dBFS."""
    return float(10 ** (decibels / 20))


def _frame_levels(audio: Tensor, sample_rate: int) -> Tensor:
    size = min(audio.shape[1], max(1, round(FRAME_SECONDS * sample_rate)))
    power = audio.square().mean(0).unfold(0, size, size).mean(1)
    return 10 * power.clamp_min(10 ** (LOWEST_DB / 10)).log10()


def _padding(audio: Tensor) -> int:
    sounding = audio.ne(0).any(0).nonzero()
    return audio.shape[1] - (int(sounding[-1]) + 1 if len(sounding) else 0)


def _stereo(audio: Tensor) -> tuple[float | None, float | None]:
    if audio.shape[0] < 2:
        return None, None
    left, right = audio[0].double(), audio[1].double()
    power = float(left.square().sum() * right.square().sum())
    if power == 0:
        return None, None
    sum_, difference = (left + right).square().mean().sqrt(), (left - right).square().mean().sqrt()
    agreement = float((left * right).sum()) / power**0.5
    return agreement, to_db(float(difference)) - to_db(float(sum_))


def _shift(audio: Tensor) -> int:
    """How many samples the second channel is behind the first: the best match of either sign."""
    left, right = audio[0].double(), audio[1].double()
    length = len(left)
    reach = min(MOST_SHIFT, length // 2)
    size = 1 << (length + reach).bit_length()
    products = torch.fft.irfft(
        torch.fft.rfft(right, size) * torch.fft.rfft(left, size).conj(), size
    )
    lags = torch.arange(-reach, reach + 1)
    sums = [torch.cat([x.new_zeros(1), x.square().cumsum(0)]) for x in (left, right)]
    behind, ahead = lags.clamp_min(0), (-lags).clamp_min(0)
    energies = (sums[0][length - behind] - sums[0][ahead]) * (
        sums[1][length - ahead] - sums[1][behind]
    )
    found = products[lags % size].abs() / energies.clamp_min(1e-30).sqrt()
    # Of equals (a tone matches every period) the least shift.
    near = (found >= found.max() - 1e-6).nonzero()[:, 0]
    return int(lags[near[lags[near].abs().argmin()]])
