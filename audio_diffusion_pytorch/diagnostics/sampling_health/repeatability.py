"""Whether the same seed gives the same sound, another seed another, and the batch has no say."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import Sampling
from audio_diffusion_pytorch.diagnostics.trajectory import decibels, unchanged_random_state

ROUNDING = -60.0
"""dB: accelerators add up in any order; this much difference cannot be heard."""


def check_repeatability(
    model: nn.Module,
    sampling: Sampling,
    *,
    num_items: int = 4,
    num_steps: int = 8,
    alone: bool = False,
    seed: int = 0,
) -> Finding:
    """Sample twice with one seed, and once with another ("random", "deaf to the seed").

    Between the two torch's global random state is another one, so that a sampler that draws from
    there instead of its generator is found.

    Args:
        model: The model; only its device is asked for.
        sampling: How it is sampled.
        num_items: Sounds to make.
        num_steps: Sampling steps.
        alone: Whether sampling claims that an item is the same in a batch of any size (noise by
            seeds of its own); then the first item is also made alone.
        seed: The one seed; the other is the next.
    """
    first = _sample(model, sampling, num_items, num_steps, seed, 1)
    again = _sample(model, sampling, num_items, num_steps, seed, 2)
    other = _sample(model, sampling, num_items, num_steps, seed + 1, 3)
    apart, moved = _difference(again, first), _difference(other, first)
    equal = torch.equal(first, again)
    figures: dict[str, float | str] = {
        "same seed": "equal to the last bit" if equal else f"{apart:.1f} dB",
        "other seed, dB": moved,
    }
    verdict: Severity = "ok"
    if torch.equal(first, other):
        message = "another seed gives the same sounds to the last bit, right are others"
        remedy = "let the start noise be drawn from the generator that sampling is given"
        return Finding("repeatable sampling", "wrong", message, remedy, figures)
    remedy = ""
    if not equal and apart > ROUNDING:
        verdict = "suspicious"
        remedy = (
            "draw all noise from the generator that sampling is given (generator=, and "
            "noise=BrownianNoise(schedule, seed) for a stochastic solver), with dropout off"
        )
        message = (
            f"the same seed twice gives sounds that differ by {apart:.1f} dB, right is to the last "
            "bit the same"
        )
        return Finding("repeatable sampling", verdict, message, remedy, figures)
    words = "to the last bit" if equal else f"up to rounding ({apart:.0f} dB)"
    message = f"the same seed twice gives the same sounds {words}, another seed other ones"
    if alone:
        single = _sample(model, sampling, 1, num_steps, seed, 1)
        lonely = _difference(single, first[:1])
        figures["first item alone, dB"] = lonely
        if lonely > ROUNDING:
            verdict = "suspicious"
            message += f", but the first of {num_items} made alone differs by {lonely:.1f} dB"
            remedy = "give each item noise of its own seed: BrownianNoise(schedule, seeds)"
    return Finding("repeatable sampling", verdict, message, remedy, figures)


def _sample(
    model: nn.Module, sampling: Sampling, num_items: int, num_steps: int, seed: int, world: int
) -> Tensor:
    device = next(model.parameters()).device
    with unchanged_random_state(device), torch.no_grad():
        torch.manual_seed(world)
        audio = sampling(num_items, num_steps, Generator(device).manual_seed(seed))
    return audio.detach().float().cpu()


def _difference(audio: Tensor, reference: Tensor) -> float:
    """Return how far two sets of sounds are apart, over the level of the second, in dB."""
    error = float((audio - reference).double().square().mean())
    return decibels(error, float(reference.double().square().mean()), 10.0)
