"""Making sounds with a trained model and writing them down, for `generate.py` and its kin."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.save import SaveReport, save_audio
from audio_diffusion_pytorch.diagnostics import save_spectrogram, write_aside
from audio_diffusion_pytorch.diffusion import BrownianNoise
from audio_diffusion_pytorch.metrics import rms_db
from audio_diffusion_pytorch.models import DiffusionModel
from audio_diffusion_pytorch.protocols import Grid, Guidance, NoiseSource, Solver

from .seeds import derive_seed, generator_for


@dataclass(frozen=True)
class MadeSounds:
    """Sounds and what they cost.

    Attributes:
        audio: `(n, c, t)` float32 on the CPU, as the model made them.
        sample_rate: Hz.
        seconds: Time spent.
        net_calls: How often the network ran, over all batches.
        steps: Sampler steps.
    """

    audio: Tensor
    sample_rate: int
    seconds: float
    net_calls: int
    steps: int

    @property
    def real_time_factor(self) -> float:
        """Seconds of sound made in a second."""
        return self.audio.shape[0] * self.audio.shape[-1] / self.sample_rate / self.seconds

    def text(self) -> str:
        """One line for a person to read."""
        level = float(rms_db(self.audio).mean())
        return (
            f"{len(self.audio)} sounds of {self.audio.shape[-1] / self.sample_rate:.2f} s in "
            f"{self.steps} steps: mean level {level:.1f} dBFS, peak "
            f"{float(self.audio.abs().max()):.3f}, {self.seconds:.1f} s "
            f"({self.real_time_factor:.2f} x real time), {self.net_calls} net calls"
        )


def make_sounds(
    model: DiffusionModel,
    num: int,
    length: int,
    sample_rate: int,
    steps: int,
    *,
    seed: int = 0,
    labels: Tensor | None = None,
    text: Sequence[str | None] | None = None,
    solver: Solver | None = None,
    grid: Grid | None = None,
    guidance: float | Guidance = 1.0,
    batch_size: int = 32,
    show_progress: bool = False,
) -> MadeSounds:
    """Make `num` sounds of `length` samples; sound `i` depends on the seed and `i` alone.

    Args:
        model: A trained model; it is left in the mode it was in.
        num: How many.
        length: Samples each.
        sample_rate: Hz.
        steps: Sampler steps.
        seed: Of the start noise.
        labels: `(num, k)` for a labelled model.
        text: `num` texts for a model that is told text; None among them is no text.
        solver: Makes the steps; default the sampler's own.
        grid: The times to visit; default the sampler's own.
        guidance: Scale of classifier-free guidance, 1 is off; or any guidance.
        batch_size: Sounds made at a time: memory does not grow with `num`.
        show_progress: Show progress bars.

    Raises:
        ValueError: A count is below 1, or there are not as many texts as sounds.
    """
    if num < 1 or batch_size < 1:
        raise ValueError(f"num and batch_size must be at least 1, got {num} and {batch_size}")
    if text is not None and (isinstance(text, str) or len(text) != num):
        raise ValueError(f"text must be a list of {num} strings, one for each sound, got {text!r}")
    weights = next(model.parameters())
    shape = model.latent_shape(1, length)
    made, calls = [], _CallCounter(model.net)
    began = time.perf_counter()
    for first in range(0, num, batch_size):
        indices = range(first, min(num, first + batch_size))
        noise = [torch.randn(shape, generator=generator_for("cpu", seed, i)) for i in indices]
        cond: dict[str, Any] = {}
        if labels is not None:
            cond["labels"] = labels[first : indices[-1] + 1].to(weights.device)
        if text is not None:
            cond["text"] = list(text[first : indices[-1] + 1])
        sounds = model.generate(
            len(indices),
            length,
            steps,
            noise=torch.cat(noise).to(weights),
            step_noise=_step_noise(model, [derive_seed(seed, i, 1) for i in indices]),
            solver=solver,
            grid=grid,
            guidance=guidance,
            show_progress=show_progress,
            **cond,
        )
        made.append(sounds.float().cpu())
    seconds = time.perf_counter() - began
    return MadeSounds(torch.cat(made), sample_rate, seconds, calls.stop(), steps)


def timed_sounds(
    model: DiffusionModel, make: Callable[[], Tensor], sample_rate: int, steps: int
) -> MadeSounds:
    """Return the sounds that `make` makes with a model, and what they cost.

    Args:
        model: Its network's calls are counted.
        make: Returns audio `(n, c, t)`, such as an edit of a recording.
        sample_rate: Hz.
        steps: Sampler steps, to be told.
    """
    calls = _CallCounter(model.net)
    began = time.perf_counter()
    try:
        audio = make().float().cpu()
    finally:
        count = calls.stop()
    return MadeSounds(audio, sample_rate, time.perf_counter() - began, count, steps)


def _step_noise(model: DiffusionModel, seeds: list[int]) -> NoiseSource | None:
    """Return one Brownian path per sound: the same sound at any batch size and step count."""
    schedule = getattr(model.diffusion, "schedule", None)
    return None if schedule is None else BrownianNoise(schedule, seeds)


class _CallCounter:
    """Counts the forward passes of a module until `stop`."""

    def __init__(self, module: nn.Module) -> None:
        self.count = 0
        self.handle = module.register_forward_pre_hook(self._add)

    def _add(self, module: nn.Module, inputs: Any) -> None:
        del module, inputs
        self.count += 1

    def stop(self) -> int:
        self.handle.remove()
        return self.count


def write_sounds(
    folder: Path,
    made: MadeSounds,
    *,
    names: Sequence[str] | None = None,
    subtype: Literal["PCM_16", "PCM_24", "FLOAT"] = "PCM_16",
    peak_db: float | None = None,
    loudness_lufs: float | None = None,
    limiter: bool = False,
    about: Mapping[str, Any] | None = None,
) -> list[SaveReport]:
    """Write each sound as WAV with a picture, all of them as `samples.npy`, and `samples.json`.

    The array holds the sounds as the model made them; gains asked for touch the WAV files only,
    and are noted in `samples.json`.

    Args:
        folder: Where to; made if need be.
        made: The sounds.
        names: Their file names without suffix; by default numbers.
        subtype: Sample format of the WAV files.
        peak_db: Scale each to this peak, dBFS.
        loudness_lufs: Scale each to this loudness, LUFS.
        limiter: Lower the gain around what exceeds full scale.
        about: What else `samples.json` should say.

    Raises:
        OSError: The folder cannot be written.
    """
    names = names or [f"sample_{i:03d}" for i in range(len(made.audio))]
    reports = []
    for name, sound in zip(names, made.audio, strict=True):
        path = folder / f"{name}.wav"
        reports.append(
            save_audio(
                path,
                sound,
                made.sample_rate,
                subtype,
                peak_db=peak_db,
                loudness_lufs=loudness_lufs,
                limiter=limiter,
            )
        )
        save_spectrogram(path.with_suffix(".png"), sound, made.sample_rate, name)
    array = io.BytesIO()
    np.save(array, made.audio.numpy().astype(np.float32))
    write_aside(folder / "samples.npy", array.getvalue())
    listing = {
        **(about or {}),
        "sample_rate": made.sample_rate,
        "steps": made.steps,
        "net_calls": made.net_calls,
        "seconds": made.seconds,
        "real_time_factor": made.real_time_factor,
        "sounds": [
            {"file": r.path.name, "rms_db": float(level), "gain_db": r.gain_db,
             "limited_db": r.limited_db, "over_full_scale": r.over_full_scale}
            for r, level in zip(reports, rms_db(made.audio), strict=True)
        ],
    }  # fmt: skip
    write_aside(folder / "samples.json", json.dumps(listing, indent=1) + "\n")
    return reports
