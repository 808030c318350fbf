"""A model seen from outside: parts, weights, reach, lengths and cost, as figures and as text."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.diagnostics.observation import evaluated

from .calls import ModelCall, capture, from_end_to_end, in_its_space
from .cost import Cost, measure_cost
from .lengths import LengthsAccepted, accepted_lengths
from .receptive_field import Function, LocalView, Reach, find_reach, randomize
from .tree import ModuleRow, module_rows, scaled, tree_text
from .weights import WeightCounts, count_weights

FRAMES, SAMPLES = 64, 512
"""With so much of a space, or of raw audio, the search for the receptive field begins."""

LONGEST = 2**19
"""Samples with which it ends."""


@dataclass(frozen=True)
class ReceptiveField:
    """Which input influences an output sample, but for what looks at the whole clip at once.

    Attributes:
        samples: In samples, through the transform too; None if the model took no length tried.
        frames: In frames of the space the network works in; None on raw samples.
        everywhere: The parts that look at the whole clip, beside the reach: path and kind.
    """

    samples: Reach | None
    frames: Reach | None
    everywhere: dict[str, str]

    def text(self, sample_rate: int | None) -> str:
        """Return one sentence, without a full stop."""
        reach = self.samples
        if reach is None:
            return "not measured: the model took none of the lengths tried"
        size, before, after = (
            _timed(number, sample_rate) for number in (reach.size, reach.before, reach.after)
        )
        if reach.whole:
            said = f"at least {size}: it fills the {reach.length:,} samples tried"
        else:
            said = f"{size}: {before} before it and {after} after it, at most"
        if self.frames is not None:
            least = "at least " if self.frames.whole else ""
            said += f" ({least}{self.frames.size} frames of the space)"
        if self.everywhere:
            kinds = Counter(self.everywhere.values()).items()
            first = {kind: path for path, kind in reversed(self.everywhere.items())}
            parts = ", ".join(f"{count} x {kind} ({first[kind]}...)" for kind, count in kinds)
            said += f"; beyond it the whole clip has some influence, through {parts}"
        return said


@dataclass(frozen=True)
class ModelSummary:
    """What a model is.

    Attributes:
        kind: Its class.
        length: Samples of the clip it was run with.
        sample_rate: Hz, or None.
        weights: How many.
        rows: Its parts.
        field: Its receptive field.
        lengths: What it takes.
        cost: Of one clip.
        says: The number format of what it answers.
    """

    kind: str
    length: int
    sample_rate: int | None
    weights: WeightCounts
    rows: Sequence[ModuleRow]
    field: ReceptiveField
    lengths: LengthsAccepted
    cost: Cost
    says: str

    def text(self, depth: int | None = None) -> str:
        """Return all of it for a terminal, the parts down to a depth."""
        cost = self.cost
        return "\n".join(
            [
                f"{self.kind}, one clip of {_timed(self.length, self.sample_rate)}",
                "",
                tree_text(self.rows, depth),
                "",
                f"weights: {self.weights.text}",
                f"receptive field of an output sample: {self.field.text(self.sample_rate)}",
                f"lengths: {self.lengths.text}",
                f"forward: {scaled(self.rows[0].multiply_adds)} multiply-adds in "
                f"{1e3 * cost.seconds:.1f} ms, {_mebibytes(cost.forward_bytes)} beside the weights",
                f"training: {_mebibytes(cost.training_bytes)} held for the way back, per clip",
                f"answers in {self.says}",
            ]
        )


def summarize_model(
    model: nn.Module, call: ModelCall, length: int, sample_rate: int | None = None
) -> ModelSummary:
    """Measure a model by running it; it is left as it is.

    The receptive field is that of the architecture: it is measured on a copy with random weights,
    since weights that begin at zero hide what is behind them, in float64.

    Args:
        model: A diffusion model, or a network.
        call: Runs it, as `clip_call` and `network_call` do.
        length: Samples of the clip.
        sample_rate: Hz, to tell times.

    Raises:
        ValueError: It does not take that length.
    """
    with _undisturbed(model), evaluated(model):
        device = next(model.parameters()).device
        with torch.no_grad():
            rows = module_rows(model, lambda: call(model, length))
            lengths = accepted_lengths(lambda tried: call(model, tried), length)
        return ModelSummary(
            type(model).__name__,
            length,
            sample_rate,
            count_weights(model),
            rows,
            measure_receptive_field(model, call, lengths),
            lengths,
            measure_cost(lambda: call(model, length), device),
            str(call(model, length).dtype).removeprefix("torch."),
        )


def measure_receptive_field(
    model: nn.Module, call: ModelCall, lengths: LengthsAccepted, seconds: float = 20.0
) -> ReceptiveField:
    """Measure which input samples influence an output sample, by gradients.

    Norms over time, attention of the signal to itself and vectors made of a whole signal reach
    everywhere; they are listed, and the reach is that of the rest (`LocalView`).

    Args:
        model: Copied.
        call: Runs it.
        lengths: What it takes.
        seconds: Not to go on after, for each of two measurements.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    if next(copied.parameters()).device.type == "mps":  # it has no float64
        copied.cpu()
    copied.double()
    randomize(copied)
    view = LocalView(copied)
    transform = getattr(copied, "autoencoder", None)
    hop = int(getattr(transform, "downsample_factor", 1))
    shortest = SAMPLES if transform is None else FRAMES * hop
    unit = max(1, lengths.multiple)
    begin = max(lengths.smallest, -(-shortest // unit) * unit)
    most = max(LONGEST, begin)

    def network(length: int) -> tuple[Function, Tensor, Sequence[int]]:
        return in_its_space(capture(copied, call, length), 5 if transform is None else 1)

    def whole(length: int) -> tuple[Function, Tensor, Sequence[int]]:
        captured = capture(copied, call, length)
        channels = getattr(transform, "channels", None) or _audio_channels(copied, call, length)
        audio = torch.randn(1, channels, length, generator=Generator().manual_seed(1))
        return from_end_to_end(copied, captured, audio.to(next(copied.parameters())))

    with view.cut():
        inside = find_reach(network, begin, most, seconds)
        if transform is None:
            return ReceptiveField(inside, None, dict(view.parts))
        return ReceptiveField(find_reach(whole, begin, most, seconds), inside, dict(view.parts))


def _audio_channels(model: nn.Module, call: ModelCall, length: int) -> int:
    """Return the channels of what a model is called with, which its transform may not tell."""
    found: list[int] = []
    handle = model.register_forward_pre_hook(lambda _, args: found.append(args[0].shape[1]))
    try:
        with torch.no_grad():
            call(model, length)
    finally:
        handle.remove()
    return found[0]


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Within this context torch's global random state may change; afterwards it is as before."""
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def _timed(samples: int, sample_rate: int | None) -> str:
    said = f"{samples:,} sample{'' if samples == 1 else 's'}"
    return said if sample_rate is None else f"{said} ({1e3 * samples / sample_rate:.1f} ms)"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
