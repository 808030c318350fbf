"""What became of the weights: those that never moved, and the running mean beside the raw ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .level_errors import level_errors
from .trial import choose_clips
from .words import number, plural, some

Weights = nn.Module | Mapping[str, Tensor]
"""A model, or weights by name such as its `state_dict()`; of a running mean too."""

FAR = 0.5
"""Distance of averaged from raw weights, over the raw ones, from which the mean is of another time:
over a tenth of a run's length it is 0.01 to 0.2."""

WORSE, MUCH_WORSE = 1.1, 1.5
"""Times the raw weights' error of the clean signal that the averaged ones may have: at the end of
a good run they have less."""


def named_weights(weights: Weights) -> dict[str, Tensor]:
    """Return floating-point weights by name, those of a wrapped model by its own names.

    Of a module only trainable weights are given, unless none is; of a mapping all of its tensors.
    """
    if isinstance(weights, nn.Module):
        parameters = dict(weights.named_parameters())
        trained = {name: w for name, w in parameters.items() if w.requires_grad}
        found: Mapping[str, Tensor] = trained or parameters
    else:
        found = weights
    floating = {name: w.detach() for name, w in found.items() if w.is_floating_point()}
    wrapped = bool(floating) and all(name.startswith("module.") for name in floating)
    return (
        {name.removeprefix("module."): w for name, w in floating.items()} if wrapped else floating
    )


def check_weights_moved(before: Weights, after: Weights) -> Finding:
    """Name the weights that training never moved.

    Args:
        before: Weights at an earlier step.
        after: The trained weights; of a module the trainable ones count.
    """
    old, new = named_weights(before), named_weights(after)
    names = [name for name in new if name in old and new[name].shape == old[name].shape]
    still = [name for name in names if _equal(old[name], new[name])]
    figures = {"weight tensors": len(names), "weight tensors that never moved": len(still)}
    said = f"{len(still)} of {plural(len(names), 'weight tensor')} never moved"
    if not names:
        return Finding(
            "weights that never moved", "suspicious",
            "no weight of the one has the name and shape of one of the other, all should",
            "compare two states of the same model", figures=figures,
        )  # fmt: skip
    if not still:
        return Finding("weights that never moved", "ok", f"{said}, 0 is right", figures=figures)
    all_still = len(still) == len(names)
    verdict: Severity = "wrong" if len(still) > len(names) / 2 else "suspicious"
    return Finding(
        "weights that never moved",
        verdict,
        f"{said}{'' if all_still else f' ({some(still)})'}, 0 is right",
        "see that the optimizer was given the weights of the model that computes the loss"
        if all_still
        else "see that the optimizer holds them and that the loss uses them, or leave them out",
        figures=figures,
    )


def check_ema(
    raw: Weights,
    averaged: Weights,
    raw_before: Weights | None = None,
    averaged_before: Weights | None = None,
    *,
    clips: Clip | None = None,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Finding:
    """Say whether a running mean of the weights is one: neither stuck, nor the raw model, nor far.

    The earlier states must be copies (`copy.deepcopy(model.state_dict())`), or a checkpoint's.

    Args:
        raw: The model in training.
        averaged: Its running mean.
        raw_before: The raw weights some steps earlier.
        averaged_before: The mean at that step.
        clips: On these the errors of both are compared, if both are models.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: The two have no weight in common.
    """
    pair = _Pair.of(raw, averaged, raw_before, averaged_before)
    fault = pair.fault()
    if fault is not None:
        return Finding("EMA", "wrong" if fault.certain else "suspicious", fault.message,
                       fault.remedy, pair.figures)  # fmt: skip
    figures = pair.figures
    verdict: Severity = "suspicious" if pair.distance > FAR else "ok"
    beside = ""
    if clips is not None and isinstance(raw, nn.Module) and isinstance(averaged, nn.Module):
        few = choose_clips(clips, 16)
        raw_error = level_errors(raw, few, loss=loss, seed=seed).share
        mean_error = level_errors(averaged, few, loss=loss, seed=seed).share
        figures |= {"error of raw weights": raw_error, "error of averaged weights": mean_error}
        ratio = mean_error / max(raw_error, 1e-12)
        beside = (
            f", their error is {number(ratio)} times that of the raw ones, at most "
            f"{number(WORSE)} times is right"
        )
        if ratio > WORSE:
            verdict = "wrong" if ratio > MUCH_WORSE else "suspicious"
        elif pair.distance > FAR:
            verdict = "ok"  # far, and no worse for it
    return Finding(
        "EMA",
        verdict,
        f"the averaged weights are {pair.apart}, up to {number(100 * FAR)} % is right{beside}",
        ""
        if verdict == "ok"
        else "set a lower train.ema_decay: the mean should reach over a tenth of the run",
        figures,
    )


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a mean, whatever its weights are worth."""

    message: str
    remedy: str
    certain: bool = True


@dataclass(frozen=True)
class _Pair:
    """A model and its mean, now and earlier: tensors of the same names and shapes."""

    raw: dict[str, Tensor]
    mean: dict[str, Tensor]
    mean_before: dict[str, Tensor] | None
    distance: float
    travelled: float  # of the raw weights since, over their length; nan if not known

    @classmethod
    def of(
        cls, raw: Weights, mean: Weights, raw_before: Weights | None, mean_before: Weights | None
    ) -> _Pair:
        new, averaged = named_weights(raw), named_weights(mean)
        names = [n for n in new if n in averaged and averaged[n].shape == new[n].shape]
        if not names:
            raise ValueError(
                "check_ema compares a model with the running mean of its weights, got two without "
                "a weight of the same name and shape: pass the raw model and ema.module"
            )
        travelled = math.nan
        if raw_before is not None:
            old = named_weights(raw_before)
            travelled = _distance(new, old, [name for name in names if name in old])
        return cls(
            {name: new[name] for name in names},
            {name: averaged[name] for name in names},
            None if mean_before is None else named_weights(mean_before),
            _distance(new, averaged, names),
            travelled,
        )

    @property
    def apart(self) -> str:
        return f"{number(100 * self.distance)} % away from the raw ones"

    @property
    def shared(self) -> int:
        """How many tensors of the mean are the model's own memory."""
        pairs = zip(self.raw.values(), self.mean.values(), strict=True)
        return sum(one.data_ptr() == other.data_ptr() and one.numel() > 0 for one, other in pairs)

    @property
    def figures(self) -> dict[str, float | str]:
        return {
            "distance of the mean from the raw weights": self.distance,
            "way of the raw weights since": self.travelled,
            "tensors that are the raw model's own": self.shared,
        }

    def fault(self) -> _Fault | None:
        """The raw model itself, a copy of it, or stuck; None if it is a mean."""
        if self.shared:
            return _Fault(
                f"{self.shared} of {plural(len(self.raw), 'averaged weight tensor')} are the raw "
                "model's own memory, 0 is right: the mean is the raw model itself",
                "average a deep copy: EMA(model) makes one, AveragedModel with a closure over the "
                "model's own tensors does not",
            )
        moved = f"{number(100 * self.travelled)} %"
        if all(_equal(w, self.mean[name]) for name, w in self.raw.items()):
            while_moving = f", while these moved by {moved}" if self.travelled > 0 else ""
            return _Fault(
                f"the averaged weights are {self.apart}, to the last bit{while_moving}: a mean "
                "over steps lies between old and new weights",
                "see that the mean is updated by a decay between 0 and 1 (train.ema_decay), not "
                "copied from the model",
                certain=self.travelled > 0,
            )
        old = self.mean_before
        still = old is not None and all(
            name in old and _equal(old[name], w) for name, w in self.mean.items()
        )
        if still and self.travelled != 0:
            known = not math.isnan(self.travelled)
            beside = (
                f", while the raw ones moved by {moved}, more than 0 % is right" if known else ""
            )
            return _Fault(
                f"the averaged weights moved by 0 %{beside}: the mean is never updated",
                "call ema.update(model) after every optimizer step",
            )
        return None


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.cpu(), other.to(one.dtype).cpu())


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: list[str]) -> float:
    apart = size = 0.0
    for name in names:
        first, second = one[name].cpu().double(), other[name].cpu().double()
        apart += float((first - second).square().sum())
        size += float(first.square().sum())
    return math.sqrt(apart / max(size, 1e-300))
