"""Whether training ends where sampling starts: in pure noise."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.diffusion.noise_schedules import DiscreteBetas
from audio_diffusion_pytorch.protocols import NoiseSchedule, Parameterization

from .levels import DB_A_NAT, LEAKING_DB, PURE_NOISE_DB, in_words, snr_db

POINTS = 101


def judge_start(level: float) -> Severity:
    """Return the verdict on a noisiest level, in dB: how much of the sound is left there."""
    if level <= PURE_NOISE_DB:
        return "ok"
    return "suspicious" if level <= LEAKING_DB else "wrong"


def check_terminal_snr(schedule: NoiseSchedule, std: float = 1.0) -> Finding:
    """Look at how much of the sound is left at the noisiest level of training.

    Sampling starts from noise alone. Where training never went so far, the network takes what
    little it sees there for a sound, and all that follows is built on it.

    Args:
        schedule: The schedule of training.
        std: Root mean square of the data in the space of the diffusion.

    Source: Lin et al. 2023, arXiv 2305.08891, section 3.1 (terminal SNR).
    """
    last = torch.ones(1, dtype=torch.float64)
    level = float(snr_db(schedule, last, std))
    alone = float(snr_db(schedule, last))
    alpha, sigma = (float(gain) for gain in schedule.alpha_sigma(last))
    figures = {
        "terminal_snr_db": level,
        "terminal_snr_of_unit_data_db": alone,
        "terminal_alpha": alpha,
        "terminal_sigma": sigma,
        "data_rms": std,
    }
    times = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    line = {"sound over noise": (times.tolist(), snr_db(schedule, times, std).clamp(-60, 60))}
    curves = (
        CurvePlot(
            "noise schedule",
            {name: (x, y.tolist()) for name, (x, y) in line.items()},
            False,
            "time (0 clean, 1 noise)",
            "dB",
        ),
    )
    verdict = judge_start(level)
    message = (
        f"at the last level of training the sound is {in_words(level)}, right is at least "
        f"{-PURE_NOISE_DB:.0f} dB under it"
    )
    if verdict == "ok":
        return Finding("terminal SNR", "ok", message, "", figures, curves)
    if judge_start(alone) == "ok":
        remedy = (
            f"divide the data by {std:.3g}: this schedule ends {-alone:.1f} dB under the noise "
        )
        remedy += "for data of unit variance"
    else:
        shift = (PURE_NOISE_DB - level) / DB_A_NAT
        remedy = "use HalfCircle(), which ends in pure noise, or the same schedule shifted: "
        remedy += f"Shifted(schedule, {shift:.2f})"
        if isinstance(schedule, DiscreteBetas):
            remedy = (
                "use DiscreteBetas.linear(1000, 1e-4, 0.02), which ends 43.9 dB under it, or this "
                "one's with_zero_terminal_snr()"
            )
    return Finding(
        "terminal SNR",
        verdict,
        f"{message}: sampling starts from pure noise, which the network never saw",
        remedy,
        figures,
        curves,
    )


def check_first_step(
    schedule: NoiseSchedule,
    times: Tensor,
    std: float = 1.0,
    parameterization: Parameterization | None = None,
) -> Finding:
    """Look at the level that sampling starts from, and at where its first step leads.

    Args:
        schedule: What the times mean.
        times: What the sampler visits `(n + 1,)`.
        std: Root mean square of the data in the space of the diffusion.
        parameterization: What the network says, for how much its errors grow there.
    """
    ends = times[:2].detach().to("cpu", torch.float64)
    levels = snr_db(schedule, ends, std).tolist()
    start, landing = levels[0], levels[-1]
    figures = {"start_snr_db": start, "first_step_to_db": landing, "start_time": float(ends[0])}
    grown = ""
    if parameterization is not None:
        alpha, sigma = schedule.alpha_sigma(ends[:1])
        growth = float(parameterization.coefficients(ends[:1], alpha, sigma)[1].abs())
        figures["growth_of_errors"] = growth
        if growth > 10:
            grown = f"; there an error of the network counts {growth:.0f} times in the sound"
    verdict = judge_start(start)
    message = (
        f"sampling starts where the sound is {in_words(start)}, and steps to where it is "
        f"{in_words(landing)}, right is a start at least {-PURE_NOISE_DB:.0f} dB under it{grown}"
    )
    if verdict == "ok":
        return Finding("first sampling step", "ok", message, "", figures)
    return Finding(
        "first sampling step",
        verdict,
        f"{message}: what is missing there is missing in the result",
        "start at time 1, as LinearSchedule() and EvenLevels(schedule) do, on a schedule that ends "
        "in noise",
        figures,
    )
