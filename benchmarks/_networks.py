"""The networks that are compared, and what they are given."""

from __future__ import annotations

from typing import Any, NamedTuple

from _results import ROOT, import_recipes

import_recipes()

from recipe import Config, build_model  # noqa: E402
from train_class_conditional import LabelledConfig  # noqa: E402

from audio_diffusion_pytorch.training import load_config  # noqa: E402

# The unconditional generator of the README of 0.1.3.
README: dict[str, Any] = {
    "in_channels": 2,
    "channels": [8, 32, 64, 128, 256, 512, 512, 1024, 1024],
    "factors": [1, 4, 4, 4, 2, 2, 2, 2, 2],
    "items": [1, 2, 2, 2, 2, 2, 2, 4, 4],
    "attentions": [0, 0, 0, 0, 0, 1, 1, 1, 1],
    "attention_heads": 8,
    "attention_features": 64,
}
# Its text-conditional generator adds these.
README_TEXT: dict[str, Any] = {
    "use_embedding_cfg": True,
    "embedding_max_length": 64,
    "embedding_features": 768,
    "cross_attentions": [0, 0, 0, 1, 1, 1, 1, 1, 1],
}


class Network(NamedTuple):
    """A network of `UNetV0` and its conditions, so that JSON can hold them."""

    title: str
    arguments: dict[str, Any]
    shape: list[int]
    tensors: dict[str, list[int]]  # random conditions, by their keyword
    numbers: dict[str, float]  # other keywords of a call
    append_channels: int = 0  # of `AppendChannelsPlugin`, 0 without it
    layers: bool = False  # measured for what a layer over the plain network adds


def networks(small: bool) -> list[Network]:
    """Return those of the README, or small ones: first the plain ones, then layers over one."""
    if small:
        waveform = load_config(Config, ROOT / "examples" / "configs" / "small_test.ini")
        plain = _of_recipe("waveform net of small_test.ini", waveform)
        others = [_of_recipe("MDCT net of the conditional recipe", LabelledConfig())]
        depth = len(plain.arguments["channels"])
        name = plain.title
        text = {
            **README_TEXT,
            "embedding_features": 64,
            "cross_attentions": [0] * (depth - 2) + [1, 1],
        }
    else:
        name = "U-Net of the README"
        plain = Network(f"unconditional {name}", README, [1, 2, 2**18], {}, {})
        text, others = README_TEXT, []
    batch, channels, length = plain.shape
    guided = Network(
        f"{name}, embedding and guidance",
        {**plain.arguments, **text},
        plain.shape,
        {"embedding": [batch, 64, text["embedding_features"]]},
        {"embedding_scale": 5.0},
        layers=True,
    )
    appended = Network(
        f"{name}, appended channels",
        plain.arguments,
        plain.shape,
        {"append_channels": [batch, channels, length]},
        {},
        append_channels=channels,
        layers=True,
    )
    return [plain, *others, guided, appended]


def _of_recipe(title: str, config: Config) -> Network:
    """Return a recipe's network, without labels and gated skip: 0.1.3 has neither."""
    batch = config.train.batch_size
    _, channels, frames = build_model(config).latent_shape(1, config.data.length)
    model = config.model
    arguments = {
        "in_channels": channels,
        "channels": model.channels,
        "factors": model.factors,
        "items": model.items,
        "attentions": model.attentions,
        "attention_heads": model.attention_heads,
        "attention_features": model.attention_features,
        "modulation_features": model.modulation_features,
    }
    return Network(title, arguments, [batch, channels, frames], {}, {})
