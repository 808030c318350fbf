"""All checks of the space that a model works in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from math import log10, sqrt
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.diagnostics.observation import (
    evaluated,
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss
from audio_diffusion_pytorch.protocols import Autoencoder

from .channels import (
    SILENT,
    SILENT_LEARNT,
    check_dead_latents,
    check_duplicate_latents,
    check_latent_dimensions,
)
from .clips import few_clips
from .decoder import CLIPS, check_decoder_robustness, check_round_trip
from .scale import check_latent_scale, check_latent_values
from .whiteness import check_encoder_draws, check_latent_whiteness

MAX_CLIPS = 32
RAW_CHANNELS = 2
"""Without an autoencoder so many channels are raw audio, more are latents that were made before."""
ERROR_AT_DB = 20.0
"""Where the network's own error is read: noise so many dB under the signal, late in sampling."""


@torch.no_grad()
def examine_latents(
    model: nn.Module,
    clips: Clip,
    *,
    loss: LossFunction = diffusion_loss,
    sample_rate: int | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Examine the space between a model's audio and its diffusion.

    Nothing is found for a model of raw audio. One without an autoencoder whose clips have more than
    two channels is taken for a model of latents that were encoded before.

    Args:
        model: A `DiffusionModel` or alike: what has `to_space`, `from_space`, `autoencoder`,
            `normalizer` and a `diffusion`.
        clips: Batched clips, audio `(b, c, t)`; 32 of them are used.
        loss: As in training, for the network's own error.
        sample_rate: Hz, for the sounds of a report; None: what the autoencoder says.
        seed: Of all draws.
    """
    clips = few_clips(model, clips, MAX_CLIPS)
    audio = clips.audio
    autoencoder: Autoencoder | None = getattr(model, "autoencoder", None)
    normalizer = getattr(model, "normalizer", None)
    if autoencoder is None and audio.shape[1] <= RAW_CHANNELS:
        return []
    expected = _expected(model)
    if normalizer is not None and not bool(getattr(normalizer, "fitted", True)):
        return [_unfitted()]
    if autoencoder is None:
        z = audio if normalizer is None else normalizer.normalize(audio)
        return examine_code(z, expected=expected, raw=audio, refit=normalizer is not None)
    with evaluated(model), _own_draws(audio.device, seed):
        raw, drawn, again = _encoded(autoencoder, audio, seed)
        z = raw if normalizer is None else normalizer.normalize(raw)
        rate = autoencoder.sample_rate if sample_rate is None else sample_rate
        learnt = any(True for _ in getattr(autoencoder, "parameters", list)())
        found = examine_code(
            z,
            expected=expected,
            raw=raw,
            noise=drawn,
            silent=SILENT_LEARNT if learnt else SILENT,
            noisy=bool(again.any()),
            exact=not learnt and drawn is None,
            refit=normalizer is not None,
        )
        found += attempt(check_encoder_draws, raw, again)
        if not bool(raw.any()):  # silence comes back as silence whatever the decoder
            return found
        back = _decoded(autoencoder, None, raw[:CLIPS])
        found += attempt(check_round_trip, audio[:CLIPS], back, sample_rate=rate)
        found += attempt(
            check_decoder_robustness,
            lambda latents: _decoded(autoencoder, normalizer, latents),
            z,
            model_error_db=_own_error(model, clips, loss, seed),
            sample_rate=rate,
            seed=seed,
        )
    return found


def examine_code(
    z: Tensor,
    *,
    expected: float = 1.0,
    raw: Tensor | None = None,
    noise: Tensor | None = None,
    silent: float = SILENT,
    noisy: bool = False,
    refit: bool = False,
    exact: bool = False,
) -> list[Finding]:
    """Examine latents alone, such as files that were encoded before.

    Args:
        z: Latents as the diffusion gets them `(b, c, t)`.
        expected: The level that the diffusion expects: 1, or EDM's `sigma_data`.
        raw: The latents before any normaliser; None: `z`.
        noise: What a draw from the posterior adds to `raw`; None where nothing is known of it.
        silent: As for `check_dead_latents`.
        noisy: As for `check_dead_latents`.
        refit: As for `check_latent_scale`.
        exact: As for `check_latent_whiteness`.

    Raises:
        ValueError: If they are no latents `(b, c, t)`.
    """
    values = check_latent_values(z)
    if values.verdict == "wrong":  # not numbers: nothing else can be said of them
        return [values]
    raw = z if raw is None else raw
    return [
        *attempt(check_latent_scale, z, expected, refit=refit),
        values,
        *attempt(check_dead_latents, raw, noise, silent, noisy=noisy),
        *attempt(check_duplicate_latents, raw),
        *attempt(check_latent_dimensions, z),
        *attempt(check_latent_whiteness, z, exact=exact),
    ]


def _encoded(
    autoencoder: Autoencoder, audio: Tensor, seed: int
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return the latents, what a draw adds to them (None: nothing), and what encoding does."""
    with _own_draws(audio.device, seed):
        first, second = autoencoder.encode(audio), autoencoder.encode(audio)
        generator = Generator(audio.device).manual_seed(seed)
        if "sample" not in signature(autoencoder.encode).parameters:
            sampled = first
        else:
            sampled = autoencoder.encode(audio, sample=True, generator=generator)
    again = (second - first) / sqrt(2)
    if bool(again.any()):
        return first, again, again
    drawn = sampled - first
    return first, (drawn if bool(drawn.any()) else None), again


def _decoded(autoencoder: Autoencoder, normalizer: Any, z: Tensor) -> Tensor:
    # A decoder that draws noise draws the same each time: what differs comes from the latents.
    with _own_draws(z.device, seed=0):
        return autoencoder.decode(z if normalizer is None else normalizer.denormalize(z))


@contextmanager
def _own_draws(device: torch.device, seed: int) -> Iterator[None]:
    """Within it torch's global generators start from a seed; after it they are as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _expected(model: nn.Module) -> float:
    parameterization = getattr(getattr(model, "diffusion", None), "parameterization", None)
    return float(getattr(parameterization, "sigma_data", 1.0))


def _own_error(model: nn.Module, clips: Clip, loss: LossFunction, seed: int) -> float | None:
    """Return the network's error of the clean signal, late in sampling, in dB beside it."""
    try:
        diffusion = gaussian_diffusion(model)
    except ValueError:
        return None
    level = torch.full((len(clips.audio),), ERROR_AT_DB, dtype=torch.float64)
    try:
        times = time_at_decibels(diffusion, level).float()
    except ValueError:  # a schedule of one's own without an inverse
        return None
    seen = observe(model, clips, times, loss=loss, seed=seed)
    power = float(seen.clean.float().square().mean())
    error = float(seen.clean_error().float().mean())
    return 10 * log10(error / power) if power > 0 and error > 0 else None


def _unfitted() -> Finding:
    return Finding(
        "latent scale", "wrong", "the normaliser between autoencoder and diffusion was never "
        "fitted, right is once on the training clips", "call model.fit_normalizer(batches) before "
        "training, or load trained weights",
    )  # fmt: skip
