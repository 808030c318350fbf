"""How much each noise level counts in the loss, the same whatever the network predicts."""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.serialization import Recorded

_FAR = 60.0
"""Nats beyond which a level counts as this far: infinite ones cancel as their limits do."""


class Uniform:
    """The error of what the network says, as it is."""

    def __call__(self, loss: Tensor, log_snr: Tensor, c_out: Tensor) -> Tensor:
        """Return `loss (b,)`."""
        del log_snr, c_out
        return loss


class MinSNR:
    """Weighs the clean signal's error by `min(SNR, gamma)`: easy, clean levels count less.

    In terms of what the network says that is `min(SNR, gamma) c_out^2`: `min(SNR, gamma) / SNR` for
    noise, `min(SNR, gamma)` for the clean signal, `min(SNR, gamma) / (SNR + 1)` for the velocity.

    Args:
        gamma: The SNR (a power ratio, 1 is 0 dB) from which on levels count equally.
        soft: Bend instead of break: `SNR gamma / (SNR + gamma)`.

    Raises:
        ValueError: If `gamma` is not above 0.

    Source: Hang et al. 2023, arXiv 2303.09556, section 3.4; the soft form is Crowson et al. 2024,
    arXiv 2401.11605.
    """

    def __init__(self, gamma: float = 5.0, soft: bool = False) -> None:
        if not 0 < gamma < float("inf"):
            raise ValueError(f"gamma must be above 0 and finite, got {gamma:g}: 5 is usual")
        self.gamma, self.soft = gamma, soft

    def __call__(self, loss: Tensor, log_snr: Tensor, c_out: Tensor) -> Tensor:
        """Return `loss min(SNR, gamma) c_out^2`, `(b,)`."""
        level, bound = _near(log_snr), log(self.gamma)
        if self.soft:
            kept = -torch.logaddexp(-level, torch.full_like(level, -bound))
        else:
            kept = level.clamp(max=bound)
        return loss * (kept + _log_gain(c_out)).exp().to(loss.dtype)


class EDMWeight:
    """Weighs the clean signal's error by `(sigma^2 + sigma_data^2) / (sigma sigma_data)^2`.

    Here `sigma` is the noise-to-signal ratio, so the weight is `SNR + 1 / sigma_data^2`. With
    `EDMPreconditioning` of the same `sigma_data` it is 1: that parameterization brings it along. It
    lends EDM's balance to other ones; on a noise-predicting net it grows without bound to noise.

    Args:
        sigma_data: Standard deviation of the data.

    Raises:
        ValueError: If `sigma_data` is not above 0.

    Source: Karras et al. 2022, arXiv 2206.00364, table 1 (loss weighting).
    """

    def __init__(self, sigma_data: float = 0.5) -> None:
        if not 0 < sigma_data < float("inf"):
            raise ValueError(
                f"sigma_data must be above 0, got {sigma_data:g}: it is the data's deviation"
            )
        self.sigma_data = sigma_data

    def __call__(self, loss: Tensor, log_snr: Tensor, c_out: Tensor) -> Tensor:
        """Return `loss (SNR + 1 / sigma_data^2) c_out^2`, `(b,)`."""
        level = _near(log_snr)
        floor = torch.full_like(level, -2 * log(self.sigma_data))
        return loss * (torch.logaddexp(level, floor) + _log_gain(c_out)).exp().to(loss.dtype)


class LearnedUncertainty(Recorded, nn.Module):
    """Learns the loss of each level and divides by it: `loss / exp(u) + u`.

    At its best `u` is the log of the mean loss at that level, and every level pulls on the network
    alike, whatever factor it had. `u` is a smooth function of the log-SNR, 0 at the start, so that
    training starts unweighted. It is part of the objective, so an optimizer over the model's
    parameters trains it. The value may be negative, and its scale moves; so in evaluation mode the
    loss is left as it is, and validation losses can be compared.

    Args:
        features: Cosines that `u` is made of; more follow sharper changes over the levels.

    Raises:
        ValueError: If `features` is below 1.

    Source: Karras et al. 2024, arXiv 2312.02696, the loss with `u(sigma)`, after Kendall et al.
    2018, arXiv 1705.07115.
    """

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"features must be at least 1, got {features}: 32 is usual")
        self.amplitudes = nn.Parameter(torch.zeros(features))  # one axis: weight decay leaves it

    def log_variance(self, log_snr: Tensor) -> Tensor:
        """Return `u` at each log-SNR, of its shape."""
        # A quarter of log(sigma / alpha), EDM's measure of the level, brought into 0..1 so that
        # infinite levels have a place.
        place = torch.sigmoid(-log_snr.to(self.amplitudes.dtype) / 8)
        waves = torch.arange(len(self.amplitudes), dtype=place.dtype, device=place.device)
        return (torch.cos(pi * place[..., None] * waves) * self.amplitudes).sum(-1)

    def forward(self, loss: Tensor, log_snr: Tensor, c_out: Tensor) -> Tensor:
        """Return `loss / exp(u) + u`, `(b,)`; the plain loss in evaluation mode."""
        del c_out
        if not self.training:
            return loss
        u = self.log_variance(log_snr).to(loss.dtype)
        return loss * torch.exp(-u) + u


def _near(log_snr: Tensor) -> Tensor:
    return log_snr.clamp(-_FAR, _FAR)


def _log_gain(c_out: Tensor) -> Tensor:
    """Return `log c_out^2`, bounded."""
    return (2 * c_out.abs().log()).clamp(-_FAR, _FAR)
