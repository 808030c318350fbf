"""Whether the network's answer is read as it was trained: its sign and its parameterization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    observe,
)
from audio_diffusion_pytorch.diffusion.parameterizations import (
    CleanPrediction,
    EpsilonPrediction,
    FlowPrediction,
    VPrediction,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Parameterization

from .levels import Levels
from .measure import batches, measurable, reached_levels, some_clips
from .share import NOTHING, percent

FAR_BETTER = 0.10
"""Another reading must explain so much more of the possible: no healthy answer reads two ways."""
MARGIN = 0.05
"""Shares at one level nearer than this are equal: other noise does as much."""
CONTRADICTION = 0.01
"""Error of the clean signal from a perfect answer, as a share of the data's power; right is 0."""
_READINGS: dict[str, Parameterization] = {
    "the noise (EpsilonPrediction)": EpsilonPrediction(),
    "the clean signal (CleanPrediction)": CleanPrediction(),
    "the velocity (VPrediction)": VPrediction(),
    "the flow (FlowPrediction)": FlowPrediction(),
}


@torch.no_grad()
def check_answer_sign(
    model: nn.Module,
    clips: Clip,
    *,
    loss: LossFunction = diffusion_loss,
    levels: Levels | None = None,
    seed: int = 0,
) -> Finding:
    """Check that the answer, read as the objective reads it, is the guess it was trained to be.

    Two things can contradict: what the network learnt and how it is read, as with the weights of
    another project; and, within the objective, what it trains and what it samples by. The answer
    is also read with the other sign and as every other parameterization.

    Args:
        model: Its objective is a `GaussianDiffusion`.
        clips: Batched clips.
        loss: As in training.
        levels: The model's table, for the error of knowing only how loud training clips are; None:
            how loud these clips are.
        seed: Of the noise.

    Raises:
        ValueError: The objective is another one, or the clips are silent.
    """
    _, times = reached_levels(measurable(model))
    chosen = some_clips(clips)
    found = [_Errors() for _ in times]
    for first, part in batches(chosen):
        for level, time in zip(found, times.tolist(), strict=True):
            told = torch.full((len(part.audio),), time)
            level.add(observe(model, part, told, loss=loss, seed=seed + first))
    power = found[0].power
    if power == 0:
        raise ValueError(
            "the clips are silent: nothing can be said of what the network makes of them"
        )
    perfect, opposite = (
        max(getattr(level, name) / power for level in found) for name in ("perfect", "opposite")
    )
    known = [level.known() for level in found] if levels is None else levels.loudness
    skills = _skills(found, known)
    if perfect > CONTRADICTION:
        return _contradiction(perfect, opposite, skills)
    return _reading(skills)


_OWN, _FLIPPED = "as it is", "with the other sign"


class _Errors:
    """Errors of the clean signal at one level, summed over clips, by how the answer is read."""

    def __init__(self) -> None:
        self.clips = 0
        self.power = self.perfect = self.opposite = 0.0
        self.alpha = self.sigma = 0.0
        self.read: dict[str, float] = {}

    def add(self, seen: Observation) -> None:
        self.alpha, self.sigma = float(seen.alpha.flatten()[0]), float(seen.sigma.flatten()[0])
        self.clips += len(seen.clean)
        self.power += float(seen.clean.float().square().flatten(1).mean(1).sum())
        self.perfect += float(seen.clean_error(seen.wanted).float().sum())
        self.opposite += float(seen.clean_error(-seen.wanted).float().sum())
        errors = {_OWN: seen.clean_error(), _FLIPPED: seen.clean_error(-seen.said)}
        alpha, sigma, time = (v.flatten().float() for v in (seen.alpha, seen.sigma, seen.time))
        for name, reading in _READINGS.items():
            if type(reading) is type(seen.diffusion.parameterization):
                continue
            skip, out, _, _ = reading.coefficients(time, alpha, sigma)
            skip, out = lift(skip, seen.clean), lift(out, seen.clean)
            for sign, word in ((1, ""), (-1, " with the other sign")):
                guess = skip * seen.noisy + sign * out * seen.said
                errors[f"as {name}{word}"] = (guess - seen.clean).square().flatten(1).mean(1)
        for name, error in errors.items():
            self.read[name] = self.read.get(name, 0.0) + float(error.float().sum())

    def known(self) -> float:
        """Return the mean error of the best guess that knows only how loud the clips are."""
        variance, noise = self.power / self.clips, self.sigma**2
        return variance * noise / (self.alpha**2 * variance + noise)


def _skills(levels: Sequence[_Errors], known: Sequence[float]) -> dict[str, list[float]]:
    """Return the share of the possible of each reading at each level."""
    pairs = list(zip(levels, known, strict=True))
    return {
        name: [1 - level.read[name] / level.clips / error for level, error in pairs]
        for name in levels[0].read
    }


def _better(other: list[float], own: list[float]) -> bool:
    """Return whether another reading is far better as a whole, and nowhere worse.

    The velocity is nearly the noise where there is little noise, so a good answer read wrongly is
    not bad everywhere; but what is right is nowhere worse than what is wrong.
    """
    gains = [o - w for o, w in zip(other, own, strict=True)]
    often = sum(gain > MARGIN for gain in gains) >= len(gains) / 2
    far = _mean(other) > max(NOTHING, _mean(own) + FAR_BETTER)
    return far and often and min(gains) > -MARGIN


def _reading(skills: dict[str, list[float]]) -> Finding:
    shares = {name: _mean(skill) for name, skill in skills.items()}
    own = shares[_OWN]
    figures: dict[str, float | str] = {f"share, read {name}": s for name, s in shares.items()}
    better = [name for name, skill in skills.items() if _better(skill, skills[_OWN])]
    best = max(better, key=lambda name: shares[name], default=_OWN)
    # The other sign comes first: it may be one of the other readings under another name.
    if _FLIPPED in better and shares[_FLIPPED] > shares[best] - FAR_BETTER:
        message = (
            f"wrong sign: the network's answer explains {percent(shares[_FLIPPED])} of what is "
            f"possible with its sign flipped, and {percent(own)} as it is"
        )
        remedy = (
            "give the answer the sign that the objective reads, as by a net that returns -net(x): "
            "these weights were trained for the opposite target"
        )
        return Finding("sign of the answer", "wrong", message, remedy, figures)
    if better:
        message = (
            f"wrong parameterization: the network's answer explains {percent(shares[best])} of "
            f"what is possible read {best}, and {percent(own)} as the objective reads it"
        )
        remedy = "use the parameterization that the weights were trained for, the one named here"
        return Finding("sign of the answer", "wrong", message, remedy, figures)
    message = (
        f"the answer explains {percent(own)} of what is possible as it is read, and "
        f"{percent(shares[_FLIPPED])} with its sign flipped, which must be less"
    )
    return Finding("sign of the answer", "ok", message, figures=figures)


def _contradiction(error: float, flipped: float, skills: dict[str, list[float]]) -> Finding:
    """Return that the objective trains one thing and reads another."""
    figures: dict[str, float | str] = {
        "error of a perfect answer, share of the power": error,
        "error of a perfect answer with its sign flipped": flipped,
        **{f"share, read {name}": _mean(skill) for name, skill in skills.items()},
    }
    said = (
        f"a perfect answer to the training's target gives a clean signal that is off by "
        f"{percent(error)} of the data's power, right is 0 %"
    )
    if flipped <= CONTRADICTION:
        message = f"wrong sign: {said}, and it is {percent(flipped)} with the sign flipped"
        remedy = "flip the sign of the parameterization's target, or that of c_out, not both"
    else:
        message = f"target and coefficients contradict: {said}"
        remedy = (
            "make c_skip x + c_out target give back the clean signal: see "
            "parameterizations.VPrediction for one where it does"
        )
    return Finding("sign of the answer", "wrong", message, remedy, figures)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
