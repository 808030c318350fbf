"""Writing sound files: what is given is what is written, unless a gain is asked for."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from audio_diffusion_pytorch.data.libsndfile import import_soundfile
from audio_diffusion_pytorch.data.normalize import limit, loudness, peak, to_decibels

_LOGGER = logging.getLogger(__name__)
_BITS = {"PCM_16": 16, "PCM_24": 24}
_FORMATS = {".wav": "WAV", ".flac": "FLAC"}


@dataclass(frozen=True)
class SaveReport:
    """What was written and what was done to it.

    Attributes:
        path: the file.
        num_samples: written samples, all channels together.
        peak_db: largest sample as given, dBFS.
        gain_db: gain applied because it was asked for, dB; 0 if none was.
        limited_db: how far the limiter lowered the loudest place, dB; 0 if it was not asked for.
        over_full_scale: samples that did not fit into the PCM range and were cut off.
        over_db: how far the largest of those stood above full scale, dB.
    """

    path: Path
    num_samples: int
    peak_db: float
    gain_db: float = 0.0
    limited_db: float = 0.0
    over_full_scale: int = 0
    over_db: float = 0.0

    def text(self) -> str:
        """One line for a person to read."""
        parts = [f"{self.path}: peak {self.peak_db:.1f} dBFS"]
        if self.gain_db:
            parts.append(f"gain {self.gain_db:+.1f} dB as asked")
        if self.limited_db:
            parts.append(f"limited by {self.limited_db:.1f} dB as asked")
        if self.over_full_scale:
            parts.append(
                f"{self.over_full_scale} samples over full scale, by up to {self.over_db:.1f} dB, "
                "are cut off: save as FLOAT or ask for a peak level or the limiter"
            )
        return ", ".join(parts)


def save_audio(
    path: str | Path,
    audio: Tensor,
    sample_rate: int,
    subtype: Literal["PCM_16", "PCM_24", "FLOAT"] = "PCM_16",
    *,
    peak_db: float | None = None,
    loudness_lufs: float | None = None,
    limiter: bool = False,
) -> SaveReport:
    """Write `audio` `(c, t)` as a `.wav` or `.flac` file, linearly by default.

    Nothing is scaled, clamped or bent unless asked: FLOAT comes back bit for bit, PCM to half a
    step. Samples that PCM cannot hold are cut off, counted in the report and warned of. The file
    is written aside and renamed, so an earlier one survives a full disk.

    Args:
        path: ends in `.wav` or `.flac`; its folder is made if need be.
        audio: `(c, t)`, full scale -1..1.
        sample_rate: Hz.
        subtype: sample format; FLAC has no FLOAT.
        peak_db: scale so that the largest sample has this level, dBFS.
        loudness_lufs: scale to this integrated loudness, LUFS.
        limiter: lower the gain around peaks above -0.1 dBFS.

    Raises:
        ValueError: shape, suffix or subtype that cannot be written, NaN or infinite samples, or
            both `peak_db` and `loudness_lufs`.
        OSError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    _check(path, audio, subtype, peak_db, loudness_lufs)
    audio = audio.detach().to("cpu", torch.float32)
    given_peak = peak(audio)
    gain_db = _gain_db(audio, sample_rate, peak_db, loudness_lufs)
    if gain_db:
        audio = audio * 10 ** (gain_db / 20)
        _LOGGER.info("%s: gain %+.1f dB as asked", path, gain_db)
    limited_db = 0.0
    if limiter:
        before, audio = audio, limit(audio, sample_rate)
        limited_db = _largest_cut_db(before, audio)
        if limited_db:
            _LOGGER.info("%s: limited by %.1f dB as asked", path, limited_db)
    over = audio.abs() > 1 if subtype in _BITS else torch.zeros(0)
    report = SaveReport(
        path, audio.numel(), to_decibels(given_peak), gain_db, limited_db,
        over_full_scale=int(over.sum()),
        over_db=to_decibels(peak(audio)) if bool(over.any()) else 0.0,
    )  # fmt: skip
    if report.over_full_scale:
        _LOGGER.warning(report.text())
    _write(path, _quantized(audio, subtype), sample_rate, subtype)
    return report


def _check(
    path: Path, audio: Tensor, subtype: str, peak_db: float | None, lufs: float | None
) -> None:
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"{path} must end in {' or '.join(_FORMATS)}")
    if subtype not in (*_BITS, "FLOAT") or (subtype == "FLOAT" and path.suffix.lower() == ".flac"):
        raise ValueError(f"{path} cannot hold {subtype}: PCM_16 or PCM_24, and FLOAT in .wav only")
    if audio.ndim != 2 or audio.numel() == 0:
        raise ValueError(f"{path}: audio must be (channels, samples), got {tuple(audio.shape)}")
    if not bool(torch.isfinite(audio).all()):
        raise ValueError(f"{path}: audio holds NaN or infinite samples, nothing is written")
    if peak_db is not None and lufs is not None:
        raise ValueError(f"{path}: ask for peak_db or loudness_lufs, not for both")


def _gain_db(audio: Tensor, sample_rate: int, peak_db: float | None, lufs: float | None) -> float:
    level = None
    if peak_db is not None:
        level = to_decibels(peak(audio))
    elif lufs is not None:
        level = loudness(audio, sample_rate)
    wanted = peak_db if peak_db is not None else lufs
    if level is None or wanted is None or level == float("-inf"):
        return 0.0  # silence stays silence
    return wanted - level


def _largest_cut_db(before: Tensor, after: Tensor) -> float:
    loud = before.abs() > 0.1
    if not bool(loud.any()):
        return 0.0
    return to_decibels(float((before[loud] / after[loud]).max()))


def _quantized(audio: Tensor, subtype: str) -> Tensor:
    """Integers for PCM; 1.0 is 2^(bits - 1), so that reading divides by what writing multiplied."""
    if subtype not in _BITS:
        return audio
    bits = _BITS[subtype]
    scale = 2 ** (bits - 1)
    steps: Tensor = (audio.double() * scale).round().clamp(-scale, scale - 1)
    if bits == 16:
        return steps.to(torch.int16)
    return steps.to(torch.int32).mul(2 ** (32 - bits))


def _write(path: Path, audio: Tensor, sample_rate: int, subtype: str) -> None:
    soundfile: Any = import_soundfile()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    samples = audio.T.contiguous().numpy()
    try:
        form = _FORMATS[path.suffix.lower()]
        soundfile.write(str(aside), samples, sample_rate, subtype=subtype, format=form)
        os.replace(aside, path)
    except (soundfile.SoundFileError, OSError) as error:
        reason = " ".join(str(error).split())
        raise OSError(
            f"cannot write {path} ({reason}); free some space or change the folder"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
