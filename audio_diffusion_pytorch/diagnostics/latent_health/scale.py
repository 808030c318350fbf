"""Whether latents are as loud as the diffusion takes them to be, and how far out they reach."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot

from .statistics import channel_statistics, decibels, few_frames

TOO_LOUD, FAR_TOO_LOUD = 1.6, 2.0
"""Times the deviation expected. A draw of clips wanders by 3 dB; at 6 dB and more the noise hides
too little, and a start from pure noise is one the network never saw."""
TOO_QUIET, FAR_TOO_QUIET = 0.3, 0.1
"""Fainter is gentler (it only makes the noise louder, as papers do on purpose down to 0.1), but 20
dB too faint most levels hold nothing but noise."""
HEAVY_TAILS = 200.0
"""Kurtosis of all values. A companded spectrum has 10 to 60, a plain one 50 to 500: there the mean
square error is that of a few values, and the quiet ones are not learnt."""


def check_latent_scale(z: Tensor, expected: float = 1.0, *, refit: bool = False) -> Finding:
    """Hold the loudness of latents against what the diffusion takes for granted.

    Over all channels together: a spectrum may keep its loud and its faint rows.

    Args:
        z: Latents as the diffusion gets them `(b, c, t)`.
        expected: The root mean square that the diffusion expects: 1, or EDM's `sigma_data`.
        refit: Whether a normaliser stands before them, so that it must be fitted anew.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.
    """
    found = channel_statistics(z)
    mean, std = float(found.mean.mean()), found.overall_std
    ratio = found.rms / expected
    figures = {
        "rms": found.rms,
        "expected_rms": expected,
        "mean": mean,
        "std": std,
        "std_quietest_channel": float(found.std.min()),
        "std_loudest_channel": float(found.std.max()),
        "lowest": float(found.low.min()),
        "highest": float(found.high.max()),
    }
    message = (
        f"the latents' level is {found.rms:.3g} (values {found.low.min():.3g} to "
        f"{found.high.max():.3g}), the diffusion expects {expected:.3g}"
    )
    if not ratio > 0 or not torch.isfinite(torch.tensor(ratio)):
        what = "not numbers" if ratio != 0 else "all zero"
        return Finding(
            "latent scale", "wrong", f"the latents are {what}, the diffusion expects a level of "
            f"{expected:.3g}", "listen to the clips: data.bad=skip leaves broken ones out",
            figures, _channel_curves(z),
        )  # fmt: skip
    off = decibels(ratio)
    verdict: Severity = "ok"
    if ratio > TOO_LOUD:
        verdict = "wrong" if ratio > FAR_TOO_LOUD else "suspicious"
        message += f": {off:.1f} dB too loud for the noise to hide them"
    elif ratio < TOO_QUIET:
        verdict = "wrong" if ratio < FAR_TOO_QUIET else "suspicious"
        message += f": {-off:.1f} dB too faint under the noise"
    remedy = ""
    if verdict != "ok":
        numbers = f"subtract {mean:.3g} and " if abs(mean) > 0.1 * std else ""
        remedy = (
            "call model.fit_normalizer(batches) on these clips: the normaliser was fitted on others"
            if refit
            else f"{numbers}divide by {std / expected:.3g}, or let a LatentNormalizer do it per "
            "channel: DiffusionModel(..., normalizer=LatentNormalizer(channels)) and "
            "model.fit_normalizer(batches)"
        )
    return Finding(
        "latent scale", verdict, message, remedy, {**figures, "off_db": off}, _channel_curves(z)
    )


def check_latent_values(z: Tensor) -> Finding:
    """Look at how far single values stand out: kurtosis and range, in deviations.

    Args:
        z: Latents `(b, c, t)`.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.
    """
    values = few_frames(z)
    broken = int((~torch.isfinite(values)).sum())
    if broken:
        return Finding(
            "latent values", "wrong",
            f"{broken} of {values.numel()} latents are not numbers, right is 0",
            "look for clips with NaN (data.bad=skip) and for an autoencoder that overflows: "
            "encode in float32",
            {"not_finite": float(broken)},
        )  # fmt: skip
    std = values.std(correction=0).clamp_min(torch.finfo(values.dtype).tiny)
    standard = (values - values.mean()) / std
    kurtosis, reach = float(standard.pow(4).mean()), float(standard.abs().max())
    channels = channel_statistics(values).kurtosis
    figures = {
        "kurtosis": kurtosis,
        "kurtosis_median_channel": float(channels.nanmedian()),
        "furthest_value_in_deviations": reach,
    }
    message = (
        f"the furthest value lies {reach:.3g} deviations out and the kurtosis is {kurtosis:.3g}, "
        f"right is under {HEAVY_TAILS:.0f} (noise has 3)"
    )
    if kurtosis <= HEAVY_TAILS:
        return Finding("latent values", "ok", message, figures=figures)
    return Finding(
        "latent values", "suspicious", f"{message}: a few huge values are most of the loss",
        "bend the space: autoencoder=Companded(...), exponent 0.5", figures,
    )  # fmt: skip


def _channel_curves(z: Tensor) -> tuple[CurvePlot, ...]:
    found = channel_statistics(z)
    places = [float(place) for place in range(len(found.std))]
    if len(places) < 2:
        return ()
    lines = {
        "standard deviation": (places, found.std.tolist()),
        "mean": (places, found.mean.tolist()),
    }
    return (CurvePlot("latents by channel", lines, False, "channel", "value"),)
