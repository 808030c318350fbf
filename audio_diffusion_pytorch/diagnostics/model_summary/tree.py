"""The parts of a model: what each consists of, says and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .weights import own_tensors, place_of


@dataclass(frozen=True)
class ModuleRow:
    """One part of a model.

    Attributes:
        path: Its dotted path; empty for the model itself.
        kind: Its class.
        depth: How many parts it is inside of.
        shape: Of what it said last; None if it said nothing or was not called.
        weights: In it, its parts included, but for what an earlier row has already.
        multiply_adds: Of its convolutions, matrix products and attentions in the run, all calls
            and parts included, but for parts that an earlier row has; norms, activations and
            Fourier transforms are not counted.
        calls: How often it was called.
    """

    path: str
    kind: str
    depth: int
    shape: tuple[int, ...] | None
    weights: int
    multiply_adds: int
    calls: int


def module_rows(model: nn.Module, run: Callable[[], object]) -> list[ModuleRow]:
    """Return the parts of a model from the outside in, each once.

    Args:
        model: Its parts are watched while it runs.
        run: Runs it forward once.
    """
    said: dict[nn.Module, tuple[int, ...] | None] = {}
    spent: dict[nn.Module, int] = {}
    calls: dict[nn.Module, int] = {}
    before: list[int] = []
    counter = FlopCounterMode(display=False, custom_mapping=_MISSING)

    def begin(*_: Any) -> None:
        before.append(counter.get_total_flops())

    def end(module: nn.Module, _: Any, output: object) -> None:
        spent[module] = spent.get(module, 0) + counter.get_total_flops() - before.pop()
        calls[module] = calls.get(module, 0) + 1
        said[module] = _shape(output)

    handles = [
        handle
        for part in model.modules()
        for handle in (part.register_forward_pre_hook(begin), part.register_forward_hook(end))
    ]
    try:
        with counter:
            run()
    finally:
        for handle in handles:
            handle.remove()
    counted: set[object] = set()
    visited: set[nn.Module] = set()

    def walk(module: nn.Module, path: str, depth: int) -> Iterator[ModuleRow]:
        visited.add(module)
        already = visited.copy()
        own = 0
        for kind, tensor in own_tensors(module):
            if kind != "buffers" and place_of(tensor) not in counted:
                counted.add(place_of(tensor))
                own += tensor.numel()
        inside: list[list[ModuleRow]] = []
        for name, child in module.named_children():
            if child not in visited:
                inside.append(list(walk(child, f"{path}.{name}" if path else name, depth + 1)))
        elsewhere = [spent.get(child, 0) for child in module.children() if child in already]
        multiply_adds = max(0, spent.get(module, 0) - sum(elsewhere)) // 2
        if module not in calls:
            multiply_adds = sum(rows[0].multiply_adds for rows in inside)
        yield ModuleRow(
            path,
            type(module).__name__,
            depth,
            said.get(module),
            own + sum(rows[0].weights for rows in inside),
            multiply_adds,
            calls.get(module, 0),
        )
        for rows in inside:
            yield from rows

    return list(walk(model, "", 0))


def tree_text(rows: Sequence[ModuleRow], depth: int | None = None) -> str:
    """Return the parts as an indented table.

    Args:
        rows: As `module_rows` gives them.
        depth: How deep to look; None: to the end. What was not called and has no weights is left
            out.
    """
    kept = [
        row
        for row in rows
        if (depth is None or row.depth <= depth) and (row.weights or row.calls or not row.path)
    ]
    cells = [("part", "said", "weights", "multiply-adds")]
    for row in _joined(kept):
        name = row.path.rpartition(".")[2]
        label = f"{'  ' * row.depth}{name}: {row.kind}" if row.path else row.kind
        times = f" x {row.calls}" if row.calls > 1 else ""
        shape = "x".join(map(str, row.shape)) if row.shape is not None else ""
        cells.append((label, shape + times, f"{row.weights:,}", scaled(row.multiply_adds)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        f"{label:<{widths[0]}}  {shape:<{widths[1]}}  {weights:>{widths[2]}}  {work:>{widths[3]}}"
        for label, shape, weights, work in cells
    )


def scaled(number: float) -> str:
    """Return a number in thousands, millions and so on.

    >>> scaled(950), scaled(12_345_678)
    ('950', '12.3 M')
    """
    for size, word in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:.0f}"


def _joined(rows: Sequence[ModuleRow]) -> Iterator[ModuleRow]:
    """Yield rows; neighbours without parts that differ in nothing but their number become one."""
    held: ModuleRow | None = None
    first = ""
    for i, row in enumerate(rows):
        name = row.path.rpartition(".")[2]
        parts = i + 1 < len(rows) and rows[i + 1].depth > row.depth
        if held is not None and not parts and name.isdigit() and _same(held, row):
            parent = row.path.rpartition(".")[0]
            held = replace(held, path=f"{parent}.{first}-{name}")
            continue
        if held is not None:
            yield held
        held, first = row, name
        if parts or not name.isdigit():
            yield row
            held = None
    if held is not None:
        yield held


def _same(held: ModuleRow, row: ModuleRow) -> bool:
    alike = replace(row, path="") == replace(held, path="")
    return alike and held.path.rpartition(".")[0] == row.path.rpartition(".")[0]


def _shape(output: object) -> tuple[int, ...] | None:
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, (tuple, list)) and output:
        return _shape(output[0])
    return None


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Count twice the multiply-adds of attention, from shapes `(b, heads, n, features)`."""
    batch, heads, count, features = query
    return int(2 * batch * heads * count * key[2] * (features + value[3]))


# torch counts attention on a GPU only.
_MISSING = {
    getattr(torch.ops.aten, name): _attention
    for name in ("_scaled_dot_product_flash_attention_for_cpu",)
    if hasattr(torch.ops.aten, name)
}
