"""A check of the data's deviation against what the noise schedule assumes."""

from __future__ import annotations

from copy import deepcopy
from math import atan, log, log10, pi

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.diffusion.parameterizations import EDMPreconditioning
from audio_diffusion_pytorch.diffusion.times import draw_times

from .wording import number

SCALE = "input scale"

# Where signal and noise are within 20 dB of each other there is something to learn: above, the
# noise is hardly there, below, the sound is. At the right scale it is 87 % of the half circle's
# times, at a deviation of 0.05 it is 30 %, at 0.01 (40 dB too quiet) it is 6 %.
AUDIBLE_DB = 20.0
FEW_LEVELS, TOO_FEW_LEVELS = 0.3, 0.1
TOO_LOUD, FAR_TOO_LOUD = 2.0, 10.0  # times what is assumed: the noise never covers the signal
# As loud as the schedule assumes: how often training visits a level is then its own choice (EDM
# draws from a wide bell).
RIGHT_FROM = 0.5
# A normaliser that was fitted on these data makes 1 of them, give or take what a few clips differ.
FOREIGN = 3.0
DRAWS = 8192


def check_input_scale(
    space: Tensor,
    diffusion: nn.Module | None = None,
    *,
    normalized: bool | None = None,
    seed: int = 0,
) -> Finding:
    """Judge the standard deviation of what the diffusion works on, and tell the scale to use.

    Args:
        space: Clean signals `(b, c, *t)` as the diffusion gets them, `model.to_space(audio)`.
        diffusion: The objective, whose schedule and times are asked; other than a
            `GaussianDiffusion`, or None: v-diffusion's half circle at even times.
        normalized: Whether a `LatentNormalizer` made the space; False is raw samples; None: not
            known, and what is found is at most suspicious.
        seed: Of the times drawn.
    """
    deviation = float(space.detach().double().nan_to_num(0, 0, 0).std(correction=0))
    wanted = assumed_deviation(diffusion)
    if deviation == 0:
        return Finding(
            SCALE, "wrong", f"standard deviation 0, where the schedule assumes {wanted:g}",
            "the clips are silent or constant: check data.path", {"standard deviation": 0.0},
        )  # fmt: skip
    share = useful_share(deviation, diffusion, seed)
    factor = wanted / deviation
    figures = {
        "standard deviation": deviation,
        "standard deviation assumed": wanted,
        "input scale to use": factor,
        "the same in dB": 20 * log10(factor),
        "share of the noise levels within 20 dB of the sound": share,
    }
    said = f"standard deviation {deviation:.3g} where the schedule assumes {wanted:g}"
    within = (
        f"at {100 * share:.2g} % of the training steps sound and noise are within "
        f"{AUDIBLE_DB:.0f} dB of each other"
    )
    if RIGHT_FROM <= deviation / wanted <= TOO_LOUD:
        message = f"{said}, right is {RIGHT_FROM:g} to {TOO_LOUD:g} times that; {within}"
        return Finding(SCALE, "ok", message, figures=figures)
    message = f"{said}: {within}, right is over {100 * FEW_LEVELS:.0f} %"
    verdict = _verdict(share, deviation / wanted)
    if normalized and verdict == "ok" and not 1 / FOREIGN <= factor <= FOREIGN:
        verdict = "suspicious"
    if verdict == "ok":
        return Finding(SCALE, "ok", message, figures=figures)
    if normalized is None:
        verdict = "suspicious"
        message += ", unless a normaliser scales the data"
    if normalized:
        remedy = (
            f"the normaliser was fitted on data {number(factor)} times as loud: call "
            "model.fit_normalizer on these clips and train anew"
        )
    else:
        remedy = (
            f"multiply the clips by {number(factor)} and the samples by {number(1 / factor)}, or "
            "diffuse in a space with a LatentNormalizer (model.transform=mdct), which does it"
        )
    return Finding(SCALE, verdict, message, remedy, figures)


def assumed_deviation(diffusion: nn.Module | None) -> float:
    """The standard deviation of the data that an objective was made for: 1, or its own figure."""
    parameterization = getattr(diffusion, "parameterization", None)
    if isinstance(parameterization, EDMPreconditioning):
        return parameterization.sigma_data
    return 1.0


def useful_share(deviation: float, diffusion: nn.Module | None = None, seed: int = 0) -> float:
    """Share in 0..1 of the training times at which data and noise are within 20 dB of each other.

    Args:
        deviation: Standard deviation of the data.
        diffusion: Whose schedule and times; without, the half circle, in closed form.
        seed: Of the times drawn.
    """
    reach = 10 ** (AUDIBLE_DB / 20)
    if not isinstance(diffusion, GaussianDiffusion):
        return 2 / pi * (atan(deviation * reach) - atan(deviation / reach))
    with torch.random.fork_rng([]):  # a sampler of one's own may know no generator
        torch.default_generator.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        drawn = draw_times(deepcopy(diffusion.times), DRAWS, torch.device("cpu"), generator)
    device = next(iter(diffusion.parameters()), drawn).device
    log_snr = diffusion.schedule.log_snr(drawn.to(device)).reshape(-1).double()
    decibels = log_snr * (10 / log(10)) + 20 * log10(deviation)
    return float((decibels.abs() < AUDIBLE_DB).double().mean())


def _verdict(share: float, loudness: float) -> Severity:
    if share < TOO_FEW_LEVELS or loudness > FAR_TOO_LOUD:
        return "wrong"
    return "suspicious" if share < FEW_LEVELS or loudness > TOO_LOUD else "ok"
