"""What the end of a run says: a table and a paragraph, both in the report and on the console."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.data.report import listing, without_remedy
from audio_diffusion_pytorch.diagnostics import MetricRow, Verdict
from audio_diffusion_pytorch.metrics import rms_db

from .distributed import Processes
from .loop import TrainResult
from .objective import LossFunction, diffusion_loss
from .open_data import SPLIT_NAME, DataConfig, held_back_list
from .progress import words_for
from .train_config import TrainConfig
from .validation import Validation, silenced

KNOWN_BY_HEART = 20.0
"""Passes over the data before a low training loss is taken for memory."""
LOUDNESS_ROW = "  of knowing only the loudness"
DIVERGED, DIVERGED_IN_WARM_UP = 1.2, 3.0
"""How often the loss of a zero answer is too much; random weights begin somewhat above it."""


def about_data(
    data: AudioFolder, held_back: AudioFolder | None, config: DataConfig, overfit: int = 0
) -> list[str]:
    """Return what was found, held back and left out so far, one line each."""
    lines = data.report.text().split("\n")
    if overfit:
        used = "the first clip" if min(overfit, len(data)) == 1 else f"the first {overfit} clips"
        return [*lines, f"train.overfit={overfit}: {used} alone, to train on and to judge by"]
    if held_back is None:
        return [*lines, "nothing is held back: only the training loss judges"]
    listed = held_back_list(config, data.root, [*data.files, *held_back.files])
    why = "" if listed is None else f", as {listed} says"
    if listed is None and (data.root / SPLIT_NAME).is_file():
        why = f", by data.validation: {SPLIT_NAME} has no list held_back of files that are here"
    lines.append(f"held back, only judging: {listing(held_back.files)}{why}")
    reasons = [without_remedy(why) for _, why in held_back.report.bad_files]
    return lines + [f"left out, {why}" for why in reasons]


def zero_loss(
    model: nn.Module,
    data: Dataset[Clip],
    config: TrainConfig,
    result: TrainResult,
    loss: LossFunction = diffusion_loss,
) -> float:
    """Return the loss that a network answering zero has on training clips; nan if it has no `net`.

    The validation's zero answer is measured on other clips, often louder or softer ones.
    """
    net = getattr(model, "net", None)
    if not isinstance(net, nn.Module):
        return math.nan
    device = next(model.parameters()).device
    items, bins = max(1, config.validation_items), max(1, config.validation_bins)
    alone = Processes(0, 1, device)
    measure = Validation(data, loss, items, bins, config.batch_size, config.seed, alone)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), silenced(net):
        return measure(model, result.precision)["loss"]


def result_rows(
    result: TrainResult, scalars: dict[str, Any], sounds: Tensor, real: Tensor, trivial: float
) -> list[MetricRow]:
    """Return the table of a run: losses beside what is trivial, levels beside the real ones.

    Args:
        result: How the training ended.
        scalars: Its curves.
        sounds: What it made `(n, c, t)`.
        real: Recordings `(m, c, t)` whose level the sounds should have.
        trivial: The loss of a zero answer on training clips.
    """
    rows = [
        MetricRow("steps", result.step),
        MetricRow("training time", result.seconds / 60, unit="min"),
        MetricRow("training loss", result.loss),
        MetricRow("  of a network that answers zero", trivial),
    ]
    if "validation/loss" in scalars:
        zero = scalars["zero_predictor/loss"][1][-1] if "zero_predictor/loss" in scalars else 1.0
        loss = scalars["validation/loss"][1][-1]
        known = _loudness_loss(result, zero)
        trivial_one = zero if known is None else known
        verdict: Verdict = "pass" if loss <= 0.9 * trivial_one else "warn"
        target = f"at most {0.9 * trivial_one:.3g}"
        rows.append(MetricRow("validation loss", loss, target, verdict))
        rows.append(MetricRow("loss of a network that answers zero", zero))
        if known is not None:
            rows.append(MetricRow(LOUDNESS_ROW, known))
    if result.overfit is not None:
        known = result.overfit.verdict == "ok"
        answer = "yes" if known else "no"
        rows.append(
            MetricRow("knows its clips by heart", answer, "yes", "pass" if known else "fail")
        )
    level, wanted = float(rms_db(sounds).mean()), float(rms_db(real).mean())
    rows.append(MetricRow.within("level of the sounds", level, wanted - 6, wanted + 6, "dBFS"))
    rows.append(MetricRow("level of the recordings", wanted, unit="dBFS"))
    return rows


def _loudness_loss(result: TrainResult, zero: float) -> float | None:
    """Return what knowing only the loudness of the data costs, where that is less than `zero`.

    On raw samples, mostly far fainter than the noise, it is a small part of it.
    """
    marks = None if result.levels is None else result.levels.marks
    if marks is None or not marks.exact or not 0 < marks.loudness < marks.zero:
        return None
    return zero * marks.loudness / marks.zero


def plain_words(
    result: TrainResult,
    data: AudioFolder,
    rows: Sequence[MetricRow],
    config: TrainConfig,
    epochs: float,
) -> str:
    """Return one paragraph on how the run went.

    Args:
        result: How the training ended.
        data: What was trained on.
        rows: The table of `result_rows`.
        config: The numbers of the training.
        epochs: Passes over the data.
    """
    by_name = {row.name: row for row in rows}
    speed = f"{result.items_per_second:.0f} clips a second, " if result.items_per_second else ""
    text = (
        f"Trained {result.step} steps in {words_for(result.seconds)} on {len(data)} clips of "
        f"{data.length / data.sample_rate:.2f} s from {len(data.files)} files "
        f"({speed}{result.precision.name}). "
    )
    if result.overfit is not None:
        first = "first" if config.overfit == 1 else f"first {min(config.overfit, len(data))}"
        count = f"the {first} of {len(data)} clips"
        text = text.replace(f"{len(data)} clips", count, 1)
        return f"{text}The overfit test is {result.overfit.text.removeprefix('overfit: ')}."
    diverged = has_diverged(result, rows, config)
    loss = by_name.get("validation loss")
    if loss is not None:
        zero = by_name["loss of a network that answers zero"]
        known = by_name.get(LOUDNESS_ROW)
        would = f"knowing nothing would cost {zero.shown}"
        if known is not None:
            would = f"knowing only how loud the recordings are would cost {known.shown}"
        text += f"The loss on held-back files is {loss.shown}; {would}. "
        if loss.verdict != "pass" and not diverged:
            text += _why_no_better(result, by_name, epochs)
    level, wanted = by_name["level of the sounds"], by_name["level of the recordings"]
    text += f"The sounds it makes are at {level.shown}, the recordings at {wanted.shown}"
    if diverged:
        text += ". The training diverged: start again with a lower train.learning_rate."
    else:
        apart = ": more than 6 dB apart, so train longer."
        text += "." if level.verdict == "pass" else apart
    if result.reason not in ("finished", "time limit"):
        text += f" The run was stopped early ({result.reason}); --resume goes on."
    return text


def has_diverged(result: TrainResult, rows: Sequence[MetricRow], config: TrainConfig) -> bool:
    """Whether the weights are worse than none: longer training would not mend it."""
    value = {row.name: float(row.value) for row in rows}
    level = value["level of the sounds"]
    if not math.isfinite(value.get("validation loss", 0.0)) or math.isnan(level):
        return True
    trivial = value["  of a network that answers zero"]
    too_loud = level > value["level of the recordings"] + 6
    often = DIVERGED if result.step > config.warmup_steps else DIVERGED_IN_WARM_UP
    return result.loss > often * trivial or (
        too_loud and often == DIVERGED and result.loss > trivial
    )


def _why_no_better(result: TrainResult, by_name: dict[str, MetricRow], epochs: float) -> str:
    """Return why the loss on held-back files is about that of knowing nothing."""
    loss = float(by_name["validation loss"].value)
    trivial = float(by_name["  of a network that answers zero"].value)
    known = result.loss < 0.5 * min(trivial, loss) and epochs >= KNOWN_BY_HEART
    if known:
        return (
            f"On the trained files it is {result.loss:.3g}: after {epochs:.0f} passes the model "
            "knows these by heart, and what it makes stays close to them; more recordings would "
            "change that. "
        )
    row = by_name.get(LOUDNESS_ROW) or by_name["loss of a network that answers zero"]
    zero = float(row.value)
    return (
        f"That is {'hardly' if loss < zero else 'not'} better: train longer (train.max_minutes). "
    )
