"""The words a recipe understands, each beside the object it stands for.

A new sampler, guidance or objective of yours is a line in one of these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeVar

from audio_diffusion_pytorch.diffusion import (
    DEIS,
    DPM2,
    LMS,
    RK4,
    AdaptiveProjectedGuidance,
    Ancestral,
    CFGPlusPlus,
    ClassifierFreeGuidance,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    EulerAncestral,
    EvenLevels,
    ExponentialSchedule,
    FlowDiffusion,
    GaussianDiffusion,
    Heun,
    Interval,
    KarrasSchedule,
    KDiffusion,
    LearnedUncertainty,
    LinearSchedule,
    LogitNormal,
    LogNormalDistribution,
    MinSNR,
    OptimalTransport,
    Rescale,
    Stratified,
    UniPC,
    VDiffusion,
)
from audio_diffusion_pytorch.protocols import Grid, Guidance, NoiseSchedule, Solver, TimeSampler

SAMPLERS: dict[str, Solver] = {
    "euler": Euler(),  # deterministic DDIM
    "heun": Heun(),
    "dpm2": DPM2(),
    "dpmpp_2s": DPMpp2S(),
    "dpmpp_2m": DPMpp2M(),
    "dpmpp_3m": DPMpp3M(),
    "unipc": UniPC(2),
    "lms": LMS(),
    "deis": DEIS(),
    "rk4": RK4(),
    "ddpm": Ancestral(),
    "euler_ancestral": EulerAncestral(),
    "dpmpp_2m_sde": DPMppSDE(2),
    "dpmpp_3m_sde": DPMppSDE(3),
}

GRIDS: dict[str, Callable[[NoiseSchedule], Grid]] = {
    "linear": lambda _: LinearSchedule(),
    "even": EvenLevels,
    "exponential": ExponentialSchedule,
    "karras": lambda schedule: KarrasSchedule(0.01, 80.0, noise_schedule=schedule),
}

GUIDES: dict[str, Callable[[float], Guidance]] = {
    "cfg": ClassifierFreeGuidance,
    "rescale": lambda scale: Rescale(ClassifierFreeGuidance(scale)),
    "interval": lambda scale: Interval(ClassifierFreeGuidance(scale), 0.2, 0.8),
    "apg": AdaptiveProjectedGuidance,
    "cfg++": CFGPlusPlus,
}

OBJECTIVES: dict[str, Callable[..., GaussianDiffusion]] = {
    "v": VDiffusion,
    "flow": FlowDiffusion,
    "edm": partial(KDiffusion, sigma_data=1.0, dynamic_threshold=None),
}

TIMES: dict[str, dict[str, Callable[[], TimeSampler]]] = {  # EDM draws log-normal noise levels
    "v": {"stratified": Stratified, "logit_normal": lambda: LogitNormal(draws=Stratified())},
    "flow": {"stratified": Stratified, "logit_normal": lambda: LogitNormal(draws=Stratified())},
    "edm": {"stratified": lambda: LogNormalDistribution(draws=Stratified())},
}

WEIGHTS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "min_snr": MinSNR,
    "soft_min_snr": partial(MinSNR, soft=True),
    "learned": LearnedUncertainty,
}

COUPLINGS: dict[str, Callable[[bool], Any]] = {  # told whether the clips have labels
    "none": lambda _: None,
    "ot": lambda labelled: OptimalTransport(within="labels" if labelled else None),
}

Choice = TypeVar("Choice")


def choose(table: Mapping[str, Choice], word: str, key: str) -> Choice:
    """Return what a word stands for.

    Raises:
        ValueError: The word is not in the table; the message names the setting and the words.
    """
    if word in table:
        return table[word]
    close = get_close_matches(word, table, 1)
    guess = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(f"{key} must be one of {', '.join(table)}, got {word!r}{guess}")


def choose_guidance(scale: float, word: str, key: str) -> float | Guidance:
    """Return the guidance of a scale: 1 is none.

    Raises:
        ValueError: The word is not in the table, or the scale is not one it can have.
    """
    guide = choose(GUIDES, word, key)
    try:
        return 1.0 if scale == 1.0 else guide(scale)
    except ValueError as error:
        raise ValueError(f"guidance {scale:g} by {word}: {error}") from error
