"""A run of whatever recipe, with the loss it was trained by and the sounds it makes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from captions import CAPTIONED, CaptionLoss, Captions
from choices import choose_guidance
from codes_and_parts import CodeConfig, PartsConfig, build_autoencoder, build_autoregressive
from recipe import build_model, choose_sampling
from sound_to_sound import UpsamplerConfig, VocoderConfig, build_upsampler, build_vocoder
from torch import Generator, Tensor
from trained import Trained, load_run, recipe_of

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    SamplingLike,
    Subject,
    collection_of,
    read_clips,
    read_levels,
    set_sampler,
)
from audio_diffusion_pytorch.training import (
    LossFunction,
    Run,
    diffusion_loss,
    load_checkpoint,
    load_weights,
    open_data,
    read_scalars,
)
from audio_diffusion_pytorch.training.config_files import read_config_file
from audio_diffusion_pytorch.training.overfit import FirstClips

HELD_BACK = 64  # so many clips, spread over all, judge well enough
# where runs can be compared: the same clips, in the same space
SAME = {
    "data": ("path", "sample_rate", "length", "channels", "normalize"),
    "model": ("transform", "bins", "exponent", "whitening"),
}

KINDS: dict[str, dict[str, Any]] = {
    "unconditional": {},
    "class_conditional": {},
    "text_conditional": CAPTIONED,
    "upsampler": {"schema": UpsamplerConfig, "build": build_upsampler},
    "vocoder": {"schema": VocoderConfig, "build": build_vocoder},
    "diffusion_ae": {"schema": CodeConfig, "build": build_autoencoder},
    "autoregressive": {"schema": PartsConfig, "build": build_autoregressive},
}
"""What `load_run` has to know of the runs of each recipe."""


def load_any_run(name: str | None, runs: str = "runs", device: str = "auto") -> Trained:
    """Return a run of any recipe in `examples/`; without a name the newest with weights.

    Raises:
        FileNotFoundError: There is no such run, or no checkpoint in it.
        ValueError: No recipe here made it, or the checkpoint is damaged.
    """
    run = Run.find(name, runs, with_weights=True)
    recipe = recipe_of(run)
    if recipe not in KINDS:
        raise ValueError(
            f"{run.directory.name} was trained by train_{recipe}.py, which any_run.py does not "
            "know: add it to KINDS there"
        )
    return load_run(str(run.directory), runs, device, **KINDS[recipe])


def loss_of(run: Trained) -> LossFunction:
    """Return the loss that a run was trained by."""
    if "text" in vars(run.config):
        return CaptionLoss(Captions(run.labels), run.config.text.dropout)
    return diffusion_loss


def guided_sampling_of(run: Trained) -> SamplingLike | None:
    """Return how a run under guidance makes sounds like clips; None without guidance."""
    settings = run.config.sample
    guidance = choose_guidance(settings.guidance, settings.guide, "sample.guide")
    if guidance == 1.0 or run.config.recipe not in ("class_conditional", "text_conditional"):
        return None

    def like(clips: Clip, num_steps: int, generator: Generator) -> Tensor:
        count, _, length = clips.audio.shape
        cond: dict[str, Any] = {"labels": clips.labels.to(generator.device)}
        if run.config.recipe == "text_conditional":
            cond = {"text": Captions(run.labels)(clips.labels)}
        return run.model.generate(
            count, length, num_steps, generator=generator, guidance=guidance, **cond
        )

    return like


def untrained(run: Trained) -> DiffusionModel:
    """Return the model of a run with the weights that it began with."""
    build = KINDS[run.config.recipe].get("build")
    model = build(run.config) if build else build_model(run.config, run.labels.num_classes)
    return model.to(next(run.model.parameters()).device).eval()


def raw_model(run: Trained) -> DiffusionModel | None:
    """Return the model with the weights that were trained, not averaged; None if not kept."""
    path = run.run.checkpoints / "last.pt"
    if not path.is_file():
        return None
    model = deepcopy(run.model)
    load_weights(model, load_checkpoint(path)["model"], path)
    return model


def previous_best(run: Trained) -> Run | None:
    """Return the earlier run on the same clips, by the same recipe, that explains most.

    Runs that were to know few clips by heart (`train.overfit`) are of another kind.
    """
    found: list[tuple[float, Run]] = []
    if run.config.train.overfit:
        return None
    for other in Run.all(run.run.directory.parent):
        if other.order >= run.run.order or recipe_of(other) != run.config.recipe:
            continue
        try:
            config = read_config_file(other.config_path)[0]
            same = all(
                config[part].get(key) == getattr(getattr(run.config, part), key, None)
                for part, keys in SAME.items()
                for key in keys
            )
            if same and not config["train"].get("overfit", 0):
                found.append((read_levels(other.directory).share, other))
        except (KeyError, ValueError, OSError):
            continue  # of another release, damaged, or stopped before its first validation
    return max(found, key=lambda pair: pair[0])[1] if found else None


def subject_of(run: Trained, against: Run | None = None) -> Subject:
    """Return what the doctor is to look at: the run, its data as training opened them, its curve.

    The model's own sampler is set as the run's settings say.

    Args:
        run: The run.
        against: The run to compare with.

    Raises:
        FileNotFoundError: The recordings are gone, or `against` has no table of levels.
        ValueError: The recordings have other labels now.
    """
    config = run.config
    data, held_back = open_data(config.data, config.train.seed)
    sampling = choose_sampling(run.model, config.sample)
    set_sampler(run.model, sampling.solver, sampling.grid)
    if data.label_table.to_dict() != run.labels.to_dict():
        raise ValueError(
            f"data.path={data.root} has other labels than {run.run.labels_path} says: put the "
            "recordings back that the run was trained on"
        )
    overfit = config.train.overfit
    used = FirstClips(data, overfit) if overfit else data
    curves = run.run.logs / "scalars.jsonl"
    scalars = read_scalars(curves) if curves.is_file() else {}
    start = untrained(run)
    return Subject(
        run.model,
        read_clips(used),
        data.sample_rate,
        None if held_back is None or overfit else read_clips(held_back, HELD_BACK),
        data=used,
        collection=collection_of(data),
        loss=loss_of(run),
        sampling=guided_sampling_of(run),
        num_steps=config.sample.steps,
        raw=raw_model(run),
        raw_before=start,
        averaged_before=start,
        initial=start,
        learning_rate=config.train.learning_rate,
        losses=[*scalars.get("train/loss", ((), ()))[1]],
        against=None if against is None else read_levels(against.directory),
        about=run.run.directory.name,
        overfit=overfit > 0,
    )
