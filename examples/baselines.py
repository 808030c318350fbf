"""What needs no training: the answers that a trained model has to beat.

For a vocoder that is `MelSpectrogram.invert` (Griffin-Lim); for a sound that goes on or has a gap,
see `linear_prediction.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from audio_diffusion_pytorch import MDCT
from audio_diffusion_pytorch.ops.resample import resample


def sinc_interpolation(low: Tensor, factor: int) -> Tensor:
    """Return `(..., t * factor)` of a sound `(..., t)`: all that the lower rate holds, no more.

    Args:
        low: The sound at the lower rate.
        factor: How many times the rate rises.
    """
    return resample(low, 1, factor, lowpass_filter_width=32)


class LinearCode:
    """The best linear code of a rate: what DiffusionAE has to beat with as many numbers a second.

    Frames of a lapped orthonormal transform are projected on the directions in which the training
    clips vary most (principal components: the least squared error that `values` numbers a frame
    allow), and put together again.

    Args:
        clips: Training clips, batches `(b, c, t)`.
        frame: Samples of a frame, even.
        values: Numbers a frame, at most `c * frame`.

    Raises:
        ValueError: If there are no clips, or more values than samples.

    Source: Karhunen-Loeve transform of the frames of Malvar 1992, "Signal Processing with Lapped
    Transforms".
    """

    def __init__(self, clips: Iterable[Tensor], frame: int, values: int) -> None:
        batches = [audio.double().cpu() for audio in clips]
        if not batches:
            raise ValueError("a linear code needs clips to be fitted on, got none")
        self.transform = MDCT(frame, batches[0].shape[1])
        if not 1 <= values <= self.transform.latent_channels:
            raise ValueError(
                f"a frame of {frame} samples takes 1..{self.transform.latent_channels} values, got "
                f"{values}"
            )
        rows = torch.cat([self._frames(audio).flatten(0, 1) for audio in batches])
        self.mean = rows.mean(0)
        covariance = (rows - self.mean).T @ (rows - self.mean)
        self.directions = torch.linalg.eigh(covariance).eigenvectors[:, -values:]  # the largest

    def encode(self, audio: Tensor) -> Tensor:
        """Return the code `(b, values, frames)` of audio `(b, c, t)`."""
        return ((self._frames(audio) - self.mean) @ self.directions).transpose(1, 2)

    def decode(self, code: Tensor, length: int) -> Tensor:
        """Return audio `(b, c, length)` of a code, float32."""
        frames = code.transpose(1, 2) @ self.directions.T + self.mean
        return self.transform.decode(frames.transpose(1, 2), length).float()

    def _frames(self, audio: Tensor) -> Tensor:
        """Return frames `(b, frames, c * frame)` in float64 on the CPU."""
        return self.transform.encode(audio.double().cpu()).transpose(1, 2)

    def __call__(self, audio: Tensor) -> Tensor:
        """Return what the code keeps of audio `(b, c, t)`."""
        return self.decode(self.encode(audio), audio.shape[-1])
