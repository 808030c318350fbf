"""All checks of the data, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.errors import AudioFileError
from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.data.report import without_remedy
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.gathering import attempt
from audio_diffusion_pytorch.diagnostics.observation import evaluated

from .batches import batch_tensor, check_batch_dependence, check_min_max
from .clipping import check_clipping
from .input_scale import check_input_scale
from .lengths import check_lengths, check_padding
from .levels import check_dc, check_finite, check_level, check_peak, check_silence
from .rates import check_bandwidth, check_readable, check_sample_rates
from .same_sound import same_sounds
from .scan import FolderScan, ScanLimits, scan_folder, spread
from .sounds import SoundFacts, measure_clips
from .stereo import check_channels, check_mono_twice, check_polarity
from .variety import check_distinct, check_duplicates

NUM_CLIPS = 32
COMPARED = 8  # clips prepared alone and together
UNKNOWN_CLIP_SECONDS = 2.0
MOST_CHANNELS = 2  # of sound that a model without an autoencoder is trained on


class _Wanted(NamedTuple):
    """What training makes of the files, as far as it is known."""

    sample_rate: int | None = None
    length: int | None = None
    channels: int | None = None
    short: Literal["pad", "skip", "refuse"] = "pad"
    random: bool | None = None  # clips from anywhere in a file

    @property
    def clip_seconds(self) -> float | None:
        if self.sample_rate is None or self.length is None:
            return None
        return self.length / self.sample_rate


def examine_data(
    data: str | Path | Dataset[Clip] | Clip,
    *,
    model: nn.Module | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
    sample_rate: int | None = None,
    length: int | None = None,
    channels: int | None = None,
    num_clips: int = NUM_CLIPS,
    limits: ScanLimits | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Return what the checks of the data say; those that do not apply are left out.

    Args:
        data: A folder of recordings, read as they are; an `AudioFolder`, whose files are read as
            they are and whose clips are measured as training sees them; another data set of clips,
            or batched clips, of which there are clips only.
        model: What is trained on them: its `to_space`, normaliser and noise schedule are asked.
            None leaves out what needs it.
        collate: How a list of the data set's items becomes a batch in training; None: torch's way.
        sample_rate: Of the clips, Hz; an `AudioFolder` has its own. Of a folder: of training, if
            that is known.
        length: Of a clip of a folder, samples at that rate.
        channels: Of a clip of a folder.
        num_clips: Clips measured, evenly spread over the data set.
        limits: How far a folder is looked into.
        seed: Of whatever is random in the preparation of a batch.

    Raises:
        FileNotFoundError: No such folder, or no sound file in it.
        ValueError: Clips without a sample rate.
    """
    if isinstance(data, (str, Path)):
        scan = scan_folder(data, None, limits)
        return _of_files(scan, _Wanted(sample_rate, length, channels), model)
    if isinstance(data, AudioFolder):
        scan = scan_folder(data.root, data.files, limits)
        _add_left_out(scan, data)
        wanted = _Wanted(data.sample_rate, data.length, data.channels, _short(data), _random(data))
        try:
            batches = _batches(data, num_clips, collate)
        except AudioFileError:  # data.bad=refuse, and a bad file: the files' checks name it
            return _of_files(scan, wanted, model, num_items=len(data))
        facts = measure_clips(batches.whole, data.sample_rate)
        found = _of_files(scan, wanted, model, facts, batches.total)
        return found + attempt(_preparation, batches, facts, model, seed)
    if sample_rate is None:
        raise ValueError("clips do not tell their sample rate: pass sample_rate= in Hz")
    batches = _batches(data, num_clips, collate)
    facts = measure_clips(batches.whole, sample_rate)
    return [
        *_of_clips(facts, batches.total, model),
        *attempt(_preparation, batches, facts, model, seed),
    ]


class _Batches(NamedTuple):
    """Clips as training batches them."""

    whole: Clip  # each as the data set gives it
    parts: list[Tensor]  # as they come out of the collate function
    items: list[Any] | None
    collate: Callable[[list[Any]], Any] | None
    total: int | None


def _batches(
    data: Dataset[Clip] | Clip, count: int, collate: Callable[[list[Any]], Any] | None
) -> _Batches:
    if isinstance(data, Clip):
        chosen = spread(range(len(data.audio)), count)
        names = [data.name[index] for index in chosen]
        whole = Clip(data.audio[chosen], data.labels[chosen], names)  # type: ignore[arg-type]
        return _Batches(whole, [whole.audio], None, None, None)
    total = len(data)  # type: ignore[arg-type]
    items = [data[index] for index in spread(range(total), count)]
    whole = default_collate(items)
    if collate is None:
        return _Batches(whole, [whole.audio], items, None, total)
    half = -(-len(items) // 2)
    parts = [batch_tensor(collate(part)) for part in (items[:half], items[half:]) if part]
    return _Batches(whole, parts, items, collate, total)


def _of_files(
    scan: FolderScan,
    wanted: _Wanted,
    model: nn.Module | None,
    clips: list[SoundFacts] | None = None,
    num_items: int | None = None,
) -> list[Finding]:
    """What a folder's files say; where there are clips, level and the like are theirs."""
    sounds, heard = scan.sounds, clips or scan.sounds
    findings = attempt(check_readable, scan)
    if not sounds:
        return findings
    same = same_sounds(sounds)
    seconds = [info.duration for info in scan.headers.values()]
    return [
        *findings,
        *attempt(check_finite, [*sounds, *(clips or [])]),
        *attempt(check_sample_rates, scan.headers, wanted.sample_rate),
        *attempt(check_bandwidth, sounds, wanted.sample_rate),
        *attempt(check_channels, scan.headers, wanted.channels),
        *_of_stereo(sounds, wanted.channels),
        *attempt(check_lengths, seconds, wanted.clip_seconds, wanted.short),
        *attempt(check_level, heard, normalizes(model)),
        *attempt(check_peak, heard),
        *attempt(check_clipping, sounds),
        *attempt(check_dc, heard),
        *attempt(check_silence, heard),
        *attempt(check_duplicates, sounds, scan.fingerprints, same),
        *attempt(
            check_distinct, sounds, num_items or _num_clips(scan, wanted), same, wanted.random
        ),
    ]


def _of_clips(facts: list[SoundFacts], total: int | None, model: nn.Module | None) -> list[Finding]:
    same = same_sounds(facts)
    if _are_latents(facts, model):
        return [
            check_finite(facts),
            check_padding(facts),
            check_duplicates(facts, same=same),
            check_distinct(facts, total, same),
        ]
    return [
        *attempt(check_finite, facts),
        *_of_stereo(facts),
        *attempt(check_padding, facts),
        *attempt(check_level, facts, normalizes(model)),
        *attempt(check_peak, facts),
        *attempt(check_clipping, facts),
        *attempt(check_dc, facts),
        *attempt(check_silence, facts),
        *attempt(check_duplicates, facts, same=same),
        *attempt(check_distinct, facts, total, same),
    ]


def _are_latents(facts: list[SoundFacts], model: nn.Module | None) -> bool:
    """Whether clips were encoded before: nobody hears their level, peak or offset."""
    encodes = model is None or getattr(model, "autoencoder", None) is not None
    return not encodes and all(sound.channels > MOST_CHANNELS for sound in facts)


def _of_stereo(sounds: Sequence[SoundFacts], channels: int | None = None) -> list[Finding]:
    if all(sound.agreement is None for sound in sounds):
        return []
    return [
        *attempt(check_mono_twice, sounds, channels),
        *attempt(check_polarity, sounds, channels),
    ]


def _num_clips(scan: FolderScan, wanted: _Wanted) -> int:
    """How many clips a folder gives; of files that were not looked at, as many as of the others."""
    seconds = wanted.clip_seconds or UNKNOWN_CLIP_SECONDS
    unreadable = {name for name, _ in scan.unreadable}
    heard = [info for name, info in scan.headers.items() if name not in unreadable]
    clips = sum(max(1, int(info.duration / seconds)) for info in heard)
    looked = len(heard) + len(unreadable)
    return round(clips * scan.num_files / max(1, looked))


def _preparation(
    batches: _Batches, facts: Sequence[SoundFacts], model: nn.Module | None, seed: int
) -> list[Finding]:
    """What becomes of clips on their way into the diffusion."""
    findings = attempt(check_min_max, batches.parts)
    if batches.collate and batches.items and len(batches.items) > 1:
        findings += attempt(check_batch_dependence, batches.collate, batches.items[:COMPARED], seed)
    if any(sound.not_finite for sound in facts):
        return findings  # all that follows would be NaN, too, and hide the cause
    audio = torch.cat(batches.parts)
    if model is None or not hasattr(model, "to_space"):
        return [*findings, check_input_scale(audio, seed=seed)]
    if not getattr(getattr(model, "normalizer", None), "fitted", True):
        return findings  # there is no space before the normaliser was fitted
    weights = next(model.parameters())
    audio = audio.to(weights.device, weights.dtype)
    if any(True for _ in getattr(getattr(model, "autoencoder", None), "parameters", list)()):
        audio = audio[:COMPARED]  # a learnt encoder takes its time
    to_space = cast("Callable[[Tensor], Tensor]", model.to_space)
    with torch.no_grad(), evaluated(model):
        space = to_space(audio)
    scale = check_input_scale(
        space, getattr(model, "diffusion", None), normalized=normalizes(model), seed=seed
    )
    findings.append(scale)
    if len(audio) > 1:
        findings.append(check_batch_dependence(to_space, audio[:COMPARED], seed))
    return findings


def normalizes(model: nn.Module | None) -> bool | None:
    """Whether a model scales what it is trained on; None for no model."""
    return None if model is None else getattr(model, "normalizer", None) is not None


def _add_left_out(scan: FolderScan, data: AudioFolder) -> None:
    """Count the files that a data set has left out as bad among those of the folder."""
    known = {name for name, _ in scan.unreadable} | scan.headers.keys()
    left_out = [(name, without_remedy(why)) for name, why in data.report.bad_files]
    new = [(name, why) for name, why in left_out if name not in known]
    scan.unreadable.extend(new)
    scan.num_files += len(new)


def _short(data: AudioFolder) -> Literal["pad", "skip", "refuse"]:
    return "skip" if data.report.short == "skip" else "pad"


def _random(data: AudioFolder) -> bool:
    return data.hop is None and data.crop == "random"
