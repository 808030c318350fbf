"""A sampler with a perfect network in place of the trained one: what it does alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log10
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import Observation, Sampling, evaluated
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.ops.shapes import lift

ITEMS = 2
HALVINGS = 60
FAITHFUL_DB, LOST_DB = -20.0, -10.0
"""Error of the result beside the sound the network believed in: -60 dB and less in float32, -30 dB
in bfloat16; a tenth of the amplitude is heard, a third is another sound."""
TURNED = -0.5
"""Gain of a result that has the sound upside down; beside a wrong sign all else gives about 0."""
PILE = 0.01
"""Share of values that stand where the largest one stands: of noise none do."""
AUDIBLE_LEVEL_DB = 1.0


@dataclass
class PerfectWalk:
    """What a sampler did with a network that always believes in one sound.

    Attributes:
        clean: The sound it believed in, in the space of the diffusion `(n, c, *t)`.
        times: The time it was told, call by call.
        largest: The largest magnitude of the noisy signal, call by call.
        piled: The share of other values at that magnitude, call by call.
        result: What the sampler made `(n, c, t)`, audio.
        wanted: The same sound decoded `(n, c, t)`.
    """

    clean: Tensor
    times: list[float] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    piled: list[float] = field(default_factory=list)
    result: Tensor = field(default_factory=lambda: torch.empty(0))
    wanted: Tensor = field(default_factory=lambda: torch.empty(0))


@torch.no_grad()
def walk_perfectly(
    model: nn.Module,
    seen: Observation,
    num_steps: int,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
) -> PerfectWalk:
    """Sample with the network's answers replaced by those of one that knows the sound.

    Whatever it is asked, at whatever level, it answers what stands for the same clean signal. A
    sampler that reads answers as they are meant and ends clean then gives just this signal.

    Args:
        model: Has `from_space` and a `diffusion`, a `GaussianDiffusion`.
        seen: What the network was asked once: the sound and its conditioning are taken from here.
        num_steps: Steps.
        sampling: How the model is sampled; None takes its own `sample`.
        seed: Of the start noise.

    Raises:
        ValueError: If the sampler refuses, or never asks the network.
    """
    diffusion = seen.diffusion
    walk = PerfectWalk(seen.clean[:ITEMS])
    handle = diffusion.net.register_forward_hook(_believer(diffusion, walk))
    device = seen.clean.device
    devices = [device] if device.type == "cuda" else []
    generator = Generator(device).manual_seed(seed)
    try:
        with torch.random.fork_rng(devices), evaluated(model):
            torch.manual_seed(seed)
            if sampling is not None:
                walk.result = sampling(ITEMS, num_steps, generator)
            else:
                noise = torch.randn_like(seen.clean[:ITEMS])
                walk.result = _sample_of(model)(noise, num_steps, **_first(seen))
            decode: Callable[[Tensor], Tensor] = getattr(model, "from_space", _as_it_is)
            walk.wanted = decode(walk.clean)
    finally:
        handle.remove()
    if not walk.times:
        raise ValueError("the sampler never asked the network: sample the model's own network")
    return walk


def _as_it_is(z: Tensor) -> Tensor:
    return z


def _sample_of(model: nn.Module) -> Callable[..., Tensor]:
    found: Any = getattr(model, "sample", None)
    if not callable(found):
        raise ValueError("the model has no sample(noise, num_steps): pass sampling=")
    sample: Callable[..., Tensor] = found
    return sample


def _first(seen: Observation) -> dict[str, Any]:
    """Return the conditioning of the first items."""
    count = len(seen.clean)

    def cut(value: Any) -> Any:
        per_item = isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
        if per_item or (isinstance(value, (list, tuple)) and len(value) == count):
            return value[:ITEMS]
        return value

    return {name: cut(value) for name, value in seen.cond.items()}


def _believer(diffusion: GaussianDiffusion, walk: PerfectWalk) -> Callable[..., Tensor]:
    def believe(net: nn.Module, inputs: tuple[Any, ...], said: Tensor) -> Tensor:
        del net
        net_input, told = inputs[0], inputs[1]
        time = time_told(diffusion, told)
        levels = diffusion.schedule.alpha_sigma(time)
        c_skip, c_out, c_in, _ = (
            lift(part, net_input) for part in diffusion.parameterization.coefficients(time, *levels)
        )
        x = net_input.double() / c_in
        if not walk.times:
            walk.clean = _fitted(walk.clean, x)
        size = x.abs()
        walk.times.append(float(time.max()))
        walk.largest.append(float(size.max()))
        piled = int((size >= size.max() * (1 - 1e-6)).sum()) - 1  # one value always is the largest
        walk.piled.append(piled / size.numel())
        copies = -(-len(x) // len(walk.clean))
        clean = walk.clean.double().repeat(copies, *(1,) * (x.ndim - 1))[: len(x)]
        blind = c_out == 0  # at such a level the answer counts for nothing
        answer = (clean - c_skip * x) / torch.where(blind, torch.ones_like(c_out), c_out)
        return torch.where(blind, torch.zeros_like(answer), answer).to(said.dtype)

    return believe


def time_told(diffusion: GaussianDiffusion, told: Tensor) -> Tensor:
    """Return the times that stand behind what a network is told, float64, by bisection.

    Args:
        diffusion: The objective.
        told: What its parameterization says of the level, rising with time, of any shape.
    """
    told = told.detach().double()
    low, high = torch.zeros_like(told), torch.ones_like(told)

    def says(time: Tensor) -> Tensor:
        levels = diffusion.schedule.alpha_sigma(time)
        return diffusion.parameterization.coefficients(time, *levels)[3]

    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = says(middle) < told
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    ends = torch.where(says(torch.ones_like(told)) <= told, torch.ones_like(told), high)
    return torch.where(says(torch.zeros_like(told)) >= told, torch.zeros_like(told), ends)


def _fitted(clean: Tensor, x: Tensor) -> Tensor:
    """Return the sound repeated and cropped to the axes of what the sampler works on."""
    times = [-(-size // have) for size, have in zip(x.shape[2:], clean.shape[2:], strict=True)]
    clean = clean.repeat(1, 1, *times)
    places = (slice(None), slice(None), *(slice(size) for size in x.shape[2:]))
    return clean[places]


def check_perfect_network(walk: PerfectWalk) -> Finding:
    """Look at whether sampling gives the sound that a perfect network believes in.

    Args:
        walk: What the sampler did.
    """
    length = min(walk.result.shape[-1], walk.wanted.shape[-1])
    items = min(len(walk.result), len(walk.wanted))
    made, wanted = (
        sound[:items, ..., :length].detach().double().cpu() for sound in (walk.result, walk.wanted)
    )
    power = float(wanted.square().mean())
    if not power > 0:
        return Finding("perfect network", "ok", "the clips are silent, which tells nothing")
    gain = float((made * wanted).mean()) / power
    error = _decibels(float((made - wanted).square().mean()) / power)
    shaped = _decibels(float((made - gain * wanted).square().mean()) / power)
    figures = {"error_db": error, "error_after_gain_db": shaped, "gain": gain}
    message = (
        f"sampling a perfect network gives its sound with an error of {error:.0f} dB, right is "
        f"under {FAITHFUL_DB:.0f} dB"
    )
    if error <= FAITHFUL_DB:
        return Finding("perfect network", "ok", message, "", figures)
    if gain < TURNED:
        return Finding(
            "perfect network", "wrong", f"{message}: the sound comes out upside down, as where an "
            "answer is read with the wrong sign", "read the answer as the parameterization has it: "
            "the clean signal is alpha x - sigma v", figures,
        )  # fmt: skip
    if shaped <= FAITHFUL_DB:
        return Finding(
            "perfect network", "suspicious", f"{message}: it comes out {20 * log10(gain):+.1f} dB "
            "too loud", "leave the level to the model: take out what scales the result", figures,
        )  # fmt: skip
    verdict: Severity = "wrong" if error > LOST_DB else "suspicious"
    return Finding(
        "perfect network", verdict, f"{message}: the sampler spoils what the network knows",
        "sample with the schedule and parameterization of training, to time 0 and without clamps: "
        "DiffusionSampler(diffusion)", figures,
    )  # fmt: skip


def check_levels_visited(walk: PerfectWalk, num_steps: int) -> Finding:
    """Look at whether the network is asked at falling levels, as many as there are steps.

    Args:
        walk: What the sampler did.
        num_steps: Steps asked for.
    """
    times, count = walk.times, len({round(time, 7) for time in walk.times})
    figures = {
        "steps_asked": float(num_steps),
        "levels_visited": float(count),
        "network_calls": float(len(times)),
        "first_time": times[0],
        "last_time": times[-1],
    }
    message = (
        f"asked for {num_steps} steps the sampler asks the network at {count} levels, from time "
        f"{times[0]:.3f} to {times[-1]:.3f}, right is {num_steps} or more, falling from 1 (noise)"
    )
    if count > 1 and times[-1] > times[0]:
        return Finding(
            "levels visited", "wrong", f"{message}: sampling goes in the wrong direction",
            "walk from time 1 (noise) to time 0 (clean): times.flip(0)", figures,
        )  # fmt: skip
    if count < num_steps:
        return Finding(
            "levels visited", "wrong", f"{message}: levels were dropped",
            "take the times from the training schedule itself, such as EvenLevels(schedule)",
            figures,
        )  # fmt: skip
    return Finding("levels visited", "ok", message, "", figures)


def check_noise_kept(walk: PerfectWalk) -> Finding:
    """Look at whether the noisy signal is clamped on the way.

    Args:
        walk: What the sampler did.
    """
    calls = max(1, len(walk.piled) // 2)  # later there is more sound than noise
    cut = max(walk.piled[:calls])
    place = walk.piled.index(cut)
    limit = walk.largest[place]
    figures = {"piled_share": cut, "limit": limit, "network_call": float(place + 1)}
    message = f"{100 * cut:.1f} % of the noisy signal stand at its largest value, +-{limit:.2f}"
    message += ", right is under 1 %"
    if cut <= PILE:
        return Finding("start noise", "ok", message, "", figures)
    return Finding(
        "start noise", "wrong", f"{message}: the sampler clamps it at +-{limit:.2f} at every step",
        "take the clamp off the noisy signal; if one is needed, bound the guess of the clean "
        "sound: guidance=DynamicThreshold()", figures,
    )  # fmt: skip


def _decibels(power: float) -> float:
    return 10 * log10(max(power, 1e-20))
