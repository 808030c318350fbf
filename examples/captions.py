"""Sounds described in words: captions made from labels, and what encodes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from recipe import PIANO, Config, ModelConfig, SampleConfig, build_model
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.conditioning import ByteText, ClapText, T5Text, TextEncoder
from audio_diffusion_pytorch.data import Clip, LabelTable
from audio_diffusion_pytorch.training import DataConfig

NOTE_AND_LOUDNESS = r"(?P<note>[A-G]s?\d)_(?P<loudness>pp|mp|mf|ff)"

WORDS = {  # of labels that are no words yet
    "pp": "very soft",
    "mp": "soft",
    "mf": "loud",
    "ff": "very loud",
    **{f"{note}s{octave}": f"{note} sharp {octave}" for note in "ACDFG" for octave in range(9)},
}


@dataclass
class TextConfig:
    """What the captions are encoded by.

    Attributes:
        encoder: "bytes" learns from nothing, along with the network; else the name or folder of a
            pretrained T5, Flan-T5, ByT5 or CLAP model, such as t5-small.
        max_length: Most tokens (for "bytes": bytes) of a caption.
        features: Features of a token of "bytes".
        layers: Transformer layers of "bytes".
        dropout: Share of the clips trained without their caption, which guidance needs.
    """

    encoder: str = "bytes"
    max_length: int = 64
    features: int = 128
    layers: int = 2
    dropout: float = 0.1


@dataclass
class WordsModelConfig(ModelConfig):
    """The model, with what listens to the text.

    Attributes:
        cross_attentions: Attentions to the text in each block of a level.
    """

    bins: int = 1024
    energy_embedding: bool = False
    cross_attentions: tuple[int, ...] = (1, 1)


@dataclass
class CaptionedConfig(Config):
    """The settings, with the labels that captions are made of."""

    recipe: Literal["text_conditional"] = "text_conditional"
    data: DataConfig = field(
        default_factory=lambda: DataConfig(path=PIANO, labels=NOTE_AND_LOUDNESS, crop="start")
    )
    model: WordsModelConfig = field(default_factory=WordsModelConfig)
    text: TextConfig = field(default_factory=TextConfig)
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(steps=8))


@dataclass(frozen=True)
class Captions:
    """Labels as captions: a column `caption` as it stands, else the words of all columns.

    Attributes:
        table: What the labels stand for.
    """

    table: LabelTable

    def __call__(self, labels: Tensor) -> list[str | None]:
        """Return the caption of each row `(b, k)`, such as "A4, very loud"; None without labels."""
        return [self.of(row) for row in labels.cpu()]

    def of(self, row: Tensor) -> str | None:
        """Return the caption of labels `(k,)`; None if all are unknown."""
        values = self.table.decode(row)
        if "caption" in values:
            return values["caption"]
        words = [WORDS.get(value, value) for value in values.values() if value is not None]
        return ", ".join(words) or None


@dataclass(frozen=True)
class CaptionLoss:
    """The loss of each clip under its caption, or now and then under none.

    Attributes:
        captions: Of the labels.
        dropout: Share of the clips that lose their caption in training.
    """

    captions: Captions
    dropout: float

    def __call__(
        self, model: nn.Module, batch: Clip, generator: Generator, times: Tensor | None = None
    ) -> Tensor:
        """Return the losses `(b,)`."""
        fixed: dict[str, Any] = {} if times is None else {"times": times}
        return model(
            batch.audio,
            text=self.captions(batch.labels),
            embedding_mask_proba=self.dropout,
            generator=generator,
            reduction="none",
            **fixed,
        )


def choose_encoder(config: TextConfig) -> TextEncoder:
    """Return the text encoder of these settings."""
    if config.encoder == "bytes":
        return ByteText(config.features, config.max_length, num_layers=config.layers)
    kind = ClapText if "clap" in config.encoder.lower() else T5Text
    return kind(config.encoder, config.max_length)


def build_captioned(config: CaptionedConfig) -> DiffusionModel:
    """Return the model of these settings.

    Raises:
        ValueError: Settings of the model that do not go together.
        FileNotFoundError: The pretrained encoder is not to be had.
    """
    return build_model(
        config,
        text_encoder=choose_encoder(config.text),
        cross_attentions=config.model.cross_attentions,
        use_embedding_cfg=True,
        embedding_max_length=config.text.max_length,
    )


CAPTIONED: dict[str, Any] = {"schema": CaptionedConfig, "build": build_captioned}
"""What `load_run` has to know of a run of `train_text_conditional.py`."""
