"""What a network is asked while a model is sampled, whatever the sampler, recorded by hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diagnostics.observation import Sampling, gaussian_diffusion
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.ops.shapes import lift

FAR = 60.0
"""dB: signal over noise, or under it, is held to this."""
OUT_OF_RANGE = 0.01
"""Share of the range of levels by which a level told may leave it: rounding in half precision."""


@dataclass(frozen=True)
class NetCall:
    """One call of the network by the sampler, read as training would have meant it.

    Signals are `(b, c, *t)` float32 in the space of the diffusion, coefficients lifted over them.

    Attributes:
        told: The level as the network was told it, the mean over items and positions.
        in_range: Whether training tells such levels at all.
        time: The time which that stands for, mean likewise.
        alpha: Gain of the signal at that time.
        sigma: Gain of the noise.
        state: The noisy signal: the network's input over `c_in`.
        guess: The clean signal that the network's answer stands for.
        guided_by: The guess with the condition less the one without, under guidance that asks
            for both in one call; else None.
        precision: Relative rounding error of what went into the network and came out.
    """

    told: float
    in_range: bool
    time: float
    alpha: Tensor
    sigma: Tensor
    state: Tensor
    guess: Tensor
    guided_by: Tensor | None
    precision: float

    @property
    def noise(self) -> Tensor:
        """The noise that state and guess leave."""
        tiny = torch.finfo(self.state.dtype).tiny
        return (self.state - self.alpha * self.guess) / self.sigma.clamp_min(tiny)

    @property
    def decibels(self) -> float:
        """Signal over noise as told, for data of unit variance: -60 to 60."""
        gains = self.alpha.double().mean(), self.sigma.double().mean()
        ratio = gains[0].clamp_min(1e-10) / gains[1].clamp_min(1e-10)
        return float((20 * ratio.log10()).clamp(-FAR, FAR))


@dataclass(frozen=True)
class Trajectory:
    """All that a network was asked while some sounds were made.

    Attributes:
        diffusion: The objective that the network was trained with.
        calls: In the order of time; more than one a step for some solvers.
        finished: What the sampler gave in the space of the diffusion; None if the model's own
            sampler was not used.
        audio: The sounds `(n, c, t)`.
        num_steps: Sampling steps.
    """

    diffusion: GaussianDiffusion
    calls: tuple[NetCall, ...]
    finished: Tensor | None
    audio: Tensor
    num_steps: int


def record_trajectory(
    model: nn.Module, sampling: Sampling, *, num_items: int = 8, num_steps: int = 30, seed: int = 0
) -> Trajectory:
    """Sample a model and return what its network was asked on the way.

    Works with every sampler that calls `model.diffusion.net`, as hooks on that network see it.
    The state is the network's input over `c_in` of the level that it was told; that level is found
    by turning `c_noise` of the parameterization around. Guidance that doubles the batch is seen by
    its two equal halves.

    Args:
        model: Has a `diffusion`, a `GaussianDiffusion`.
        sampling: How the model is sampled.
        num_items: Sounds made.
        num_steps: Sampling steps.
        seed: Of the generator.

    Raises:
        ValueError: The model is of another kind, its network is told no level or answers in
            another shape, or sampling did not ask it.
    """
    diffusion = gaussian_diffusion(model)
    asked: list[tuple[Tensor, Tensor, Tensor]] = []
    finished: list[Tensor] = []

    def watch(_: nn.Module, inputs: tuple[Any, ...], __: dict[str, Any], said: Tensor) -> None:
        asked.append((inputs[0].detach(), inputs[1].detach(), said.detach()))

    handles = [diffusion.net.register_forward_hook(watch, with_kwargs=True)]
    sampler = getattr(model, "sampler", None)
    if isinstance(sampler, nn.Module):
        handles.append(sampler.register_forward_hook(lambda _, __, out: finished.append(out)))
    try:
        audio = sample_quietly(model, sampling, num_items, num_steps, seed)
    finally:
        for handle in handles:
            handle.remove()
    if not asked:
        raise ValueError(
            "sampling did not ask model.diffusion.net, so there is no trajectory to see: let "
            "sampling call that network, as model.generate does"
        )
    calls = tuple(_read(diffusion, *call) for call in asked)
    last = finished[-1] if len(finished) == 1 and isinstance(finished[-1], Tensor) else None
    return Trajectory(diffusion, calls, last, audio, num_steps)


def sample_quietly(
    model: nn.Module, sampling: Sampling, num_items: int, num_steps: int, seed: int
) -> Tensor:
    """Return sounds of a model, float32 on the CPU; torch's global random state stays as it was."""
    device = next(model.parameters()).device
    generator = Generator(device).manual_seed(seed)
    with unchanged_random_state(device), torch.no_grad():
        torch.manual_seed(seed)  # for samplers that draw from there
        audio = sampling(num_items, num_steps, generator)
    return audio.detach().float().cpu()


@contextmanager
def unchanged_random_state(device: torch.device) -> Iterator[None]:
    """Within this context anything may be drawn; afterwards the global states are as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def _read(diffusion: GaussianDiffusion, net_input: Tensor, told: Tensor, said: Tensor) -> NetCall:
    time, in_range = times_told(diffusion, told)
    levels = diffusion.schedule.alpha_sigma(time)
    coefficients = diffusion.parameterization.coefficients(time, *levels)
    if said.shape != net_input.shape:
        raise ValueError(
            "the doctor reads networks that answer in the shape of their input, got "
            f"{tuple(said.shape)} for {tuple(net_input.shape)}: leave its trajectory out"
        )
    precision = max(torch.finfo(x.dtype).eps for x in (net_input, said))
    net_input, said = net_input.float(), said.float()
    c_skip, c_out, c_in, alpha, sigma = (
        lift(c, net_input).to(net_input) for c in (*coefficients[:3], *levels)
    )
    state = net_input / c_in
    guess = c_skip * state + c_out * said
    guided_by, half = None, len(state) // 2
    if len(state) % 2 == 0 and half and torch.equal(state[:half], state[half:]):
        guided_by = guess[:half] - guess[half:]
        state, guess = state[:half], guess[:half]
        alpha, sigma = (level[: max(1, len(level) // 2)] for level in (alpha, sigma))
    mean_told, mean_time = float(told.double().mean()), float(time.double().mean())
    return NetCall(mean_told, in_range, mean_time, alpha, sigma, state, guess, guided_by, precision)


def times_told(
    diffusion: GaussianDiffusion, told: Tensor, resolution: int = 4096
) -> tuple[Tensor, bool]:
    """Return the times that levels told to a network stand for, and whether all are in range.

    Args:
        diffusion: Its parameterization says `c_noise` at a time; here that is turned around, on an
            even grid of times with straight lines between them.
        told: What the network was given as its time, any shape.
        resolution: Stretches of the grid.

    Raises:
        ValueError: `c_noise` is the same at every time.
    """
    grid = torch.linspace(0, 1, resolution + 1, dtype=torch.float64, device=told.device)
    levels = diffusion.schedule.alpha_sigma(grid)
    said = diffusion.parameterization.coefficients(grid, *levels)[3].double()
    grid, said = grid[said.isfinite()], said[said.isfinite()]
    if len(said) < 2 or bool(said[-1] == said[0]):
        raise ValueError(
            "the network is told the same at every noise level, so its trajectory cannot be read: "
            "let c_noise of the parameterization grow with time"
        )
    if bool(said[-1] < said[0]):
        grid, said = grid.flip(0), said.flip(0)
    said = said.cummax(0).values
    wanted = told.double().contiguous()
    slack = OUT_OF_RANGE * float(said[-1] - said[0])
    inside = (wanted >= said[0] - slack) & (wanted <= said[-1] + slack)
    right = torch.searchsorted(said, wanted).clamp(1, len(said) - 1)
    width = (said[right] - said[right - 1]).clamp_min(torch.finfo(said.dtype).tiny)
    share = ((wanted - said[right - 1]) / width).clamp(0, 1)
    time = torch.lerp(grid[right - 1], grid[right], share)
    return time.float(), bool(inside.all())
