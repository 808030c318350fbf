"""Checks of what is done to a batch: nothing may depend on which clips happen to be together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .wording import percent

MIN_MAX, DEPENDENCE = "min-max scaling", "batch-dependent preprocessing"

# Sums in another order differ by some 1e-6; a clip that another one turns down differs by percents.
ROUNDING = 1e-3
EXACT = 1e-6
FEWEST_CLIPS = 4  # in a batch: of two clips at a peak of 1 one often touches either end
FEW = 0.5  # of the clips of a stretched batch lie at its ends: the loudest ones
MOST_TOUCHES = 4  # samples a clip: more lie there only where the sound was clipped
RANDOM = 3.0  # times what two calls on the same batch differ

REMEDY = (
    "scale all clips by the same numbers: give the model a LatentNormalizer, fitted once over the "
    "whole data set (model.fit_normalizer), in place of what is computed from a batch"
)


def check_min_max(batches: Sequence[Tensor]) -> Finding:
    """Recognise batches squashed to exactly 0..1 or -1..1 by their own lowest and highest sample.

    Clips that were each brought to a peak of 1 touch one end each and are left alone, and so are
    clipped ones, which lie on the ends with many samples.

    Args:
        batches: Training batches `(b, ...)` as the loss gets them, of at least four clips.
    """
    found = [_stretched(batch) for batch in batches]
    lowest = min((float(batch.min()) for batch in batches if batch.numel()), default=0.0)
    highest = max((float(batch.max()) for batch in batches if batch.numel()), default=0.0)
    squashed = [kind for kind in found if kind]
    figures: dict[str, float | str] = {
        "batches looked at": len(batches),
        "batches stretched as a whole": found.count("batch"),
        "batches of which each clip was stretched": found.count("clip"),
        "lowest sample": lowest,
        "highest sample": highest,
    }
    message = (
        f"samples from {lowest:.4g} to {highest:.4g}, {len(squashed)} of {len(batches)} batches "
        "fill 0..1 or -1..1 exactly, right is 0"
    )
    if not squashed or len(squashed) < len(batches):
        return Finding(MIN_MAX, "ok", message, figures=figures)
    offset = all(_end(batch) == 0 for batch in batches)
    message += f": every {squashed[0]} was stretched by its own lowest and highest sample"
    message += ", and silence is no longer 0" if offset else ""
    verdict: Severity = "wrong" if offset or "batch" in squashed else "suspicious"
    return Finding(MIN_MAX, verdict, message, REMEDY, figures)


def check_batch_dependence(
    prepare: Callable[[Any], Any], items: Tensor | Sequence[Any], seed: int = 0
) -> Finding:
    """Compare one item prepared alone with the same item prepared among others.

    A module (or a method of one) is called in training mode, as the loss calls it; its mode,
    buffers and torch's random state are left as they were.

    Args:
        prepare: Takes a batch `(b, ...)` and returns one, such as `model.to_space`; or takes a list
            of items, such as a collate function, and returns a batch (a tensor, a `Clip`, or a
            tuple or dictionary that holds one).
        items: A batch `(b, ...)`, or a list of at least two items.
        seed: Of whatever the preparation draws.

    Raises:
        ValueError: Fewer than two items, or no tensor came back.
    """
    if len(items) < 2:
        raise ValueError(f"to compare one item with a batch takes at least 2, got {len(items)}")
    with _as_training(prepare), torch.no_grad():
        together = _prepared(prepare, items, seed)
        again = _prepared(prepare, items, seed + 1)
        alone = [_prepared(prepare, items[i : i + 1], seed)[0] for i in range(len(items))]
    same = together.shape == again.shape
    chance = _difference(list(together), list(again)) if same else [0.0] * len(alone)
    differences = _difference(list(together), alone)
    worst = max(range(len(alone)), key=lambda i: differences[i])
    figures = {
        "items looked at": len(items),
        "largest difference, as a share of the item": differences[worst],
        "difference of two calls on the same batch": max(chance),
        "items that depend on the batch": sum(d > ROUNDING for d in differences),
    }
    message = (
        f"a clip prepared alone and the same clip in a batch of {len(items)} differ by "
        f"{percent(differences[worst])} of its level, right is 0"
    )
    allowed = max(ROUNDING, RANDOM * max(chance))
    if differences[worst] <= allowed:
        if max(chance) > ROUNDING:
            message += f" but for chance, which makes {percent(max(chance))}"
        return Finding(DEPENDENCE, "ok", message, figures=figures)
    return Finding(DEPENDENCE, "wrong", message, REMEDY, figures)


def _stretched(batch: Tensor) -> Literal["batch", "clip"] | None:
    """What was stretched to fill a range exactly; None if nothing was, or it cannot be told."""
    end = _end(batch)
    if end is None or len(batch) < FEWEST_CLIPS:
        return None
    rows = batch.detach().flatten(1)
    touches = (rows >= 1 - EXACT) | (rows <= end + EXACT)
    if int(touches.sum()) > MOST_TOUCHES * len(rows):
        return None
    if sum(_end(row) is not None for row in rows) > FEW * len(rows):
        return "clip"
    return "batch" if int(touches.any(1).sum()) <= FEW * len(rows) else None


def _end(values: Tensor) -> Literal[0, -1] | None:
    """The lower end of the range that some values fill exactly, 0..1 or -1..1; None if neither."""
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    if abs(high - 1) > EXACT:
        return None
    if abs(low) <= EXACT:
        return 0
    return -1 if abs(low + 1) <= EXACT else None


def _difference(ones: Sequence[Tensor], others: Sequence[Tensor]) -> list[float]:
    """By how much each pair differs, as a share of its rms; another shape differs wholly."""
    shares = []
    for one, other in zip(ones, others, strict=True):
        if one.shape != other.shape:
            shares.append(1.0)
            continue
        level = one.double().square().mean().sqrt().clamp_min(1e-12)
        shares.append(float((one.double() - other.double()).square().mean().sqrt() / level))
    return shares


def batch_tensor(batch: Any) -> Tensor:
    """The floats `(b, ...)` of a batch: the first of a `Clip`, tuple, list or dictionary.

    Raises:
        ValueError: There are none.
    """
    found = next(_tensors(batch), None)
    if found is None:
        raise ValueError(
            "the preparation must return a batch of floats (b, ...), or something that holds one, "
            f"got {type(batch).__name__}"
        )
    return found


def _prepared(prepare: Callable[[Any], Any], items: Any, seed: int) -> Tensor:
    device = items.device if isinstance(items, Tensor) else torch.device("cpu")
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        return batch_tensor(prepare(items))


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        if batch.is_floating_point() or batch.is_complex():
            yield torch.view_as_real(batch) if batch.is_complex() else batch
    elif isinstance(batch, Clip):
        yield batch.audio
    elif isinstance(batch, dict):
        for part in batch.values():
            yield from _tensors(part)
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            yield from _tensors(part)


@contextmanager
def _as_training(prepare: Callable[[Any], Any]) -> Iterator[None]:
    """Put the module behind a callable, if there is one, in training mode for a while."""
    module = prepare if isinstance(prepare, nn.Module) else getattr(prepare, "__self__", None)
    if not isinstance(module, nn.Module):
        yield
        return
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    module.train()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for buffer, value in buffers:
            buffer.copy_(value)
