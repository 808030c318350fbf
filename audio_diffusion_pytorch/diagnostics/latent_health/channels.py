"""Channels that hold nothing, that say what another says, and how many are needed in all."""

from __future__ import annotations

from math import expm1

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .statistics import correlations, few_frames, in_rows, ranks

SILENT = 1e-5
"""Deviation, beside the level over all channels, of a channel that holds nothing. The faintest row
of a piano's plain spectrum stands at 1e-4."""
SILENT_LEARNT = 1e-3
"""The same for a learnt code, whose channels are made to be of one size."""
ACTIVE_NATS = 0.02
"""Information of a value, in nats, under which a posterior's mean drowns in its own noise."""
MOST = 0.5
"""Share of channels from which most of what the model must make is nothing."""
SAME, SAME_RANKS = 0.99999, 0.99
"""Correlation of values and of ranks. The empty top rows of clean sounds, all made of the same
leakage, reach 0.9997; a click common to all rows gives 1 by values alone."""
FEW = 0.1
"""Share of channels that may repeat others: a waste, but no harm. Empty rows of upsampled sounds
do."""
LEAST_FRAMES = 32
"""Frames under which rows look alike by chance."""
NARROW = 1 / 32
"""Share of the channels that would do; a spectrum of tones needs a tenth and less."""


def check_dead_latents(
    z: Tensor, noise: Tensor | None = None, silent: float = SILENT, *, noisy: bool = False
) -> Finding:
    """Count the channels that are constant or only noise of the encoder's own.

    Args:
        z: Latents as the autoencoder gives them `(b, c, t)`, its posterior means.
        noise: What a draw from the posterior adds to them, of the same shape; None where the
            encoder draws nothing. A channel is noise if its means tell less than 0.02 nat over it.
        silent: Deviation beside the level over all channels under which a channel is constant.
        noisy: Whether such noise is part of `z`: the encoder gives draws in place of means.

    Raises:
        ValueError: If they are no latents `(b, c, t)`, or the noise has another shape.

    Source: Burda et al. 2015, arXiv 1509.00519, section 5 (active units), with the information of
    a Gaussian channel in place of its variance.
    """
    rows = in_rows(few_frames(z))
    std = rows.std(1, correction=0)
    level = rows.square().mean().sqrt()
    constant = std <= silent * level
    drowned = torch.zeros_like(constant)
    if noise is not None:
        if noise.shape != z.shape:
            raise ValueError(
                f"the noise must have the latents' shape {tuple(z.shape)}, got {tuple(noise.shape)}"
            )
        drawn = in_rows(few_frames(noise)).square().mean(1)
        told = std.square() - drawn if noisy else std.square()
        drowned = ~constant & (told < expm1(2 * ACTIVE_NATS) * drawn)
    dead, count = constant | drowned, len(std)
    number = int(dead.sum())
    figures: dict[str, float | str] = {
        "dead_channels": float(number),
        "constant_channels": float(constant.sum()),
        "noise_only_channels": float(drowned.sum()),
        "channels": float(count),
        "which": _listed(dead),
    }
    if not number:
        faintest = float(std.min() / level) if level > 0 else 0.0
        return Finding(
            "dead latent channels", "ok", f"0 of {count} latent channels are dead (the faintest "
            f"has {faintest:.2g} of the level of all)", "", figures,
        )  # fmt: skip
    kinds = [
        f"{int(kind.sum())} {word}"
        for kind, word in ((constant, "constant"), (drowned, "only the encoder's own noise"))
        if bool(kind.any())
    ]
    verdict: Severity = "wrong" if number >= MOST * count else "suspicious"
    return Finding(
        "dead latent channels",
        verdict,
        f"{number} of {count} latent channels hold no sound ({', '.join(kinds)}), right is 0: "
        f"{_listed(dead)}",
        f"train the diffusion on the other {count - number} channels, or the autoencoder again "
        "with a smaller weight on its KL loss",
        figures,
    )


def check_duplicate_latents(z: Tensor) -> Finding:
    """Count the channels that repeat another one, in whatever size and sign.

    Args:
        z: Latents `(b, c, t)`.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.
    """
    rows = in_rows(few_frames(z))
    rows = rows[rows.std(1) > 0] if rows.shape[1] > 1 else rows[:0]
    count, frames = rows.shape
    if frames < LEAST_FRAMES or count < 2:
        return Finding(
            "duplicate latent channels", "ok", f"{frames} frames of {count} channels, too few to "
            f"compare: {LEAST_FRAMES} frames of 2 channels are needed",
        )  # fmt: skip
    linear = correlations(rows)
    alike = linear.abs() > SAME
    if bool(alike.any()):
        alike &= correlations(ranks(rows)).abs() > SAME_RANKS
    repeats = torch.triu(alike, 1).any(0)
    number, closest = int(repeats.sum()), float(linear.abs().max())
    figures: dict[str, float | str] = {
        "duplicate_channels": float(number),
        "largest_correlation": closest,
        "which": _listed(repeats),
    }
    if number <= FEW * count:
        return Finding(
            "duplicate latent channels", "ok",
            f"{number} of {count} latent channels repeat another (largest correlation {closest:.5f}"
            f", right is under {SAME})",
            "", figures,
        )  # fmt: skip
    return Finding(
        "duplicate latent channels",
        "wrong" if number >= count - 1 > 1 else "suspicious",
        f"{number} of {count} latent channels repeat another one (correlation {closest:.5f}), "
        f"right is 0: {_listed(repeats)}",
        "leave them out; where the sides of a stereo sound are the same, take mono "
        "(data.channels=1); where the top of the spectrum is empty, a lower data.sample_rate",
        figures,
    )


def check_latent_dimensions(z: Tensor) -> Finding:
    """Count the directions that hold 95 and 99 % of the variance, by the covariance's spectrum.

    Args:
        z: Latents as the diffusion gets them `(b, c, t)`.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.

    Source: the effective rank is the participation ratio, `(sum l)^2 / sum l^2`.
    """
    rows = in_rows(few_frames(z))
    count, frames = rows.shape
    centred = rows - rows.mean(1, keepdim=True)
    power = torch.linalg.eigvalsh(centred @ centred.T / frames).flip(0).clamp_min(0)
    total = power.sum()
    if frames < 2:
        return Finding(
            "latent dimensions", "ok", "1 frame is too few to count dimensions: 2 are needed"
        )
    if not float(total) > 0:
        return Finding(
            "latent dimensions", "wrong", f"the latents of all {frames} frames are the same, right "
            "are different ones", "listen to the clips: they may be silent", {"channels": count},
        )  # fmt: skip
    held = (power / total).cumsum(0)
    rank = float(total.square() / power.square().sum())
    most, nearly = (1 + int((held < share).sum()) for share in (0.95, 0.99))
    figures = {
        "effective_rank": rank,
        "dimensions_95_percent": float(most),
        "dimensions_99_percent": float(nearly),
        "channels": float(count),
        "frames": float(frames),
    }
    places = [float(place + 1) for place in range(count)]
    line = {"variance held": (places, held.tolist())}
    curves = (CurvePlot("variance held by so many dimensions", line, False, "dimensions", "share"),)
    message = (
        f"{most} dimensions hold 95 % and {nearly} hold 99 % of the variance of {count} channels "
        f"(effective rank {rank:.1f})"
    )
    if nearly >= NARROW * count or frames < 2 * count:
        return Finding("latent dimensions", "ok", message, "", figures, curves)
    return Finding(
        "latent dimensions", "suspicious", f"{message}: right is a code that uses its channels",
        f"rotate the latents to their {nearly} principal directions and train on those, or train "
        "an autoencoder with fewer channels", figures, curves,
    )  # fmt: skip


def _listed(which: Tensor, most: int = 8) -> str:
    places = which.nonzero().flatten().tolist()
    words = ", ".join(str(place) for place in places[:most])
    return f"channels {words}{', ...' if len(places) > most else ''}" if places else "none"
