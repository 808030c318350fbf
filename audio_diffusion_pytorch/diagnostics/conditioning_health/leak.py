"""Whether a condition says more than it may: all of the sound, where it should only lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.clips import take
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import LEAST, MOST, leaves, spread

NOISE = -40.0
"""Signal over noise, in dB, at which only the condition can tell anything of the sound."""

LEAKS, MUST_LEAK = 0.7, 0.3
"""Error of the guess in pure noise as a share of the spread of sounds under one condition. Who
knows the condition alone has 1; healthy models of piano notes have 0.9 to 1."""

CLOSE, EQUAL = -60.0, -90.0
"""What of the target cannot be read off the condition, in dB: below the first little is left to be
made, below the second only rounding is."""

POSITIONS = 10
"""Values for each number that the read-off fits, at least."""

LEAK, TARGET = "condition leak", "condition against target"


def condition_leak(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Say whether the network gets a sound out of pure noise by its label or text alone.

    Who knows only the condition guesses the mean of all sounds that have it, and errs by their
    spread. A smaller error shows that the condition tells which recording it is, by heart.

    Args:
        model: A trained model.
        clips: Batched clips, best held back; groups of the same label are sought among them.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: The network is told nothing, or signals, which may tell as much; as `observe`.
    """
    grouped = _grouped(clips)
    level = torch.full((len(grouped.audio),), NOISE)
    times = time_at_decibels(gaussian_diffusion(model), level)
    observed = observe(model, grouped, times, loss=loss, seed=seed)
    keys = _keys(observed)
    if keys is None:
        raise ValueError(
            "a leak is sought in labels and texts, got "
            f"{', '.join(observed.cond) or 'no condition'}: use condition_against_target for "
            "signals"
        )
    clean, errors = observed.clean.float().flatten(1), observed.clean_error()
    error, spread_within, groups = _within(clean, errors, keys)
    if groups:
        known = f"the spread of the sounds under one condition ({groups} conditions)"
    else:
        error, spread_within = float(errors.mean()), float(clean.var(0).mean())
        known = "the spread of all sounds (no two of them are told the same)"
    share = error / spread_within if spread_within > 1e-8 else 1.0
    message = (
        f"in pure noise ({NOISE:g} dB) the guess errs by {share:.2f} times {known}, 1 is right "
        "where only the condition is known"
    )
    figures: dict[str, float | str] = {
        "error over spread": share,
        "error": error,
        "spread": spread_within,
        "conditions compared": float(groups),
        "level in dB": NOISE,
    }
    if share > LEAKS:
        return Finding(LEAK, "ok", message, "", figures)
    verdict: Severity = "wrong" if share < MUST_LEAK else "suspicious"
    remedy = (
        "take conditions that many recordings share and more recordings, so that the network does "
        "not learn by heart which sound belongs to which condition"
    )
    return Finding(LEAK, verdict, message, remedy, figures)


def condition_against_target(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Say whether the target can be read off a signal that the network is given beside it.

    Every channel of the clean signal is fitted by those of the condition, position by position;
    what is left over is what there is to be made. So gains, swapped channels and sums are found.

    Args:
        model: The model, trained or not.
        clips: Batched clips.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: The network is given no signal of the target's length; as `observe`.
    """
    clips = spread(clips)
    times = torch.full((len(clips.audio),), 0.5)
    observed = observe(model, clips, times, loss=loss, seed=seed)
    signals = target_signals(observed)
    left = {name: _left_over(value, observed.clean) for name, value in signals}
    if not left:
        raise ValueError(
            "the target is compared with signals of its length, got "
            f"{', '.join(observed.cond) or 'no condition'}: use condition_leak for labels and texts"
        )
    name = min(left, key=lambda key: left[key])
    message = (
        f"what cannot be read off {name} lies {-left[name] + 0.0:.0f} dB below the target; less "
        f"than {-CLOSE:.0f} dB leaves something to be made"
    )
    figures: dict[str, float | str] = {f"left over by {key} in dB": db for key, db in left.items()}
    if left[name] > CLOSE:
        return Finding(TARGET, "ok", message, "", figures)
    verdict: Severity = "wrong" if left[name] < EQUAL else "suspicious"
    remedy = (
        f"look what is passed as {name}: the signal to follow must be made of the sound (at a "
        "lower rate, as a spectrogram), and the sounds must hold what that lacks"
    )
    return Finding(TARGET, verdict, message, remedy, figures)


def target_signals(observed: Observation) -> list[tuple[str, Tensor]]:
    """Return the conditions that have as many positions as the target, with their names."""
    axes = observed.clean.shape[2:]
    return [
        (name, leaf)
        for name, leaf in leaves(observed.cond, len(observed.clean))
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.shape[2:] == axes
    ]


def is_label_like(observed: Observation) -> bool:
    """Whether all that the network is told of an item are labels and texts."""
    return _keys(observed) is not None


def _left_over(condition: Tensor, clean: Tensor) -> float:
    """Return the power of the target that no mix of the condition's channels explains, in dB."""
    given = condition.double().movedim(1, -1).reshape(-1, condition.shape[1])
    wanted = clean.double().movedim(1, -1).reshape(-1, clean.shape[1])
    if len(given) < POSITIONS * given.shape[1]:  # so few could be fitted by anything
        same = min(given.shape[1], wanted.shape[1])
        rest = wanted[:, :same] - given[:, :same]
        wanted = wanted[:, :same]
    else:
        rest = wanted - given @ torch.linalg.pinv(given.T @ given) @ (given.T @ wanted)
    share = rest.square().mean() / wanted.square().mean().clamp_min(1e-30)
    return float(10 * torch.log10(share.clamp(1e-20, 1.0)))


def _keys(observed: Observation) -> list[tuple[Any, ...]] | None:
    """Return what each item is told, as keys; None if there is more to it than labels and texts."""
    count = len(observed.clean)
    found = [leaf for _, leaf in leaves(observed.cond, count)]
    columns: list[Sequence[Any]] = []
    for leaf in found:
        if isinstance(leaf, Tensor):
            if leaf.is_floating_point():
                return None
            columns.append([tuple(row) for row in leaf.reshape(count, -1).tolist()])
        else:
            columns.append(leaf)
    return list(zip(*columns, strict=True)) if columns else None


def _within(
    clean: Tensor, errors: Tensor, keys: Sequence[tuple[Any, ...]]
) -> tuple[float, float, int]:
    """Return error and spread of the items that share a condition, and how many conditions."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    groups = [group for group in places.values() if len(group) > 1]
    if not groups:
        return 0.0, 0.0, 0
    spreads = [float(clean[group].var(0).mean()) for group in groups]
    error = [float(errors[group].mean()) for group in groups]
    return sum(error) / len(error), sum(spreads) / len(spreads), len(groups)


def _grouped(clips: Clip, each: int = 3) -> Clip:
    """Return clips, a few of each of some labels; without labels evenly spread ones."""
    rows = [tuple(row) for row in clips.labels.tolist()] if clips.labels.shape[-1] else []
    places: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row, []).append(place)
    groups = [group[:each] for group in places.values() if len(group) > 1]
    few = max(1, MOST // each)
    step = max(1, -(-len(groups) // few))
    chosen = [place for group in groups[::step] for place in group]
    if len(chosen) < LEAST:
        count = len(clips.audio)
        chosen = torch.linspace(0, count - 1, min(count, MOST)).round().long().tolist()
    return take(clips, torch.tensor(chosen))
