"""Print what a loss is worth: the floors of any noise schedule and training target.

python examples/sweep_schedule.py --schedule linear --betas 1e-4 0.05 --steps 50 500 1000 2000
python examples/sweep_schedule.py --schedule half-circle cosine --target v x0 --data my_sounds

For each schedule: the SNR it ends at and that of the first sampling steps. For each target: the
loss of predicting zero, of the best predictor that knows only how loud the data are, and, with
recordings, of the best linear denoiser for their spectrum. A network that is not below these has
learnt nothing of the data; losses of different schedules or targets cannot be compared.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from audio_diffusion_pytorch.data import AudioFolder
from audio_diffusion_pytorch.diffusion.floors import (
    Shares,
    mean_absolute,
    power_spectrum,
    previous_shares,
    target_shares,
    wiener_loss,
    zero_loss,
)
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    Laplace,
    LinearBeta,
    Shifted,
    Sigmoid,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.parameterizations import (
    CleanPrediction,
    EpsilonPrediction,
    FlowPrediction,
    VPrediction,
)
from audio_diffusion_pytorch.protocols import NoiseSchedule
from audio_diffusion_pytorch.training import RecipeParser, clip_batches, run_recipe

WITH_BETAS: dict[str, Callable[..., DiscreteBetas]] = {
    "linear": DiscreteBetas.linear,
    "scaled-linear": DiscreteBetas.scaled_linear,
}
SCHEDULES: dict[str, Callable[[int], NoiseSchedule]] = {
    **WITH_BETAS,
    "cosine": DiscreteBetas.cosine,
    "half-circle": lambda steps: HalfCircle(),  # noqa: ARG005  the same for any number of steps
    "straight": lambda steps: StraightPath(),  # noqa: ARG005
    "vp": lambda steps: LinearBeta(),  # noqa: ARG005
    "sigmoid": lambda steps: Sigmoid(),  # noqa: ARG005
    "laplace": lambda steps: Laplace(),  # noqa: ARG005
    "exploding": lambda steps: VarianceExploding(),  # noqa: ARG005
}
TARGETS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Shares]] = {
    "eps": lambda alpha, sigma, *_: target_shares(EpsilonPrediction(), alpha, sigma),
    "x0": lambda alpha, sigma, *_: target_shares(CleanPrediction(), alpha, sigma),
    "v": lambda alpha, sigma, *_: target_shares(VPrediction(), alpha, sigma),
    "flow": lambda alpha, sigma, *_: target_shares(FlowPrediction(), alpha, sigma),
    "x_{t-1}": previous_shares,
}
FIRST_SHOWN = 4


class Data(NamedTuple):
    """What is known of the data: their loudness, and with recordings their spectrum."""

    std: float
    spectrum: Tensor | None


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = RecipeParser(description=__doc__.split("\n")[0])
    parser.add_argument("--schedule", nargs="+", choices=SCHEDULES, default=["linear"])
    parser.add_argument(
        "--betas", type=float, nargs=2, metavar=("FIRST", "LAST"),
        help=f"of {' and '.join(WITH_BETAS)}; the others have none",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, nargs="+", default=[1000], help="training steps T")
    parser.add_argument(
        "--first-step", type=int, default=1,
        help="first of the steps 1..T that is trained; 2 where t is drawn from 1..T-1 of 0..T-1",
    )  # fmt: skip
    parser.add_argument("--zero-terminal-snr", action="store_true", help="rescale the betas")
    parser.add_argument(
        "--shift",
        type=float,
        default=0.0,
        help="of the log-SNR, nats; 2 log(b) scales the input by b",
    )
    parser.add_argument(
        "--target", nargs="+", choices=[*TARGETS, "previous"], default=["eps"],
        help="previous is short for x_{t-1}",
    )  # fmt: skip
    parser.add_argument(
        "--std", type=float, nargs="+",
        help="standard deviation the data are scaled to (default: that of --data, else 1)",
    )  # fmt: skip
    parser.add_argument("--data", metavar="DIR", help="folder of recordings, for their spectrum")
    parser.add_argument("--sample-rate", type=int, default=16000, help="of the clips, Hz")
    parser.add_argument("--length", type=int, default=16384, help="of the clips, samples")
    parser.add_argument(
        "--sampling-steps", type=int, default=50, help="of a sampler, evenly spaced"
    )
    options = parser.parse_args()
    if min(options.sampling_steps, *options.steps) < 1:
        parser.error("--steps and --sampling-steps must be at least 1")
    if not 1 <= options.first_step <= min(options.steps):
        parser.error(
            f"--first-step must lie in 1..{min(options.steps)}, the fewest --steps, "
            f"got {options.first_step}"
        )
    if options.std and not all(0 < std < math.inf for std in options.std):
        parser.error("--std must be above 0")
    options.target = ["x_{t-1}" if word == "previous" else word for word in options.target]
    return options


def build_schedule(options: argparse.Namespace, word: str, steps: int) -> NoiseSchedule:
    """Return the schedule of a word with `steps` training steps.

    Raises:
        ValueError: If an option does not belong to this schedule.
    """
    make = SCHEDULES[word]
    if options.betas is not None:
        if word not in WITH_BETAS:
            raise ValueError(f"--betas belongs to {' and '.join(WITH_BETAS)}, not to {word}")
        make = partial(WITH_BETAS[word], start=options.betas[0], end=options.betas[1])
    schedule = make(steps)
    if options.zero_terminal_snr:
        if not isinstance(schedule, DiscreteBetas):
            raise ValueError(f"--zero-terminal-snr rescales betas, and {word} has none")
        schedule = schedule.with_zero_terminal_snr()
    return Shifted(schedule, options.shift) if options.shift else schedule


def read_data(options: argparse.Namespace) -> list[Data]:
    """Return the data to judge by: white noise of each deviation, or recordings scaled to it.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the recordings are silent.
    """
    if options.data is None:
        return [Data(std, None) for std in options.std or [1.0]]
    if not Path(options.data).is_dir():
        raise FileNotFoundError(f"--data {options.data}: there is no such folder")
    folder = AudioFolder(options.data, options.sample_rate, options.length)
    batches = [(len(audio), power_spectrum(audio)) for audio in clip_batches(folder)]
    clips = sum(count for count, _ in batches)
    spectrum = torch.stack([count / clips * power for count, power in batches]).sum(0)
    own = spectrum.mean().sqrt().item()
    if own == 0:
        raise ValueError(f"--data {options.data} is silent: it has no spectrum")
    print(f"{clips} clips of {options.data}: standard deviation {own:.4g}\n")
    return [Data(std, spectrum * (std / own) ** 2) for std in options.std or [own]]


def decibels(log_snr: float) -> str:
    """Return a log-SNR of nats in dB, as words."""
    return f"{log_snr * 10 / math.log(10):.1f}"


def describe(schedule: NoiseSchedule, sampling_steps: int) -> str:
    """Return the SNR at the end of a schedule and at the first times of an even sampling grid."""
    times = torch.linspace(1, 0, sampling_steps + 1, dtype=torch.float64)
    levels = [decibels(level) for level in schedule.log_snr(times[:FIRST_SHOWN]).tolist()]
    alpha, sigma = (float(v[0]) for v in schedule.alpha_sigma(times[:1]))
    growth = f"grows {sigma / alpha:.4g} times" if alpha > 0 else "grows without bound"
    return (
        f"  terminal SNR {levels[0]} dB; {sampling_steps} sampling steps start at "
        f"{', '.join(levels)} dB; from the first of them to x0 an error in eps {growth}"
    )


def floor_rows(
    schedule: NoiseSchedule, target: str, steps: int, first_step: int, data: Data
) -> list[str]:
    """Return the cells of a row: the target, the deviation, and (L1, MSE) of each predictor."""
    times = torch.arange(first_step - 1, steps + 1, dtype=torch.float64) / steps
    alpha, sigma = schedule.alpha_sigma(times)
    shares = TARGETS[target](alpha[1:], sigma[1:], alpha[:-1], sigma[:-1])
    white = torch.tensor([data.std**2], dtype=torch.float64)
    errors = [zero_loss(shares, white), wiener_loss(shares, alpha[1:], sigma[1:], white)]
    if data.spectrum is not None:
        errors.append(wiener_loss(shares, alpha[1:], sigma[1:], data.spectrum))
    cells = [target, f"{data.std:.3g}"]
    for error in errors:
        cells += [f"{mean_absolute(error).mean():.4f}", f"{error.mean():.4f}"]
    return cells


def table(rows: list[list[str]]) -> str:
    """Return rows of cells as text: first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pairs = [zip(row, widths, strict=True) for row in rows]
    return "\n".join(
        "  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(row))
        for row in pairs
    )


def main() -> None:
    """Print the levels and the floors of every combination asked for."""
    options = read_options()
    data = read_data(options)
    heads = ["target", "std", "zero L1", "MSE", "loudness L1", "MSE"]
    if options.data is not None:
        heads += ["spectrum L1", "MSE"]
    for word in options.schedule:
        for steps in options.steps:
            schedule = build_schedule(options, word, steps)
            print(f"{word}: {schedule}, training steps {options.first_step}..{steps}")
            print(describe(schedule, options.sampling_steps))
            rows = [
                floor_rows(schedule, target, steps, options.first_step, one)
                for target in options.target
                for one in data
            ]
            print(f"{table([heads, *rows])}\n")


if __name__ == "__main__":
    sys.exit(run_recipe(main))
