"""What the recipes share: their settings, and the model these settings describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from choices import (
    COUPLINGS,
    GRIDS,
    OBJECTIVES,
    SAMPLERS,
    TIMES,
    WEIGHTS,
    choose,
    choose_guidance,
)

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.data import AudioFolder
from audio_diffusion_pytorch.diffusion import CFGPlusPlus
from audio_diffusion_pytorch.protocols import Autoencoder, Grid, Guidance, Solver
from audio_diffusion_pytorch.training import DataConfig, TrainConfig, clip_batches

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
        energy_embedding: Whether the net is told the energy of each row over the whole clip.
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
    energy_embedding: bool = True


@dataclass
class MethodConfig:
    """What the network learns to say, and at which noise levels; words of `choices.py`.

    Attributes:
        objective: "v" (velocity), "flow" (rectified flow) or "edm".
        times: "stratified" covers all noise levels in every batch, "logit_normal" dwells in the
            middle ones.
        weight: "none", "min_snr", "soft_min_snr" or "learned": how much each level counts.
        coupling: "none", or "ot" for noise chosen near each clip (optimal transport).
    """

    objective: str = "v"
    times: str = "stratified"
    weight: str = "none"
    coupling: str = "none"

    def __post_init__(self) -> None:
        """Refuse words that stand for nothing."""
        choose(OBJECTIVES, self.objective, "method.objective")
        choose(TIMES[self.objective], self.times, f"method.times for {self.objective}")
        choose(WEIGHTS, self.weight, "method.weight")
        choose(COUPLINGS, self.coupling, "method.coupling")


@dataclass
class SampleConfig:
    """The sounds made while training and at its end; words of `choices.py`.

    Attributes:
        num: How many.
        steps: Sampler steps; most samplers call the network once a step.
        sampler: How a step is made, such as "dpmpp_2m" or "euler".
        grid: Which noise levels are visited, such as "linear" or "exponential".
        guidance: How closely the labels are followed; 1 is off.
        guide: The kind of guidance: "cfg", "rescale", "interval", "apg" or "cfg++".
    """

    num: int = 4
    steps: int = 16
    sampler: str = "unipc"
    grid: str = "exponential"
    guidance: float = 1.0
    guide: str = "cfg"

    def __post_init__(self) -> None:
        """Refuse before the training what would fail after it."""
        if self.num < 1 or self.steps < 1:
            raise ValueError(
                f"sample.num and sample.steps must be at least 1, got {self.num} and {self.steps}"
            )
        choose(SAMPLERS, self.sampler, "sample.sampler")
        choose(GRIDS, self.grid, "sample.grid")
        guided = choose_guidance(self.guidance, self.guide, "sample.guide")
        calls = SAMPLERS[self.sampler].net_calls
        if isinstance(guided, CFGPlusPlus) and calls > 1:
            raise ValueError(
                f"sample.guide=cfg++ needs a sampler of one net call a step, {self.sampler} makes "
                f"{calls}: set sample.sampler=euler, or another guide"
            )


@dataclass
class Config:
    """Everything a recipe can be told.

    Attributes:
        recipe: Whose settings these are: `train_{recipe}.py`; leave it as it is.
    """

    recipe: str = "unconditional"
    data: DataConfig = field(default_factory=lambda: DataConfig(path=PIANO))
    model: ModelConfig = field(default_factory=ModelConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(learning_rate=2e-3))
    sample: SampleConfig = field(default_factory=SampleConfig)


class Space(NamedTuple):
    """What the network works on.

    Attributes:
        autoencoder: The transform; None on raw samples.
        normalizer: Scales it; None on raw samples.
        channels: Channels there, of the audio on raw samples.
    """

    autoencoder: Autoencoder | None
    normalizer: LatentNormalizer | None
    channels: int


def build_space(config: Config) -> Space:
    """Return the space of these settings."""
    model, channels = config.model, config.data.channels
    if model.transform == "none":
        return Space(None, None, channels)
    space = Companded(MDCT(model.bins, channels, config.data.sample_rate), model.exponent)
    normalizer = LatentNormalizer(space.latent_channels, whitening=model.whitening)
    return Space(space, normalizer, space.latent_channels)


def network_arguments(config: Config) -> dict[str, Any]:
    """Return the network of these settings, as `net_t` and what it takes but `in_channels`."""
    model = config.model
    return {
        "net_t": UNetV0,
        "channels": model.channels,
        "factors": model.factors,
        "items": model.items,
        "attentions": model.attentions,
        "attention_heads": model.attention_heads,
        "attention_features": model.attention_features,
        "modulation_features": model.modulation_features,
        "gated_skip": model.gated_skip,
        "energy_embedding": model.energy_embedding,
    }


def method_arguments(config: Config, labelled: bool = False) -> dict[str, Any]:
    """Return what is learnt at which noise levels, for `diffusion_t` and `diffusion_*`."""
    method = config.method
    times = "times" if method.objective == "flow" else "sigma_distribution"
    return {
        "diffusion_t": OBJECTIVES[method.objective],
        "diffusion_weight": WEIGHTS[method.weight](),
        "diffusion_coupling": COUPLINGS[method.coupling](labelled),
        f"diffusion_{times}": TIMES[method.objective][method.times](),
    }


Model = TypeVar("Model", bound=DiffusionModel)


def build_model(
    config: Config,
    num_classes: tuple[int, ...] = (),
    model_t: Callable[..., Model] = DiffusionModel,
    **others: Any,
) -> Model:
    """Return the model of these settings.

    Args:
        config: The settings.
        num_classes: Of each label column, for a model that is told labels.
        model_t: The kind of model, such as `DiffusionUpsampler`.
        **others: What this kind takes besides; wins over the settings.

    Raises:
        ValueError: Settings of the model that do not go together.
    """
    torch.manual_seed(config.train.seed)  # the same weights at the start of the same run
    try:
        space = build_space(config)
        arguments: dict[str, Any] = {
            "autoencoder": space.autoencoder,
            "normalizer": space.normalizer,
            "in_channels": space.channels,
            **network_arguments(config),
            **method_arguments(config, bool(num_classes)),
        }
        if num_classes:
            arguments["num_classes"] = num_classes
        return model_t(**arguments | others)
    except ValueError as error:
        raise ValueError(f"section 'model': {error}") from error


class Sampling(NamedTuple):
    """How sounds are made: what `DiffusionModel.generate` and `make_sounds` take."""

    solver: Solver
    grid: Grid
    guidance: float | Guidance


def choose_sampling(model: DiffusionModel, config: SampleConfig) -> Sampling:
    """Return the objects that the words of the settings stand for."""
    return Sampling(
        SAMPLERS[config.sampler],
        GRIDS[config.grid](model.diffusion.schedule),
        choose_guidance(config.guidance, config.guide, "sample.guide"),
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
