"""Whether samples differ as sounds of the data do, from one another and from the training clips."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.clips import evenly
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.metrics import log_spectral_distances

SPREAD, SPREAD_WRONG = 0.5, 0.1
"""Mean distance between samples over that between sounds of the data."""
SAME = 0.5
"""dB: sounds of a data set that are nearer to one another on the average are one sound."""
NEAR = 0.5
"""Median distance of samples to their nearest training clip over that of unseen real clips."""
COPY = 0.1
"""The same for a single sample that is a copy."""
COPIES = 0.1
"""Share of copies that is more than chance."""


def check_sample_variety(samples: Tensor, data: Tensor) -> Finding:
    """Find a model that always makes the same sound ("mode collapse").

    Compares the mean log-spectral distance of pairs of samples with that of pairs of the data.

    Args:
        samples: Sounds of the model `(n, c, t)`, from different noise, at least 2.
        data: Real sounds `(m, c, t)`, at least 2; as many as samples are looked at.
    """
    made, real = mean_distance(samples), mean_distance(evenly(data, max(8, len(samples))))
    figures: dict[str, float | str] = {
        "mean distance of samples, dB": made,
        "mean distance of data, dB": real,
    }
    if real < SAME:
        message = f"the data are one sound ({real:.2f} dB apart): samples cannot differ more"
        return Finding("variety of the samples", "ok", message, "", figures)
    share = made / real
    figures["share"] = share
    verdict: Severity = "ok"
    if share < SPREAD:
        verdict = "wrong" if share < SPREAD_WRONG else "suspicious"
    message = (
        f"samples differ by {made:.1f} dB from one another, sounds of the data by {real:.1f} dB: "
        f"{100 * share:.0f} % (right is at least {100 * SPREAD:.0f} %)"
    )
    remedy = ""
    if verdict != "ok":
        remedy = (
            "sample with guidance 1 and from different noise; if samples stay alike, the data set "
            "may hold one sound many times, or the network does not look at its input"
        )
    return Finding("variety of the samples", verdict, message, remedy, figures, symptom=True)


def check_memorisation(samples: Tensor, train: Tensor, held_back: Tensor | None = None) -> Finding:
    """Find a model that plays its training clips ("memorisation").

    The distance of each sample to its nearest training clip, beside the same distance of real
    clips that were not trained on. Copies moved in time by less than a frame are found too.

    Args:
        samples: Sounds of the model `(n, c, t)`.
        train: What it was trained on `(m, c, t)`.
        held_back: What it was not `(k, c, t)`; None: each training clip beside all others.
    """
    near = nearest(samples, train)
    if held_back is None or len(held_back) == 0:
        own = distances(train, train)
        own.fill_diagonal_(float("inf"))
        unseen = own.min(1).values
        unseen = unseen[unseen.isfinite()]
    else:
        unseen = nearest(held_back, train)
    usual = float(unseen.median()) if len(unseen) else 0.0
    made = float(near.median())
    figures: dict[str, float | str] = {
        "median distance of samples to training clips, dB": made,
        "nearest sample, dB": float(near.min()),
        "median distance of unseen clips, dB": usual,
    }
    if usual < 1e-3:
        message = "unseen clips equal training clips, so copies cannot be told"
        return Finding("memorised samples", "ok", message, "", figures)
    copies = float((near < COPY * usual).double().mean())
    figures["copies, share"] = copies
    suspicious = made < NEAR * usual or copies > COPIES
    message = (
        f"samples are {made:.1f} dB from the nearest training clip, unseen recordings "
        f"{usual:.1f} dB, and {100 * copies:.3g} % are copies (right is at least "
        f"{NEAR * usual:.1f} dB, and no copies)"
    )
    remedy = ""
    if suspicious:
        remedy = (
            "the model knows clips by heart: use more data or a smaller network, stop training "
            "where the validation loss is lowest, or be content if that is what you wanted"
        )
    verdict: Severity = "suspicious" if suspicious else "ok"
    return Finding("memorised samples", verdict, message, remedy, figures, symptom=True)


def mean_distance(audio: Tensor) -> float:
    """Return the mean log-spectral distance in dB of all pairs of sounds `(n, c, t)`; 0 of one."""
    count = len(audio)
    if count < 2:
        return 0.0
    return float(distances(audio, audio).sum() / (count * (count - 1)))


def nearest(audio: Tensor, others: Tensor) -> Tensor:
    """Return the distance in dB `(n,)` of each sound to the nearest of others `(m, c, t)`."""
    return distances(audio, others).min(1).values


@torch.no_grad()
def distances(audio: Tensor, others: Tensor) -> Tensor:
    """Return log-spectral distances in dB `(n, m)`, the mean over channels.

    Longer sounds are cut to the length of the shorter ones; frames are as long as fit, at most
    1024 samples.

    Args:
        audio: `(n, c, t)`.
        others: `(m, c, u)`; of other channels: all channels are mixed to one.
    """
    length = min(audio.shape[-1], others.shape[-1])
    if audio.shape[1] != others.shape[1]:
        audio, others = audio.mean(1, keepdim=True), others.mean(1, keepdim=True)
    n_fft = min(1024, 1 << max(1, length.bit_length() - 1))
    audio, others = audio[..., :length].float(), others[..., :length].float()
    found = [
        log_spectral_distances(audio[:, c], others[:, c], n_fft, n_fft // 4)
        for c in range(audio.shape[1])
    ]
    mean: Tensor = torch.stack(found).mean(0)
    return mean
