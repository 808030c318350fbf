"""Latents made fit for diffusion: every channel at mean zero and unit variance."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.serialization import Recorded


class LatentNormalizer(Recorded, nn.Module):
    """Scales latents to mean 0 and standard deviation 1, channel by channel, and back.

    A diffusion schedule assumes unit-variance data: without this the start noise is too loud or
    too quiet, and in a learnt code the loudest channels drown the rest. The statistics are fitted
    in one pass and are saved with the weights.

    A spectrum is another matter: its faint top rows are mostly noise, which cannot be learnt, and
    at full whitening they weigh as much in the loss as the rows that hold the notes. `whitening`
    below 1 leaves them part of their faintness; all rows together still have unit variance.

    Shapes: `normalize` and `denormalize` keep `(b, channels, t)`.

    Args:
        channels: Latent channels.
        floor: Least standard deviation, as a share of the largest (0..1): channels that (nearly)
            never sound are not blown up to full scale.
        whitening: Each channel keeps its deviation to the power `1 - whitening`: 1 makes all
            equal, 0 scales all by one number. In 0..1.

    Raises:
        ValueError: If `whitening` is out of range, or it is used before `fit`, or fitted on
            nothing, on silence or on non-finite values.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, channels: int, floor: float = 1e-3, whitening: float = 1.0) -> None:
        super().__init__()
        if not 0.0 <= whitening <= 1.0:
            raise ValueError(f"whitening must lie in 0..1, got {whitening}")
        self.channels = channels
        self.floor = floor
        self.whitening = whitening
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, latents: Iterable[Tensor]) -> LatentNormalizer:
        """Set mean and deviation from batches `(b, channels, t)`, each seen once.

        Raises:
            ValueError: If there is no batch, another channel count, only silence, or NaN or
                infinity inside.
        """
        total = torch.zeros(self.channels, dtype=torch.float64, device=self.mean.device)
        squares = torch.zeros_like(total)
        count = 0
        for z in latents:
            if z.ndim != 3 or z.shape[1] != self.channels:
                raise ValueError(
                    f"the normalizer wants latents (b, {self.channels}, t), got {tuple(z.shape)}"
                )
            z = z.to(total)
            total += z.sum(dim=(0, 2))
            squares += z.square().sum(dim=(0, 2))
            count += z.shape[0] * z.shape[2]
        if count == 0:
            raise ValueError("the normalizer needs at least one batch to be fitted on, got none")
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        if not bool(torch.isfinite(variance).all()):
            raise ValueError(
                "the latents to normalise hold NaN or infinity: check the clips (data.bad=skip)"
            )
        std = variance.sqrt()
        loudest = float(std.max())
        if loudest == 0:
            raise ValueError("every latent channel is constant: the clips are silent")
        scale = std.clamp_min(self.floor * loudest) ** self.whitening
        if self.whitening < 1:
            scale = scale * (std / scale).square().mean().sqrt()  # unit variance over all
        self.mean.copy_(mean)
        self.std.copy_(scale)
        self.fitted.fill_(True)
        return self

    def normalize(self, z: Tensor) -> Tensor:
        """Return `(z - mean) / std` of latents `(b, channels, t)`."""
        self._check_fitted()
        return (z - self.mean[:, None].to(z)) / self.std[:, None].to(z)

    def denormalize(self, z: Tensor) -> Tensor:
        """Return `z * std + mean`: the inverse of `normalize`."""
        self._check_fitted()
        return z * self.std[:, None].to(z) + self.mean[:, None].to(z)

    def forward(self, z: Tensor) -> Tensor:
        """Return `normalize(z)`."""
        return self.normalize(z)

    def _check_fitted(self) -> None:
        if torch.compiler.is_compiling():
            return
        if not bool(self.fitted):
            raise ValueError(
                "the normalizer was not fitted yet: call model.fit_normalizer(batches) once, or "
                "load trained weights"
            )
