"""How far the spectra of samples are from the data's, at one step count and over many."""

from __future__ import annotations

import time
from collections.abc import Sequence

from torch import Tensor, nn

from audio_diffusion_pytorch.diagnostics.clips import evenly
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity, graded
from audio_diffusion_pytorch.diagnostics.observation import Sampling
from audio_diffusion_pytorch.diagnostics.report import CurvePlot, Sound
from audio_diffusion_pytorch.diagnostics.trajectory import sample_quietly
from audio_diffusion_pytorch.diagnostics.trajectory.words import beside
from audio_diffusion_pytorch.metrics import SpectralEmbedding, frechet_distance, rms_db

STEPS = (2, 4, 8, 16, 30, 60, 120, 200)
"""Step counts of the sweep, each about twice the one before."""
PLAYED = (2, 8, 30, 200)
"""Those of which a report plays a sample."""
BANDS = 8
"""Few enough for the few dozen sounds that a check can make."""
FAR, FAR_WRONG = 3.0, 5.0
"""Distance of samples over that of as many real sounds; good models reach 2, noise 6."""
SMALL = 5.0
"""dB: a few dozen real sounds may be nearer to each other, samples need not."""
LEAST = 3.0
"""dB: what counts as no distance where those of two step counts are compared."""
WORSE, WORSE_WRONG = 1.5, 3.0
"""Distance at most steps over the least; early steps blur, which alone may look 1.3 times better
to a spectrum."""
SETTLED = 1.25
"""Distance at a step count over that at most steps from which on more steps are of no use."""


def spectral_distance(audio: Tensor, data: Tensor, sample_rate: int) -> float:
    """Return how far the spectra of two sets of sounds are apart in dB.

    The root of the Frechet distance between their levels in 8 bands; a gain of g dB is g dB. Too
    high for few sounds: compare sets of one size.

    Args:
        audio: `(n, c, t)`, at least 2.
        data: `(m, c, t)`, at least 2.
        sample_rate: Hz.
    """
    embed = SpectralEmbedding(sample_rate, BANDS, high=min(16000.0, sample_rate / 2))
    return float(frechet_distance(embed(data), embed(audio)) ** 0.5)


def check_sample_spectrum(
    samples: Tensor, data: Tensor, sample_rate: int, held_back: Tensor | None = None
) -> Finding:
    """Hold the spectra of samples against those of the data ("noise instead of sound").

    Beside it stands the distance of as many real sounds: every other one of the data to the rest,
    or held-back ones if these are nearer.

    Args:
        samples: Sounds of the model `(n, c, t)`, at least 2.
        data: Real sounds `(m, c, t)`, at least 4.
        sample_rate: Hz.
        held_back: Real sounds `(k, c, t)` that are not among the data.
    """
    usual = spectral_distance(evenly(data[::2], len(samples)), data[1::2], sample_rate)
    if held_back is not None and len(held_back) >= 2:
        unseen = spectral_distance(evenly(held_back, len(samples)), data, sample_rate)
        usual = min(usual, unseen)
    made = spectral_distance(samples, data, sample_rate)
    ratio = made / max(usual, SMALL)
    verdict = graded(ratio, FAR, FAR_WRONG)
    figures: dict[str, float | str] = {
        "distance of the samples, dB": made,
        "distance of real sounds, dB": usual,
        "ratio": ratio,
    }
    said, bound = beside(made, FAR * max(usual, SMALL))
    message = (
        f"the samples' spectrum is {said} dB from that of the data, as many real sounds are "
        f"{usual:.1f} dB (right is under {bound} dB)"
    )
    remedy = ""
    if verdict != "ok":
        remedy = (
            "the samples are another kind of sound than the data: if the checks of losses are ok, "
            "the sampler is at fault, else train longer or repair what they name"
        )
    return Finding("spectrum of the samples", verdict, message, remedy, figures, symptom=True)


def check_step_sweep(
    model: nn.Module,
    sampling: Sampling,
    data: Tensor,
    sample_rate: int,
    *,
    num_steps: int = 30,
    num_items: int = 8,
    steps: Sequence[int] = STEPS,
    seconds: float = 15.0,
    seed: int = 0,
) -> Finding:
    """Sample with few steps and with many from the same noise ("more steps make it worse").

    Args:
        model: The model; only its device is asked for.
        sampling: How it is sampled.
        data: Real sounds `(m, c, t)`, at least 2.
        sample_rate: Hz.
        num_steps: Steps with which the model is used.
        num_items: Sounds per step count, at least 2.
        steps: Rising step counts.
        seconds: Of time: before a count that would take longer the sweep stops and says so.
        seed: Of the generator, the same at each count.
    """
    made: dict[int, float] = {}
    levels: dict[int, float] = {}
    sounds: list[Sound] = []
    started, stopped = time.monotonic(), ""
    for count in steps:
        spent = time.monotonic() - started
        if made and spent * count / sum(made) > seconds - spent:
            stopped = f", stopped before {count} steps as {seconds:.0f} s would not do"
            break
        audio = sample_quietly(model, sampling, num_items, count, seed)
        if not bool(audio.isfinite().all()):
            return _not_finite(count)
        made[count] = spectral_distance(audio, data, sample_rate)
        levels[count] = float(rms_db(audio).mean())
        if count in PLAYED:
            note = f"{made[count]:.1f} dB from the data"
            sounds.append(Sound(f"{count} steps", audio[0], sample_rate, note, "over steps"))
    usual = spectral_distance(evenly(data, num_items), data, sample_rate)
    return _judge_sweep(made, levels, tuple(sounds), num_steps, stopped, usual)


def _judge_sweep(
    made: dict[int, float],
    levels: dict[int, float],
    sounds: tuple[Sound, ...],
    num_steps: int,
    stopped: str,
    usual: float,
) -> Finding:
    most, best = max(made), min(made, key=made.__getitem__)
    enough = min(n for n in made if all(made[m] <= SETTLED * made[most] for m in made if m >= n))
    used = min(made, key=lambda n: abs(n - num_steps))
    worse = made[most] / max(made[best], LEAST)
    figures: dict[str, float | str] = {
        **{f"distance at {n} steps, dB": value for n, value in made.items()},
        **{f"level at {n} steps, dBFS": value for n, value in levels.items()},
        "steps that are enough": float(enough),
        "distance of as many real sounds, dB": usual,
    }
    if stopped:
        figures["left out"] = stopped.removeprefix(", ")
    curve = CurvePlot(
        "Distance to the data over steps",
        {"samples": (list(made), list(made.values()))},
        log=False, x_label="sampling steps", y_label="spectral distance, dB",
    )  # fmt: skip
    verdict: Severity = "ok"
    remedy = ""
    message = (
        f"from {enough} steps on more of them change little: the samples' spectrum is "
        f"{made[enough]:.1f} dB from the data at {enough} steps and {made[most]:.1f} dB at {most}, "
        f"as few real sounds are {usual:.1f} dB{stopped}"
    )
    if worse > WORSE and most != best:
        verdict = "wrong" if worse > WORSE_WRONG else "suspicious"
        message = (
            f"more steps make it worse: the samples' spectrum is {made[best]:.1f} dB from the data "
            f"at {best} steps and {made[most]:.1f} dB at {most}, right is no more{stopped}"
        )
        remedy = (
            "something goes wrong at every step: if the checks of losses are ok, do not clamp, "
            "normalise or noise the state between steps, and tell the network the level of the "
            "state (see its trajectory); else the network must learn first"
        )
    elif made[used] > SETTLED * max(made[most], LEAST):
        verdict = "suspicious"
        message = (
            f"{num_steps} steps are too few: the samples' spectrum is {made[used]:.1f} dB from the "
            f"data there and {made[most]:.1f} dB at {most} steps{stopped}"
        )
        remedy = f"set sample.steps={enough}, or use a solver of higher order such as UniPC()"
    return Finding("step sweep", verdict, message, remedy, figures, (curve,), sounds, symptom=True)


def _not_finite(count: int) -> Finding:
    message = f"samples at {count} steps hold NaN or infinity, right is none"
    remedy = "see the check of the trajectory for the network call at which the state leaves"
    figures = {"steps": float(count)}
    return Finding("step sweep", "wrong", message, remedy, figures, symptom=True)
