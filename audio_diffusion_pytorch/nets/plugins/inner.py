"""What the plugins share: the keys of upstream's files, and conditioning made ready once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def rename_blocks(names: Mapping[str, str], state_dict: dict[str, Any], prefix: str) -> None:
    """Rename upstream's numbered blocks in `state_dict`, in place.

    Args:
        names: From upstream's prefix to ours, such as `"blocks.0."` to `"net."`.
        state_dict: Of a whole model.
        prefix: Of the plugin in it.
    """
    for key in [key for key in state_dict if key.startswith(prefix)]:
        rest = key[len(prefix) :]
        for theirs, ours in names.items():
            if rest.startswith(theirs):
                state_dict[prefix + ours + rest[len(theirs) :]] = state_dict.pop(key)
                break


def prepare_inner(net: nn.Module, cond: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditioning as a network makes it ready for many calls, or as it is."""
    prepare = getattr(net, "prepare", None)
    return dict(cond) if prepare is None else dict(prepare(**cond))
