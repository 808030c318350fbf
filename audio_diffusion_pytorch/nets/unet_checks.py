"""What the constructor of `UNetV0` refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Sequence

from .unet_level import LevelShape


def require(condition: bool, message: str) -> None:
    """Raise a ValueError with this message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def check_signal(in_channels: int, out_channels: int) -> None:
    """Refuse signals without channels."""
    require(
        min(in_channels, out_channels) >= 1,
        f"in_channels must be at least 1, got {in_channels} (out_channels: {out_channels}): "
        "pass the channels of the signal",
    )


def check_text(levels: Sequence[LevelShape], encoder_features: int, features: int | None) -> None:
    """Refuse a text encoder that nothing attends to, or whose tokens have other features."""
    require(
        any(level.cross_attentions for level in levels),
        "use_text_conditioning needs cross_attentions, got none: pass for instance 1 for each of "
        "the deeper levels",
    )
    require(
        encoder_features == features,
        f"embedding_features must be the {encoder_features} of the text encoder, got {features}: "
        "leave it or pass that",
    )


def check_modulation(
    use_modulation: bool,
    use_time_conditioning: bool,
    num_classes: int | Sequence[int] | None,
    gated_skip: bool,
    energy_embedding: bool,
) -> None:
    """Refuse what acts through the modulation (time, labels, the gate) where there is none."""
    require(
        use_modulation or not use_time_conditioning,
        "use_time_conditioning needs use_modulation=True, got False: set both to the same",
    )
    require(
        use_modulation or num_classes is None,
        "num_classes needs use_modulation=True, got False: labels act through the modulation",
    )
    require(
        use_modulation or not gated_skip,
        "gated_skip needs use_modulation=True, got False: time gates it",
    )
    require(
        use_modulation or not energy_embedding,
        "energy_embedding needs use_modulation=True, got False: energies act through the "
        "modulation",
    )


def check_attention(
    levels: Sequence[LevelShape],
    attention_features: int | None,
    attention_heads: int | None,
    embedding_features: int | None,
    embedding_max_length: int | None,
    use_embedding_cfg: bool,
) -> None:
    """Refuse attentions whose sizes are not all given."""
    crosses = any(level.cross_attentions for level in levels)
    if crosses or any(level.attentions for level in levels):
        for name, value, usual in (
            ("attention_features", attention_features, 64),
            ("attention_heads", attention_heads, 8),
        ):
            require(
                value is not None and value >= 1,
                f"{name} must be at least 1 where there are attentions, got {value}: pass for "
                f"instance {usual}",
            )
    require(
        embedding_features is not None or not (use_embedding_cfg or crosses),
        "cross_attentions and use_embedding_cfg need embedding_features, got None: pass the size "
        "of an embedding's last axis",
    )
    require(
        embedding_max_length is not None or not use_embedding_cfg,
        "use_embedding_cfg needs embedding_max_length, got None: pass the most tokens of an "
        "embedding",
    )


def level_shapes(groups: int, **lists: Sequence[int] | None) -> list[LevelShape]:
    """Zip the lists that describe the levels; None stands for zeros.

    Raises:
        ValueError: if their lengths differ, a value is too small or channels do not fit `groups`.
    """
    require(groups >= 1, f"resnet_groups must be at least 1, got {groups}: pass for instance 8")
    channels = lists["channels"] or []
    require(len(channels) > 0, "channels must name at least one level, got none: pass a list")
    full = {name: [0] * len(channels) if x is None else list(x) for name, x in lists.items()}
    for name, values in full.items():
        require(
            len(values) == len(channels),
            f"{name} must have one entry for each of the {len(channels)} levels of channels, got "
            f"{len(values)}: make the lists equally long",
        )
        least = 1 if name in ("channels", "factors") else 0
        require(
            min(values) >= least,
            f"{name} must be at least {least} at every level, got {values}: raise the smallest",
        )
    require(
        all(count % groups == 0 for count in channels),
        f"channels must be multiples of resnet_groups={groups}, got {list(channels)}: change the "
        "channels or pass resnet_groups",
    )
    order = ("channels", "factors", "items", "attentions", "cross_attentions", "context_channels")
    return [LevelShape(*level) for level in zip(*(full[name] for name in order), strict=True)]
