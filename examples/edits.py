"""What `edit.py` can be asked for, in seconds, and what of the library does it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from audio_diffusion_pytorch.models import DiffusionModel, continue_audio, inpaint, vary
from audio_diffusion_pytorch.training import DataConfig, RecipeParser


def add_edit_flags(parser: RecipeParser) -> None:
    """Let a script be told one of the edits."""
    verb = parser.add_mutually_exclusive_group(required=True)
    verb.add_argument("--vary", type=float, metavar="STRENGTH", help="0 keeps all, 1 nothing")
    verb.add_argument("--fill", metavar="FROM:TO", help="make anew between these seconds")
    verb.add_argument("--extend", type=float, metavar="SECONDS", help="go on to this length in all")
    parser.add_argument(
        "--visits", type=int, default=3, help="walks of each stretch of --fill and --extend"
    )


def edit_asked(options: Namespace, data: DataConfig, audio: Tensor) -> Callable[..., Tensor]:
    """Return the edit `(model, **how) -> audio` that the command line asks for.

    Args:
        options: `file`, and one of `vary`, `fill`, `extend`; `visits`.
        data: The settings that the model was trained with.
        audio: The recording `(1, c, t)` at its rate.

    Raises:
        ValueError: Times outside the recording, or words that are no times.
    """
    if options.visits < 1:
        raise ValueError(f"--visits must be at least 1, got {options.visits}")
    length, rate = audio.shape[-1], data.sample_rate
    holds = f"{options.file} holds {length / rate:.3f} s"
    if options.vary is not None:
        if not 0 <= options.vary <= 1:
            raise ValueError(f"--vary takes 0 (keep all) to 1 (keep nothing), got {options.vary}")
        return lambda model, **how: vary(model, audio, options.vary, **how)
    if options.extend is not None:
        wanted = options.extend * rate
        if not length < wanted < float("inf"):
            raise ValueError(
                f"--extend takes the seconds of the result, the recording included: {holds}, got "
                f"{options.extend:g}"
            )
        ask = {"span": data.length, "visits": options.visits}
        return lambda model, **how: continue_audio(model, audio, round(wanted), **ask, **how)
    start, end = _times(options.fill)
    if not 0 <= start < end <= length / rate:
        raise ValueError(
            f"--fill takes times FROM:TO inside the recording: {holds}, got {options.fill}"
        )
    gap = round(start * rate), max(round(start * rate) + 1, round(end * rate))
    return partial(_fill, audio=audio, gap=gap, span=data.length, visits=options.visits)


def _times(text: str) -> tuple[float, float]:
    """Return the two times of `FROM:TO`."""
    try:
        start, end = (float(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(
            f"--fill takes two times in seconds, such as 0.2:0.5, got {text!r}"
        ) from None
    return start, end


def _fill(
    model: DiffusionModel, audio: Tensor, gap: tuple[int, int], span: int, **how: Any
) -> Tensor:
    """Return the audio with the samples of a gap made anew, from what stands around them.

    The model hears a stretch of its training length with the gap in the middle, as near as the
    ends of the recording allow; twice the gap where that is more.
    """
    start, end = gap
    size = min(audio.shape[-1], max(span, 2 * (end - start)))
    first = min(max(0, (start + end - size) // 2), audio.shape[-1] - size)
    place = torch.arange(first, first + size)
    heard = audio[..., first : first + size]
    made = inpaint(model, heard, (place < start) | (place >= end), **how)
    return torch.cat([audio[..., :first], made, audio[..., first + size :]], -1)
