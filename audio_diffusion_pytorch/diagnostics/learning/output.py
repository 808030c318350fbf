"""Whether the network can say what is wanted of it: no squashing function at its end."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .trial import choose_clips, repeat_clips
from .words import number

BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: (0.0, 1.0), nn.Hardsigmoid: (0.0, 1.0), nn.Softmax: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0), nn.Softsign: (-1.0, 1.0), nn.Hardtanh: (-1.0, 1.0),
    nn.ReLU: (0.0, math.inf), nn.ReLU6: (0.0, 6.0), nn.Softplus: (0.0, math.inf),
    nn.LogSigmoid: (-math.inf, 0.0), nn.ELU: (-1.0, math.inf), nn.GELU: (-0.17, math.inf),
    nn.SiLU: (-0.28, math.inf), nn.Mish: (-0.31, math.inf),
}  # fmt: skip
"""What squashing functions can say at all."""

OUT_OF_REACH = 0.05
"""Share of the wanted values out of reach from which the network cannot learn: under a sigmoid it
is over a half, of a wanted answer whose rare peaks alone are cut it is less than this."""

AT_THE_EDGE = 0.01
"""Share of a network's answers within 1 % of -1 or 1 that betrays a squashing function."""

LOUDER = (100.0, 10_000.0)
"""Factors of the input at which a squashed answer stays at its bounds."""

AT_THE_BOUNDS, SAME_BOUNDS = 0.5, 0.01
"""Share of the answers to such inputs that lies at the bounds; how near that is, by their span."""

LEVELS = (-15.0, -5.0, 5.0, 15.0)
"""Signal over noise at which the answers are looked at, in dB."""


def check_output_range(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Hold the range of the network's answers, and its last module, against the wanted range.

    Args:
        model: Left as it is.
        clips: Batched clips; up to 8 are used.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.
    """
    diffusion = gaussian_diffusion(model)
    few = choose_clips(clips, 8)
    batch = repeat_clips(few, len(few.audio) * max(1, 8 // len(few.audio)))
    levels = time_at_decibels(diffusion, torch.tensor(LEVELS))
    times = levels.repeat(-(-len(batch.audio) // len(levels)))[: len(batch.audio)]
    last = _LastModule(diffusion.net)
    with last:
        seen = observe(model, batch, times, loss=loss, seed=seed)
    said, wanted = seen.said.float(), seen.wanted.float()
    low, high = float(said.min()), float(said.max())
    wanted_low, wanted_high = float(wanted.min()), float(wanted.max())
    reach = _reach(seen, last.module)
    beyond = float(((wanted < reach[0]) | (wanted > reach[1])).float().mean())
    name = "" if last.module is None else type(last.module).__name__
    ranges = (
        f"the network's answers lie in {low:.2f}..{high:.2f}, the wanted ones in "
        f"{wanted_low:.2f}..{wanted_high:.2f}"
    )
    figures: dict[str, float | str] = {
        "lowest answer": low, "highest answer": high, "lowest wanted": wanted_low,
        "highest wanted": wanted_high, "share out of reach": beyond, "last module": name or "none",
    }  # fmt: skip
    if beyond <= OUT_OF_REACH:
        return Finding("output range", "ok", f"{ranges}, all within reach", figures=figures)
    ends = f", for it ends in a {name}" if name else ""
    reachable = f"{number(reach[0])} to {number(reach[1])}"
    return Finding(
        "output range",
        "wrong",
        f"{ranges}: {100 * beyond:.0f} % of these, where 0 % is right, are out of its reach of "
        f"{reachable}{ends}",
        f"let the network end in a plain convolution without {name or 'a squashing function'}",
        figures=figures,
    )


def _reach(seen: Observation, last: nn.Module | None) -> tuple[float, float]:
    """Return what the network can say: by its last module, else by what it said and shouts."""
    said = seen.said.float()
    if isinstance(last, nn.Hardtanh):
        return float(last.min_val), float(last.max_val)
    if last is not None:
        return BOUNDS[type(last)]
    low, high = float(said.min()), float(said.max())
    if low == high:
        return -math.inf, math.inf  # it begins by saying nothing, which tells nothing
    if (bounds := _bounds(seen)) is not None:
        return bounds
    edge = float((said.abs() > 0.99).float().mean())
    if max(-low, high) <= 1.0 and edge > AT_THE_EDGE:
        return (0.0 if low >= 0 else -1.0), 1.0
    return (0.0 if low >= 0 else -math.inf), (0.0 if high <= 0 else math.inf)


def _bounds(seen: Observation) -> tuple[float, float] | None:
    """Return the bounds at which a network rests however loud its input is; None if at none."""
    found: tuple[float, float] | None = None
    for factor in LOUDER:
        said = seen.ask(net_input=factor * seen.net_input).float()
        low, high = float(said.min()), float(said.max())
        near = SAME_BOUNDS * (high - low)
        resting = ((said - low <= near) | (high - said <= near)).float().mean()
        if not (math.isfinite(near) and near > 0 and float(resting) >= AT_THE_BOUNDS):
            return None
        if found is not None and max(abs(low - found[0]), abs(high - found[1])) > near:
            return None
        if float(seen.said.min()) < low - near or float(seen.said.max()) > high + near:
            return None
        found = low, high
    return None if found is None else (round(found[0], 2), round(found[1], 2))


class _LastModule:
    """Finds the squashing module whose output is the network's answer, while it is entered."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.module: nn.Module | None = None
        self._last: tuple[nn.Module, Tensor] | None = None

    def __enter__(self) -> None:
        leaves = [part for part in self.net.modules() if type(part) in BOUNDS]
        self._handles = [leaf.register_forward_hook(self._note) for leaf in leaves]
        self._handles.append(self.net.register_forward_hook(self._answered))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _note(self, module: nn.Module, _: object, output: Tensor) -> None:
        self._last = module, output

    def _answered(self, _: nn.Module, __: object, answer: Tensor) -> None:
        if self._last is not None and self._last[1].data_ptr() == answer.data_ptr():
            self.module = self._last[0]
        self._last = None
