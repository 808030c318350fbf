"""What a network is asked and what it says at chosen noise levels, seen from outside.

The checks of the doctor must work for any model whose objective is a `GaussianDiffusion`, whatever
it is conditioned on and however its loss is called. So they do not call the network themselves:
they call the loss as training does, at times of their choice, and watch what passes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss, to_device
from audio_diffusion_pytorch.ops.shapes import lift


@dataclass(frozen=True)
class Observation:
    """One batch at one noise level per item: what went into the network and what came out.

    Signals are `(b, c, *t)` in the space of the diffusion, coefficients `(b, 1, ...)` over them.

    Attributes:
        diffusion: The objective.
        clean: Clean signals.
        noise: What was added to them, unit variance.
        noisy: `alpha clean + sigma noise`.
        time: `(b,)` in 0..1.
        alpha: Gain of the signal.
        sigma: Gain of the noise.
        net_input: What the network was given, `c_in noisy`.
        net_time: The level as the network was told it.
        cond: What else it was given.
        said: What it answered.
        wanted: What a perfect network would have answered.
        c_skip: Share of the noisy signal in the guess.
        c_out: Share of the answer in the guess.
        losses: The training loss of each item `(b,)`.
    """

    diffusion: GaussianDiffusion
    clean: Tensor
    noise: Tensor
    noisy: Tensor
    time: Tensor
    alpha: Tensor
    sigma: Tensor
    net_input: Tensor
    net_time: Tensor
    cond: Mapping[str, Any]
    said: Tensor
    wanted: Tensor
    c_skip: Tensor
    c_out: Tensor
    losses: Tensor

    def guess(self, said: Tensor | None = None) -> Tensor:
        """Return the clean signal that the network's answer, or another one, stands for."""
        return self.c_skip * self.noisy + self.c_out * (self.said if said is None else said)

    def clean_error(self, said: Tensor | None = None) -> Tensor:
        """Return the mean squared error `(b,)` of the guess of the clean signal."""
        return (self.guess(said) - self.clean).square().flatten(1).mean(1)

    @torch.no_grad()
    def ask(
        self,
        *,
        net_input: Tensor | None = None,
        net_time: Tensor | None = None,
        cond: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Ask the network again in evaluation mode, with something replaced.

        Args:
            net_input: In place of what it was given.
            net_time: In place of the level it was told.
            cond: In place of all its conditioning.
        """
        with evaluated(self.diffusion.net):
            return self.diffusion.predict(
                self.net_input if net_input is None else net_input,
                self.net_time if net_time is None else net_time,
                **(self.cond if cond is None else cond),
            )


def permuted(cond: Mapping[str, Any], order: Tensor) -> dict[str, Any]:
    """Return a conditioning with its items in another order; what is not per item stays.

    Args:
        cond: Tensors `(b, ...)`, sequences of b entries, and anything else.
        order: Indices `(b,)`.
    """
    count, places = len(order), order.tolist()

    def reorder(value: Any) -> Any:
        if isinstance(value, Tensor):
            same = value.ndim > 0 and len(value) == count
            return value[order.to(value.device)] if same else value
        if isinstance(value, Mapping):
            return {name: reorder(part) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            # A list of tensors has one for each layer; a list of words has one for each item.
            words = any(isinstance(part, (str, int, float)) for part in value)
            if words and len(value) == count:
                return type(value)(value[place] for place in places)
            return type(value)(reorder(part) for part in value)
        return value

    return {name: reorder(value) for name, value in cond.items()}


@torch.no_grad()
def observe(
    model: nn.Module,
    clips: Clip,
    times: Tensor,
    *,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Observation:
    """Call the loss of a batch at given times and return what passed by the network.

    The model is asked in evaluation mode and left in the mode it was in; torch's global random
    state is left as it was.

    Args:
        model: Has a `diffusion`, a `GaussianDiffusion`, whose `net` is asked.
        clips: Batched clips, audio `(b, c, t)`.
        times: `(b,)` in 0..1.
        loss: As in training.
        seed: Of the noise; the same noise for the same seed at any time.

    Raises:
        ValueError: The objective is no `GaussianDiffusion` with a level per item, or the loss did
            not ask the network exactly once.
    """
    diffusion = gaussian_diffusion(model)
    device = next(model.parameters()).device
    seen: list[_Call] = []
    clean: list[Tensor] = []
    devices = [device] if device.type == "cuda" else []
    generator = Generator(device).manual_seed(seed)
    times = times.to(device)
    before = diffusion.register_forward_pre_hook(lambda _, inputs: clean.append(inputs[0]))
    try:
        with torch.random.fork_rng(devices), evaluated(model), _watched(diffusion, seen):
            torch.manual_seed(seed)
            losses = loss(model, to_device(clips, device), generator, times)
    finally:
        before.remove()
    if len(seen) != 1 or len(clean) != 1:
        raise ValueError(
            "the doctor needs a loss that calls model.diffusion(clean, ...) and its network once "
            f"each, got {len(clean)} and {len(seen)} calls: pass the loss= that training uses, and "
            "in an objective of your own call self.predict(...), not self.net(...)"
        )
    # Some models take each channel of a sound for an item; their copies stand next to one another.
    times = times.repeat_interleave(max(1, len(clean[0]) // len(times)), 0)
    return _observation(diffusion, clean[0], times, *seen[0], losses)


_Call = tuple[Tensor, Tensor, dict[str, Any], Tensor]
"""What the network was given, the level it was told, what else it was given, and its answer."""


@contextmanager
def _watched(diffusion: GaussianDiffusion, seen: list[_Call]) -> Iterator[None]:
    """Within this context note what the network is asked and answers.

    An objective may ask its network in a way of its own: all of them do it in `predict`. One that
    calls `self.net(x, time, **cond)` past it is understood as well.
    """
    predict = diffusion.predict
    past: list[_Call] = []  # all calls of the net, those of `predict` too

    def noting(x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        said = predict(x, time, **cond)
        seen.append((x, time, cond, said))
        return said

    def noting_net(_: nn.Module, given: tuple[Any, ...], cond: dict[str, Any], said: Any) -> None:
        others = dict(cond)
        both = (*given, *(others.pop(name) for name in ("time",) if name in others))
        if len(both) == 2 and all(isinstance(part, Tensor) for part in (*both, said)):
            past.append((*both, others, said))

    own = vars(diffusion).get("predict")
    net = diffusion.net if isinstance(diffusion.net, nn.Module) else nn.Identity()
    hook = net.register_forward_hook(noting_net, with_kwargs=True)
    diffusion.predict = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        hook.remove()
        del diffusion.predict
        if own is not None:
            diffusion.predict = own  # type: ignore[method-assign]
        if not seen:
            seen.extend(past)


def _observation(
    diffusion: GaussianDiffusion,
    clean: Tensor,
    time: Tensor,
    net_input: Tensor,
    net_time: Tensor,
    cond: dict[str, Any],
    said: Tensor,
    losses: Tensor,
) -> Observation:
    exact = time.to(torch.promote_types(clean.dtype, torch.float32))
    levels = diffusion.schedule.alpha_sigma(exact)
    alpha, sigma = (lift(level, clean) for level in levels)
    coefficients = diffusion.parameterization.coefficients(exact, *levels)
    c_skip, c_out, c_in = (lift(c, clean) for c in coefficients[:3])
    noisy = net_input / c_in
    noise = (noisy - alpha * clean) / sigma.clamp_min(torch.finfo(exact.dtype).tiny)
    wanted = diffusion.parameterization.target(clean, noise, alpha, sigma)
    return Observation(
        diffusion, clean, noise, noisy, time, alpha, sigma, net_input, net_time, cond, said,
        wanted, c_skip, c_out, losses,
    )  # fmt: skip


def gaussian_diffusion(model: nn.Module) -> GaussianDiffusion:
    """Return the objective of a model.

    Raises:
        ValueError: It is no `GaussianDiffusion`.
    """
    diffusion = getattr(model, "diffusion", model)
    if not isinstance(diffusion, GaussianDiffusion):
        raise ValueError(
            "the doctor examines models whose diffusion is a GaussianDiffusion, such as "
            f"DiffusionModel(UNetV0, diffusion_t=VDiffusion), got {type(diffusion).__name__}"
        )
    return diffusion


@contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """Within this context a module is in evaluation mode; each part gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def time_at_decibels(diffusion: GaussianDiffusion, decibels: Tensor) -> Tensor:
    """Return the times at which signal stands over noise by so many decibels.

    Unit-variance data taken for granted: `10 log10(alpha^2 / sigma^2)`.
    """
    nats = decibels * (torch.log(torch.tensor(10.0)) / 10).to(decibels)
    return diffusion.schedule.time_at(nats)


Sampling = Callable[[int, int, Generator], Tensor]
"""`(num_items, num_steps, generator) -> (num_items, c, t)`: how a model is sampled."""
