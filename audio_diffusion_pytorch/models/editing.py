"""Editing sounds with a trained model: fill gaps, go on, vary, make any length.

All of them work in the model's own space: raw samples, or the frames of its autoencoder. There the
samples that are kept rule whole frames only, so making begins up to `downsample_factor + reach`
samples inside the kept part. The result has the kept samples themselves, bit for bit, and where the
made sound missed them at the edge it is led on from them over half a frame (`join`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from audio_diffusion_pytorch.diffusion import (
    GaussianNoise,
    ReconstructionGuidance,
    RePaint,
    continue_signal,
    generate_spans,
    keep_frames,
)
from audio_diffusion_pytorch.diffusion import vary as vary_signal
from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.protocols import Grid, Guidance, Solver

from .diffusion_model import DiffusionModel
from .edit_parts import check_mask, encode_audio, frame_of, model_walk, span_frames
from .joining import join
from .parts import evaluating, guided


def inpaint(
    model: DiffusionModel,
    audio: Tensor,
    mask: Tensor,
    num_steps: int = 30,
    *,
    visits: int = 3,
    jump: int = 1,
    iterations: int = 1,
    solver: Solver | None = None,
    grid: Grid | None = None,
    generator: Generator | None = None,
    guidance: float | Guidance = 1.0,
    show_progress: bool = False,
    **cond: Any,
) -> Tensor:
    """Return the audio with what the mask leaves open made anew, of the same shape.

    Args:
        model: A trained model.
        audio: `(b, c, t)`, any length; anything where it is to be made anew.
        mask: Broadcasts to `(b, 1, t)`: True (or 1) where the sound is kept, bit for bit; floats
            in between keep for part of the walk, see `Inpainting`.
        num_steps: Levels of the walk; `visits` repeats them.
        visits: How often each stretch of levels is walked, see `RePaint`.
        jump: Steps in a stretch, see `RePaint`; a multistep solver wants 4 or more.
        iterations: Of `ReconstructionGuidance`, each a backward pass; 0 turns it off and needs no
            gradients, but more visits.
        solver: Makes the steps; default the sampler's own.
        grid: The levels; default the sampler's own.
        generator: Makes all noise repeatable; on the device of the model.
        guidance: Scale of classifier-free guidance on `labels`, or any guidance; see `generate`.
        show_progress: Show a progress bar.
        **cond: For the net: `labels (b, k)`, ...

    Raises:
        ValueError: If the audio is not `(b, c, t)` or the mask does not fit it, the normaliser was
            not fitted, or the model is not of one axis; as `RePaint`.
    """
    z = encode_audio(model, audio)
    mask = check_mask(mask, audio)
    hop, reach = frame_of(model)
    frames = keep_frames(mask, z.shape[-1], hop, reach).to(z.device)
    chosen = cond | guided(guidance, cond)
    if iterations:
        chosen["guidance"] = ReconstructionGuidance(z, frames, iterations, chosen.get("guidance"))
    if solver is not None:
        chosen["solver"] = solver
    if grid is not None:
        chosen["grid"] = grid
    made = model.sample(
        randn_like(z, generator),
        num_steps,
        show_progress=show_progress,
        constraint=RePaint(z, frames, visits, jump),
        noise=GaussianNoise(generator),
        **chosen,
    )
    kept = (mask if mask.dtype == torch.bool else mask >= 1).to(audio.device)
    return join(audio, made[..., : audio.shape[-1]].to(audio), kept, hop // 2)


def continue_audio(
    model: DiffusionModel,
    audio: Tensor,
    length: int,
    num_steps: int = 30,
    *,
    span: int,
    overlap: float = 0.5,
    visits: int = 3,
    jump: int = 1,
    iterations: int = 1,
    solver: Solver | None = None,
    grid: Grid | None = None,
    generator: Generator | None = None,
    guidance: float | Guidance = 1.0,
    show_progress: bool = False,
    **cond: Any,
) -> Tensor:
    """Return the audio and what follows it, `(b, c, length)`.

    Args:
        model: A trained model.
        audio: The beginning `(b, c, t)`, returned bit for bit; at least a frame of the model's
            space and its reach. Its last `overlap * span` samples are seen.
        length: Samples of the result, the given ones included.
        num_steps: Levels of the walk of each span.
        span: Samples made at a time, whole frames of them: what the model was trained on.
        overlap: Part of a span that is held to what is there, above 0 and below 1.
        visits: As `inpaint`.
        jump: As `inpaint`.
        iterations: As `inpaint`.
        solver: As `inpaint`.
        grid: As `inpaint`.
        generator: As `inpaint`.
        guidance: As `inpaint`.
        show_progress: Show a progress bar over the spans.
        **cond: As `inpaint`; the same for every span.

    Raises:
        ValueError: If the audio is too short or not `(b, c, t)`, the length below it, or a span
            holds fewer than 2 frames; as `inpaint`.
    """
    given = audio.shape[-1]
    z = encode_audio(model, audio)
    if length < given:
        raise ValueError(
            f"length counts the given {given} samples too, so it must be at least that, got "
            f"{length}"
        )
    if length == given:
        return audio.clone()
    hop, reach = frame_of(model)
    whole = given if hop == 1 else (given - reach) // hop  # frames that see given samples only
    if whole < 1:
        raise ValueError(
            f"a beginning must hold at least {hop + reach} samples, a frame of the model and what "
            f"it sees, got {given}: give more of it"
        )
    walk = model_walk(model, z, num_steps, solver, grid, generator, guidance, cond)
    with evaluating(model):
        made = continue_signal(
            **walk._asdict(),
            prefix=z[..., :whole],
            length=-(-length // hop),
            span=span_frames(span, hop),
            overlap=overlap,
            visits=visits,
            jump=jump,
            iterations=iterations,
            show_progress=show_progress,
        )
        sound = model.from_space(made)[..., :length].to(audio)
    kept = (torch.arange(length, device=audio.device) < given)[None, None]
    return join(F.pad(audio, (0, length - given)), sound, kept, hop // 2)


def generate_long(
    model: DiffusionModel,
    num_items: int,
    length: int,
    num_steps: int = 30,
    *,
    span: int,
    overlap: float = 0.5,
    visits: int = 3,
    jump: int = 1,
    iterations: int = 1,
    solver: Solver | None = None,
    grid: Grid | None = None,
    generator: Generator | None = None,
    guidance: float | Guidance = 1.0,
    show_progress: bool = False,
    **cond: Any,
) -> Tensor:
    """Return new sounds `(num_items, c, length)` of any length, span by span.

    Args:
        model: A trained model.
        num_items: How many.
        length: Samples each.
        num_steps: As `continue_audio`.
        span: As `continue_audio`.
        overlap: As `continue_audio`.
        visits: As `continue_audio`.
        jump: As `continue_audio`.
        iterations: As `continue_audio`.
        solver: As `continue_audio`.
        grid: As `continue_audio`.
        generator: As `continue_audio`.
        guidance: As `continue_audio`.
        show_progress: As `continue_audio`.
        **cond: As `continue_audio`.

    Raises:
        ValueError: If a count or length is below 1; as `continue_audio`.
    """
    if num_items < 1 or length < 1:
        raise ValueError(
            f"generate_long needs at least 1 item of at least 1 sample, got {num_items} of {length}"
        )
    weights = next(model.parameters())
    shape = model.latent_shape(num_items, length)
    like = torch.empty(shape, device=weights.device, dtype=weights.dtype)
    walk = model_walk(model, like, num_steps, solver, grid, generator, guidance, cond)
    with evaluating(model):
        made = generate_spans(
            **walk._asdict(),
            shape=shape,
            span=span_frames(span, frame_of(model)[0]),
            overlap=overlap,
            visits=visits,
            jump=jump,
            iterations=iterations,
            device=weights.device,
            dtype=weights.dtype,
            show_progress=show_progress,
        )
        return model.from_space(made)[..., :length]


def vary(
    model: DiffusionModel,
    audio: Tensor,
    strength: float,
    num_steps: int = 30,
    *,
    solver: Solver | None = None,
    grid: Grid | None = None,
    generator: Generator | None = None,
    guidance: float | Guidance = 1.0,
    show_progress: bool = False,
    **cond: Any,
) -> Tensor:
    """Return a variation of the audio: noised to a level and sampled from there.

    Args:
        model: A trained model.
        audio: `(b, c, t)`, any length, best near the training length.
        strength: The level, a time: 0 returns the audio (as the model's space holds it), 1 ignores
            it.
        num_steps: Steps of a whole walk; those below the level are made.
        solver: As `inpaint`.
        grid: As `inpaint`.
        generator: As `inpaint`.
        guidance: As `inpaint`.
        show_progress: Show a progress bar.
        **cond: As `inpaint`.

    Raises:
        ValueError: If the strength leaves 0..1; as `inpaint`.
    """
    z = encode_audio(model, audio)
    walk = model_walk(model, z, num_steps, solver, grid, generator, guidance, cond)
    with evaluating(model):
        made = vary_signal(
            **walk._asdict(), signal=z, strength=strength, show_progress=show_progress
        )
        return model.from_space(made)[..., : audio.shape[-1]].to(audio)
