"""Names of weights in audio-diffusion-pytorch 0.1 (built on a-unet) and here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn

from .unet_level import UNetItem, UNetLevel


class UNetParts(Protocol):
    """The parts of `UNetV0` whose presence decides upstream's names."""

    levels: Sequence[UNetLevel]
    modulation_features: int | None
    time_embedding: nn.Module | None
    text_encoder: object
    null_embedding: nn.Module | None


def upstream_keys(net: UNetParts, *, with_text: bool = False) -> dict[str, str]:
    """Map the prefixes of upstream's weight names to the prefixes of ours.

    The plugins of upstream wrap one another: time conditioning is outermost and holds the rest as
    its last block, then text conditioning where a file has it, then classifier-free guidance, then
    the U-Net, whose blocks are nested.
    """
    names: dict[str, str] = {}
    prefix = _text_stage(net) + ("blocks.1." if with_text else "")
    if net.time_embedding is not None:
        names["blocks.0."] = "time_embedding.number."
        names["blocks.0.to_out."] = "time_embedding.number.to_out."
        for copy in (0, 1):  # one layer, registered twice
            names[f"blocks.1.blocks.{copy}.0."] = "time_embedding.layer."
    if net.null_embedding is not None:
        names[f"{prefix}blocks.0.blocks.0."] = "null_embedding.embedding."
        prefix += "blocks.1."
    prefix += "net."
    for depth, level in enumerate(net.levels):
        ours = f"levels.{depth}."
        names[f"{prefix}skip_adapter.block."] = f"{ours}adapter."
        if net.modulation_features is None:
            names[f"{prefix}skip.blocks.0."] = f"{ours}merge.conv."
        else:
            names[f"{prefix}skip.blocks.0.1."] = f"{ours}merge.to_scale."
        names[f"{prefix}block.blocks.0.block."] = f"{ours}down.conv."
        position = 1
        for i, item in enumerate(level.items_down):
            position = _add_item(
                names, item, f"{prefix}block.blocks.", position, f"{ours}items_down.{i}."
            )
        inner = position
        position += depth + 1 < len(net.levels)
        for i, item in enumerate(level.items_up):
            position = _add_item(
                names, item, f"{prefix}block.blocks.", position, f"{ours}items_up.{i}."
            )
        names[f"{prefix}block.blocks.{position}.block.1."] = f"{ours}up.conv."
        prefix = f"{prefix}block.blocks.{inner}."
    return names


def _text_stage(net: UNetParts) -> str:
    """Return the prefix of what stands inside upstream's time conditioning."""
    return "" if net.time_embedding is None else "blocks.2."


def _add_item(names: dict[str, str], item: UNetItem, theirs: str, position: int, ours: str) -> int:
    """Name the parts of one item, which upstream numbers through; return the next number."""
    for half, block in enumerate(("block1", "block2")):
        conv_block = f"{theirs}{position}.block.blocks.0.blocks.{half}."
        names[f"{conv_block}0."] = f"{ours}resnet.{block}.norm."
        names[f"{conv_block}2."] = f"{ours}resnet.{block}.conv."
    position += 1
    if item.modulation is not None:
        names[f"{theirs}{position}.blocks.0.block.blocks.0.1."] = (
            f"{ours}modulation.to_scale_shift."
        )
        position += 1
    if item.inject is not None:
        names[f"{theirs}{position}.block.blocks.0."] = f"{ours}inject.conv."
        position += 1
    for kind in ("attentions", "cross_attentions"):
        for i in range(len(getattr(item, kind))):
            attention = f"{theirs}{position}.blocks.0.block."
            for part in ("norm", "norm_context", "to_q", "to_kv"):
                names[f"{attention}{part}."] = f"{ours}{kind}.{i}.{part}."
            names[f"{attention}attention.blocks.0."] = f"{ours}{kind}.{i}.to_out."
            position += 1
    return position


def rename_upstream_keys(
    net: UNetParts, state_dict: dict[str, Any], prefix: str, *_: object
) -> None:
    """Rename the weights of an upstream U-Net in `state_dict`, in place; a load pre-hook.

    A module-level function, so that networks that hold it can be pickled and deep-copied.
    """
    with_text = _move_text_encoder(net, state_dict, prefix)
    names = upstream_keys(net, with_text=with_text)
    for key in [key for key in state_dict if key.startswith(prefix)]:
        stem, _dot, leaf = key[len(prefix) :].rpartition(".")
        ours = names.get(f"{stem}.")
        if ours is not None:
            state_dict[f"{prefix}{ours}{leaf}"] = state_dict.pop(key)


def _move_text_encoder(net: UNetParts, state_dict: dict[str, Any], prefix: str) -> bool:
    """Rename the weights of upstream's text encoder, or drop them if ours is not in the network.

    Return whether the file has text conditioning. It may, though the network has none: upstream's
    files hold a whole T5, which a network that is given embeddings does not need.
    """
    stage = prefix + _text_stage(net)
    guidance = "" if net.null_embedding is None else "blocks.1."
    encoder = f"{stage}blocks.0."
    if not any(key.startswith(f"{stage}blocks.1.{guidance}net.") for key in state_dict):
        return False
    if net.text_encoder is None and not any(
        key.startswith(f"{encoder}transformer.") for key in state_dict
    ):
        return False  # what stands there is not known to be a text encoder
    kept = isinstance(net.text_encoder, nn.Module) and len(net.text_encoder.state_dict()) > 0
    for key in [key for key in state_dict if key.startswith(encoder)]:
        value = state_dict.pop(key)
        if kept:
            state_dict[f"{prefix}text_encoder.{key.removeprefix(encoder)}"] = value
    return True
