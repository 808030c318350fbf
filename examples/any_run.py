"""A run of whatever recipe, with the loss it was trained by and the sounds it makes."""

from __future__ import annotations

from typing import Any

from captions import CAPTIONED, CaptionLoss, Captions
from choices import choose_guidance
from codes_and_parts import CodeConfig, PartsConfig, build_autoencoder, build_autoregressive
from sound_to_sound import UpsamplerConfig, VocoderConfig, build_upsampler, build_vocoder
from torch import Generator, Tensor
from trained import Trained, load_run, recipe_of

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import SamplingLike
from audio_diffusion_pytorch.training import LossFunction, Run, diffusion_loss

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
    """Return how a run under guidance makes sounds like clips; None without guidance.

    Without it the model's own sampler does, which is set as the run's settings say.
    """
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
