"""Whether latents can be told from white noise, and how much of them an encoder drew itself."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .statistics import correlations, few_frames, in_rows

LAGS = 3
"""Frames over which a sound must be seen to go on."""
LEAST_FRAMES = 256
"""Frames in all under which noise and sound look alike."""
SOME, MOST = 0.25, 0.5
"""Share of channels that are white noise. Of a piano's spectrum 1 in 100 is, and what is noise
cannot be learnt: the loss stops at the noise floor and the samples sound like it."""
SLACK_CORRELATION, SLACK_KURTOSIS = 0.05, 0.25
"""Beside what chance gives: closer than this to noise, a network has nothing to learn."""
DRAWN, MOSTLY_DRAWN = 0.1, 0.5
"""Share of the latents' power that the encoder drew; beyond a tenth the samples are heard to be
noisy, beyond a half they are noise."""


def check_latent_whiteness(z: Tensor, *, exact: bool = False) -> Finding:
    """Count the channels that cannot be told from white Gaussian noise.

    Such a channel says nothing of its next frames, nothing of the other channels, and its values
    are normal. A diffusion that is trained on it learns the noise level and nothing else.

    Args:
        z: Latents as the diffusion gets them `(b, c, t)`.
        exact: They are a transform of the sound, such as a spectrogram, that nobody learnt and
            that draws nothing: what is noise in them is noise in the recordings.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.
    """
    values = few_frames(z)
    rows = in_rows(values)
    count, frames = rows.shape
    lags = [lag for lag in range(1, LAGS + 1) if values.shape[-1] >= 4 * lag]
    if frames < LEAST_FRAMES or not lags:
        return Finding(
            "latents are noise", "ok", f"{frames} frames are too few to tell latents from noise: "
            f"{LEAST_FRAMES} are needed",
        )  # fmt: skip
    std = rows.std(1, correction=0)
    standard = (rows - rows.mean(1, keepdim=True)) / std[:, None]
    kurtosis = standard.pow(4).mean(1)
    steps = standard.unflatten(1, (len(values), -1))
    in_time = torch.stack(
        [(steps[..., lag:] * steps[..., :-lag]).mean((1, 2)).abs() for lag in lags]
    ).amax(0)
    across = correlations(rows).abs().amax(1)
    chance = SLACK_CORRELATION + 5 / sqrt(frames)
    noise = (in_time < chance) & (across < chance)
    noise &= (kurtosis - 3).abs() < SLACK_KURTOSIS + 4 * sqrt(24 / frames)
    number = int(noise.sum())
    of_time, of_channels, tails = (
        float(value.nanmedian()) for value in (in_time, across, kurtosis)
    )
    figures = {
        "noise_channels": float(number),
        "channels": float(count),
        "median_correlation_in_time": of_time,
        "median_correlation_across_channels": of_channels,
        "median_kurtosis": tails,
        "correlation_by_chance": chance,
    }
    message = (
        f"{number} of {count} latent channels cannot be told from white noise, right is under "
        f"{SOME * count:.0f} (typical correlation in time {of_time:.2f}, across channels "
        f"{of_channels:.2f}, by chance {chance:.2f}; kurtosis {tails:.1f}, noise has 3)"
    )
    if number <= SOME * count:
        return Finding("latents are noise", "ok", message, "", figures)
    if exact:
        return Finding(
            "latents are noise", "suspicious", message,
            "the recordings are hiss there, or have no treble but rounding: set a lower "
            "data.sample_rate, or use recordings without hiss", figures,
        )  # fmt: skip
    verdict: Severity = "wrong" if number >= MOST * count else "suspicious"
    return Finding(
        "latents are noise", verdict, message,
        "encode the posterior's mean in place of a draw, keep only the channels that hold sound, "
        "or train the autoencoder again with a smaller weight on its KL loss", figures,
    )  # fmt: skip


def check_encoder_draws(z: Tensor, noise: Tensor) -> Finding:
    """Hold what an encoder draws beside what it knows: encoding should not be a draw.

    Args:
        z: Latents as `encode(x)` gives them `(b, c, t)`.
        noise: The difference of two plain calls of `encode(x)` over the root of 2, of the same
            shape: 0 where encoding draws nothing.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.
    """
    values, drawn = few_frames(z), few_frames(noise)
    spread = in_rows(values).var(1, correction=0).sum()
    share = float(in_rows(drawn).square().mean(1).sum() / spread) if float(spread) > 0 else 0.0
    message = (
        f"{100 * share:.3g} % of the latents' variance is drawn anew each time the same clip is "
        "encoded, right is 0 %"
    )
    figures = {"drawn_share": share}
    if share <= DRAWN:
        return Finding("encoder draws", "ok", message, "", figures)
    verdict: Severity = "wrong" if share > MOSTLY_DRAWN else "suspicious"
    return Finding(
        "encoder draws", verdict, message,
        "let encode(x) return the mean of the posterior, and a draw only with sample=True",
        figures,
    )  # fmt: skip
