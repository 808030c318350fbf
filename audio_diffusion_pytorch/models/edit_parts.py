"""What the edits share: a model's space, its checks, and how it samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Generator, Tensor

from audio_diffusion_pytorch.diffusion import GaussianNoise
from audio_diffusion_pytorch.diffusion.samplers.walk import times_of
from audio_diffusion_pytorch.protocols import Denoiser, Grid, Guidance, NoiseSchedule, Solver

from .diffusion_model import DiffusionModel
from .parts import guided


class Walk(NamedTuple):
    """What `continue_signal`, `generate_spans` and `vary` of `diffusion` take alike."""

    denoiser: Denoiser
    times: Tensor
    solver: Solver
    schedule: NoiseSchedule
    noise: GaussianNoise


def model_walk(
    model: DiffusionModel,
    z: Tensor,
    num_steps: int,
    solver: Solver | None,
    grid: Grid | None,
    generator: Generator | None,
    guidance: float | Guidance,
    cond: Mapping[str, Any],
) -> Walk:
    """Return how a model samples `z`: its objective's denoiser, guided, with its own sampler's."""
    method: Any = model.diffusion
    sampler: Any = model.sampler
    if not hasattr(method, "denoiser") or not hasattr(sampler, "solver"):
        raise ValueError(
            f"this edit needs an objective with a denoiser and a sampler with a solver, got "
            f"{type(method).__name__} and {type(sampler).__name__}: use VDiffusion, FlowDiffusion "
            "or KDiffusion"
        )
    own: Grid = sampler.grid if hasattr(sampler, "grid") else sampler.schedule
    chosen = guided(guidance, cond)
    bound = {name: part for name, part in cond.items() if name != "null_cond"}
    denoiser: Denoiser = method.denoiser(**bound)
    if chosen:
        denoiser = chosen["guidance"](
            lambda x, time, **named: method.denoiser(**named)(x, time),
            bound,
            chosen["null_cond"] or {},
        )
    times = times_of(own if grid is None else grid, num_steps, None, z)[:, 0]
    solver = sampler.solver if solver is None else solver
    return Walk(denoiser, times, solver, method.schedule, GaussianNoise(generator))


def encode_audio(model: DiffusionModel, audio: Tensor) -> Tensor:
    """Return the audio in the model's space, on its device.

    Raises:
        ValueError: If the audio is not `(b, c, t)` or the model not of one axis; as
            `to_space`.
    """
    if model.dim != 1 or audio.ndim != 3 or 0 in audio.shape or not audio.is_floating_point():
        raise ValueError(
            f"editing takes audio (b, c, t) of floats and a model with dim=1, got "
            f"{tuple(audio.shape)} of {audio.dtype} and dim={model.dim}"
        )
    channels = model._audio_channels
    if model.autoencoder is None and channels not in (None, audio.shape[1]):
        raise ValueError(
            f"the model makes {channels} channels, got audio of {audio.shape[1]}: mix it "
            "down or repeat it"
        )
    return model.to_space(audio.to(next(model.parameters(), audio)))


def frame_of(model: DiffusionModel) -> tuple[int, int]:
    """Return the samples of a frame, and how many more it sees on either side."""
    space = model.autoencoder
    return (1, 0) if space is None else (space.downsample_factor, getattr(space, "reach", 0))


def span_frames(span: int, hop: int) -> int:
    """Return the frames of a span.

    Raises:
        ValueError: If there are fewer than 2.
    """
    if span < 2 * hop:
        raise ValueError(
            f"a span must hold at least 2 frames, {2 * hop} samples of this model, got {span}: "
            "take the length that it was trained on"
        )
    return span // hop


def check_mask(mask: Tensor, audio: Tensor) -> Tensor:
    """Return the mask as `(b or 1, 1, t)`.

    Raises:
        ValueError: If it does not broadcast to `(b, 1, t)`.
    """
    batch, _, length = audio.shape
    axes = (1,) * (3 - mask.ndim) + tuple(mask.shape)
    if len(axes) != 3 or axes[0] not in (1, batch) or axes[1] != 1 or axes[2] not in (1, length):
        raise ValueError(
            f"the mask must have shape ({batch} or 1, 1, {length}) for audio of shape "
            f"{tuple(audio.shape)}, got {tuple(mask.shape)}"
        )
    return mask.reshape(axes).expand(-1, -1, length)
