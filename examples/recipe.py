"""What the recipes share: their settings, and the model these settings describe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.data import AudioFolder, LabelTable
from audio_diffusion_pytorch.diffusion import Stratified
from audio_diffusion_pytorch.training import (
    DataConfig,
    Run,
    TrainConfig,
    choose_device,
    clip_batches,
    load_config,
    load_weights,
)

PIANO = str(Path(__file__).resolve().parent / "data" / "piano_16k")


@dataclass
class ModelConfig:
    """A U-Net and the space it works in.

    Attributes:
        transform: "mdct" diffuses in a frequency transform (good on small machines), "none" on
            raw samples.
        bins: Frequency rows of the MDCT, and its hop in samples: many for notes, few for drums.
        exponent: Bends loud and quiet coefficients together; 1 is off.
        whitening: How far faint rows are raised, 0..1.
        channels: Width of each level of the U-Net.
        factors: How much each level shortens.
        items: Blocks of each level, each way.
        attentions: Self attentions in each block of a level.
        attention_heads: Heads of an attention.
        attention_features: Features of a head.
        modulation_features: Features of the time and the labels.
        gated_skip: Whether the net starts by answering zero; without, it is upstream's.
    """

    transform: Literal["mdct", "none"] = "mdct"
    bins: int = 256
    exponent: float = 0.5
    whitening: float = 0.5
    channels: tuple[int, ...] = (512, 512)
    factors: tuple[int, ...] = (1, 2)
    items: tuple[int, ...] = (2, 2)
    attentions: tuple[int, ...] = (0, 0)
    attention_heads: int = 4
    attention_features: int = 32
    modulation_features: int = 512
    gated_skip: bool = True


@dataclass
class SampleConfig:
    """The sounds made while training and at its end.

    Attributes:
        num: How many.
        steps: Sampler steps, one net call each.
        guidance: Scale of classifier-free guidance; 1 is off.
    """

    num: int = 4
    steps: int = 30
    guidance: float = 1.0

    def __post_init__(self) -> None:
        """Refuse before the training what would fail after it."""
        if self.num < 1 or self.steps < 1:
            raise ValueError(
                f"sample.num and sample.steps must be at least 1, got {self.num} and {self.steps}"
            )


@dataclass
class Config:
    """Everything a recipe can be told."""

    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO))
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(learning_rate=2e-3))
    sample: SampleConfig = field(default_factory=SampleConfig)


def build_model(config: Config, num_classes: tuple[int, ...] = ()) -> DiffusionModel:
    """Return the model of these settings, with one label column per entry of `num_classes`.

    Raises:
        ValueError: Settings of the model that do not go together.
    """
    try:
        return _build(config, num_classes)
    except ValueError as error:
        raise ValueError(f"section 'model': {error}") from error


def _build(config: Config, num_classes: tuple[int, ...]) -> DiffusionModel:
    torch.manual_seed(config.train.seed)  # the same weights at the start of the same run
    model, channels = config.model, config.data.channels
    space = normalizer = None
    if model.transform == "mdct":
        space = Companded(MDCT(model.bins, channels, config.data.sample_rate), model.exponent)
        normalizer = LatentNormalizer(space.latent_channels, whitening=model.whitening)
    return DiffusionModel(
        UNetV0,
        autoencoder=space,
        normalizer=normalizer,
        diffusion_sigma_distribution=Stratified(),
        in_channels=channels if space is None else space.latent_channels,
        channels=model.channels,
        factors=model.factors,
        items=model.items,
        attentions=model.attentions,
        attention_heads=model.attention_heads,
        attention_features=model.attention_features,
        modulation_features=model.modulation_features,
        num_classes=num_classes or None,
        gated_skip=model.gated_skip,
    )


def fit_normalizer(model: DiffusionModel, data: AudioFolder) -> None:
    """Fit the model's normaliser, if it has one, on some of the clips.

    Raises:
        ValueError: The clips cannot be normalised: they are silent.
    """
    try:
        model.fit_normalizer(clip_batches(data))
    except ValueError as error:
        raise ValueError(
            f"data.path={data.root}: {error}; set data.path to recordings with sound in them, or "
            "model.transform=none"
        ) from error


class Trained(NamedTuple):
    """A finished run, ready to make sounds."""

    run: Run
    config: Config
    labels: LabelTable
    model: DiffusionModel


def load_run(name: str | None, runs: str = "runs", device: str = "auto") -> Trained:
    """Return a run (its folder, its experiment, or None for the newest) with its averaged model.

    Raises:
        FileNotFoundError: There is no such run, or no checkpoint in it.
        ValueError: The checkpoint is damaged or from another model.
    """
    run = Run.find(name, runs, with_weights=True)
    config = load_config(Config, run.config_path)
    weights = run.weights
    if not weights.is_file():
        raise FileNotFoundError(
            f"there is no {weights}: the run has saved no checkpoint yet; name another with --run"
        )
    labels = LabelTable.from_dict(json.loads(run.labels_path.read_text("utf-8")))
    model = build_model(config, labels.num_classes)
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged ({error}); name another run with --run") from error
    load_weights(model, state, weights)
    return Trained(run, config, labels, model.to(choose_device(device, key="--device")).eval())
