"""What the blocks of a network say, in four numbers each: for a curve while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .culprit import tensors_in

FIGURES = ("min", "max", "mean", "std")


def called_blocks(model: nn.Module) -> dict[str, nn.Module]:
    """Return the blocks of a model that are called as modules, by dotted path.

    Opened are the model, lists and what else has no `forward` of its own, and whatever holds more
    than half of the weights; the rest are blocks, if they have weights. In a `DiffusionModel` of a
    `UNetV0` these are such as "net.time_embedding" and "net.levels.0.items_down.1".
    """
    whole = sum(weight.numel() for weight in model.parameters())
    seen: set[int] = set()

    def walk(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
        for name, child in module.named_children():
            if id(child) in seen:
                continue
            seen.add(id(child))
            where = f"{path}.{name}" if path else name
            weights = sum(weight.numel() for weight in child.parameters())
            silent = type(child).forward is nn.Module.forward
            if silent or (2 * weights > whole and next(child.children(), None) is not None):
                yield from walk(child, where)
            elif weights:
                yield where, child

    return dict(walk(model, ""))


class BlockHealth:
    """Within this context the output of each block of a model is summed up.

    A block that is called again, as one is once in each part of a step, tells its last call.

    Args:
        model: Watched at its `called_blocks`.
    """

    def __init__(self, model: nn.Module) -> None:
        self.blocks = called_blocks(model)
        self._told: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> BlockHealth:
        """Hang the hooks on."""
        self._told.clear()
        for name, block in self.blocks.items():
            self._handles.append(block.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def figures(self) -> dict[str, float]:
        """Return `{"net.levels.0.down/std": 1.02, ...}`: min, max, mean and std of each block."""
        return {
            f"{name}/{figure}": value
            for name, told in self._told.items()
            for figure, value in zip(FIGURES, told.tolist(), strict=True)
        }

    def _hook(self, name: str) -> Any:
        def hook(_: nn.Module, __: object, said: object) -> None:
            for tensor in tensors_in(said):
                exact = tensor.float() if tensor.is_floating_point() else tensor.abs().float()
                deviation, mean = torch.std_mean(exact, correction=0)
                self._told[name] = torch.stack([exact.min(), exact.max(), mean, deviation])
                return

        return hook
