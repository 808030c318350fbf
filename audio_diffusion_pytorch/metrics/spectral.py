"""How far the spectra of two sounds lie apart, in decibels, and which sound of a set is nearest."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.stft import power_spectrogram


def log_spectrogram(
    audio: Tensor, n_fft: int = 1024, hop: int = 256, floor_db: float = -80.0
) -> Tensor:
    """Log-power spectra `(..., frames, n_fft // 2 + 1)` in dB of `(..., t)`.

    0 dB is the peak of a full-scale sine; everything under `floor_db` is set to it, so that
    silence and inaudible noise have one finite level.

    Args:
        audio: `(..., t)`, full scale -1..1.
        n_fft: Frame length in samples (Hann window).
        hop: Samples between frames.
        floor_db: Lowest level in dB.
    """
    power = 4 * power_spectrogram(_floating(audio), n_fft, hop)  # 4: both halves of the amplitude
    return 10 * power.clamp(min=10 ** (floor_db / 10)).log10()


@torch.no_grad()
def log_spectral_distance(
    audio: Tensor, reference: Tensor, n_fft: int = 1024, hop: int = 256, floor_db: float = -80.0
) -> Tensor:
    """Distance in dB `(b,)` between sounds: the root-mean-square difference of their log spectra.

    With `L[n, k]` the level in dB of bin k in frame n (`log_spectrogram`),

        distance = mean over n of sqrt(mean over k of (L_audio[n, k] - L_reference[n, k])^2),

    averaged over channels: the measure d_2 of Gray and Markel 1976, "Distance measures for speech
    processing", IEEE Trans. ASSP 24(5), with the spectra of frames in place of model spectra.
    Symmetric, 0 for equal sounds, g dB for sounds that differ by a gain of g dB above the floor.

    Args:
        audio: `(b, t)` or `(b, c, t)`, full scale -1..1.
        reference: Of the same shape.
        n_fft: Frame length in samples.
        hop: Samples between frames.
        floor_db: Level in dB (0 is a full-scale sine) under which nothing is told apart.

    Raises:
        ValueError: For shapes that differ or have no batch axis.
    """
    _check_pair(audio, reference)
    pairs = zip(torch.split(audio, 64), torch.split(reference, 64), strict=True)
    distances = []
    for some, other in pairs:  # a few at a time, so that memory stays small
        difference = log_spectrogram(some, n_fft, hop, floor_db)
        difference = difference - log_spectrogram(other, n_fft, hop, floor_db)
        distances.append(difference.square().mean(-1).sqrt().flatten(1).mean(1))
    return torch.cat(distances)


@torch.no_grad()
def spectral_convergence(
    audio: Tensor, reference: Tensor, n_fft: int = 1024, hop: int = 256
) -> Tensor:
    """Relative error `(b,)` of the magnitude spectra: `||R| - |A|| / ||R||`, Frobenius norms.

    0 for equal sounds, 1 for silence against a sound; not symmetric. Source: Arik et al. 2018,
    "Fast spectrogram inversion using multi-head convolutional neural networks", eq. 1.

    Args:
        audio: `(b, t)` or `(b, c, t)`.
        reference: Of the same shape; a silent one gives infinity, or NaN where both are silent.
        n_fft: Frame length in samples.
        hop: Samples between frames.

    Raises:
        ValueError: For shapes that differ or have no batch axis.
    """
    _check_pair(audio, reference)
    found = power_spectrogram(_floating(audio), n_fft, hop).sqrt()
    wanted = power_spectrogram(_floating(reference), n_fft, hop).sqrt()
    error = (wanted - found).square().flatten(1).sum(1)
    return (error / wanted.square().flatten(1).sum(1)).sqrt()


@torch.no_grad()
def log_spectral_distances(
    query: Tensor, corpus: Tensor, n_fft: int = 1024, hop: int = 256, floor_db: float = -80.0
) -> Tensor:
    """`log_spectral_distance` of every query to every sound of a corpus: `(n, m)` in dB.

    Args:
        query: `(n, t)`.
        corpus: `(m, t)`; of the queries' length.
        n_fft: Frame length in samples.
        hop: Samples between frames.
        floor_db: Level in dB under which nothing is told apart.

    Raises:
        ValueError: For other shapes or lengths that differ.
    """
    if query.ndim != 2 or corpus.ndim != 2 or query.shape[-1] != corpus.shape[-1]:
        raise ValueError(
            "query (n, t) and corpus (m, t) of one length are needed, got "
            f"{tuple(query.shape)} and {tuple(corpus.shape)}; crop or pad them to one length"
        )
    wanted = log_spectrogram(query, n_fft, hop, floor_db).transpose(0, 1)
    columns = []
    for some in torch.split(corpus, 256):
        other = log_spectrogram(some, n_fft, hop, floor_db).transpose(0, 1)
        total = torch.zeros(len(query), len(some), dtype=wanted.dtype, device=wanted.device)
        for a, b in zip(wanted, other, strict=True):
            # Differences first: the matrix product form cannot tell equal sounds from near ones.
            total += torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        columns.append(total / (wanted.shape[-1] ** 0.5 * len(wanted)))
    return torch.cat(columns, 1)


def nearest_neighbour(
    query: Tensor, corpus: Tensor, n_fft: int = 1024, hop: int = 256, floor_db: float = -80.0
) -> tuple[Tensor, Tensor]:
    """The nearest sound of a corpus to each query: distance `(n,)` in dB and index `(n,)`.

    A distance near 0 for generated sounds means that the training set was learnt by heart.
    Arguments and errors are those of `log_spectral_distances`; ValueError for an empty corpus too.
    """
    if len(corpus) == 0:
        raise ValueError("the corpus must hold at least one sound, got none")
    distance, index = log_spectral_distances(query, corpus, n_fft, hop, floor_db).min(1)
    return distance, index


class LogSpectralDistance:
    """Mean `log_spectral_distance` in dB over all pairs given; answers `Metric`.

    Args:
        n_fft: Frame length in samples.
        hop: Samples between frames.
        floor_db: Level in dB (0 is a full-scale sine) under which nothing is told apart.
    """

    def __init__(self, n_fft: int = 1024, hop: int = 256, floor_db: float = -80.0) -> None:
        self.n_fft = n_fft
        self.hop = hop
        self.floor_db = floor_db
        self.reset()

    def reset(self) -> None:
        """Forget every pair."""
        self.total = 0.0
        self.count = 0

    def update(self, audio: Tensor, reference: Tensor) -> None:
        """Add the pairs of `audio` and `reference`, both (b, c, t) or (b, t)."""
        distance = log_spectral_distance(audio, reference, self.n_fft, self.hop, self.floor_db)
        self.total += float(distance.double().sum())
        self.count += len(distance)

    def compute(self) -> float:
        """Return the mean distance in dB; NaN before the first `update`."""
        return self.total / self.count if self.count else float("nan")


def _floating(audio: Tensor) -> Tensor:
    return audio if audio.dtype in (torch.float32, torch.float64) else audio.float()


def _check_pair(audio: Tensor, reference: Tensor) -> None:
    if audio.shape != reference.shape or audio.ndim < 2:
        raise ValueError(
            "two sounds of one shape (b, t) or (b, c, t) are needed, got "
            f"{tuple(audio.shape)} and {tuple(reference.shape)}; crop or pad them to one length"
        )
