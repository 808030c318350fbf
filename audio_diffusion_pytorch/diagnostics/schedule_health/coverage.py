"""Whether training goes to the levels that sampling visits."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import evaluated
from audio_diffusion_pytorch.diagnostics.report import CurvePlot
from audio_diffusion_pytorch.diagnostics.trajectory.words import beside
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .levels import CLEAN_DB, PURE_NOISE_DB, snr_db

BATCHES, BATCH = 256, 16
"""Training batches that are drawn to see which levels training goes to."""
UNSEEN_DB, FAR_DB = 10.0, 20.0
"""Distance from the nearest level in 4096 draws. The tails of a bell of levels, which a network
learns to go on from, lie within 10 dB; the step 0 of a chain trained on 1..T - 1 lies 11 dB off."""
BIN_DB = 5.0


@torch.no_grad()
def draw_training_times(
    diffusion: GaussianDiffusion, seed: int = 0, batches: int = BATCHES, size: int = BATCH
) -> Tensor:
    """Return the times of training batches `(batches, size)`, float64 on the CPU.

    Torch's global random state and the objective's mode are left as they were.

    Args:
        diffusion: The objective.
        seed: Of the draws.
        batches: How many batches.
        size: Clips of a batch.
    """
    weights = next(diffusion.parameters(), None)
    device = torch.device("cpu") if weights is None else weights.device
    generator = Generator(device).manual_seed(seed)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), evaluated(diffusion):
        torch.manual_seed(seed)
        drawn = [diffusion.draw_times(size, device, generator) for _ in range(batches)]
    return torch.stack(drawn).to("cpu", torch.float64)


def check_level_coverage(
    trained: Tensor, visited: Tensor, schedule: NoiseSchedule, std: float = 1.0
) -> Finding:
    """Look for levels at which sampling asks the network and training never did.

    Levels with the sound 25 dB and more under the noise count as one, and so do those with it 40
    dB and more over: nothing changes there.

    Args:
        trained: Times of many training draws, of any shape, in 0..1.
        visited: Times at which a sampler asks the network `(n,)`.
        schedule: What the times mean.
        std: Root mean square of the data in the space of the diffusion.
    """
    seen = snr_db(schedule, trained.flatten(), std).sort().values
    asked = snr_db(schedule, visited, std)
    held, wanted = (levels.clamp(PURE_NOISE_DB, CLEAN_DB) for levels in (seen, asked))
    place = torch.searchsorted(held, wanted).clamp(1, len(held) - 1) if len(held) > 1 else None
    near = held[:1] if place is None else torch.stack([held[place - 1], held[place]])
    off = (near - wanted).abs().reshape(-1, len(wanted)).amin(0)
    worst = int(off.argmax())
    furthest, level = float(off[worst]), float(wanted[worst])
    low, high = float(held[0]), float(held[-1])
    figures = {
        "furthest_from_training_db": furthest,
        "furthest_level_db": level,
        "trained_lowest_db": float(seen[0]),
        "trained_median_db": float(seen.median()),
        "trained_highest_db": float(seen[-1]),
        "visited_lowest_db": float(asked.min()),
        "visited_highest_db": float(asked.max()),
    }
    said, _ = beside(furthest, UNSEEN_DB)
    message = (
        f"training draws levels from {low:.1f} to {high:.1f} dB, sampling asks the network at "
        f"{float(wanted.min()):.1f} to {float(wanted.max()):.1f} dB, at most {said} dB "
        f"from the nearest draw, right is under {UNSEEN_DB:.0f} dB"
    )
    curves = (_histogram(held, wanted),)
    if furthest <= UNSEEN_DB:
        return Finding("training levels", "ok", message, "", figures, curves)
    verdict: Severity = "wrong" if furthest > FAR_DB else "suspicious"
    return Finding(
        "training levels",
        verdict,
        f"{message}: what the network says at {level:.1f} dB it was never taught",
        "train on all levels (Stratified() or UniformDistribution() over 0..1), or let the sampler "
        f"leave out what lies beyond {low:.1f} to {high:.1f} dB",
        figures,
        curves,
    )


def check_batch_levels(times: Tensor) -> Finding:
    """Look at whether the clips of a batch have noise levels of their own.

    Args:
        times: Times of training batches `(batches, size)`.

    Raises:
        ValueError: If a batch has fewer than two clips, which tells nothing.
    """
    if times.ndim != 2 or times.shape[1] < 2:
        raise ValueError(
            f"times must be (batches, size) with a size of at least 2, got {tuple(times.shape)}"
        )
    distinct = sum(len(row.unique()) for row in times) / len(times)
    size = times.shape[1]
    figures = {"distinct_levels_a_batch": distinct, "batch_size": float(size)}
    message = (
        f"a batch of {size} clips has {distinct:.1f} different noise levels on average, right is "
        f"{size}"
    )
    if distinct >= size / 2:
        return Finding("levels of a batch", "ok", message, "", figures)
    return Finding(
        "levels of a batch",
        "suspicious",
        f"{message}: each step of training sees few levels, and the loss jumps about",
        "draw a time for each clip, as Stratified() does",
        figures,
    )


def _histogram(trained: Tensor, visited: Tensor) -> CurvePlot:
    edges = torch.arange(PURE_NOISE_DB, CLEAN_DB + BIN_DB, BIN_DB, dtype=torch.float64)
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    lines = {}
    for name, levels in (("training draws", trained), ("sampling asks", visited)):
        places = torch.bucketize(levels, edges[1:-1])
        share = torch.bincount(places, minlength=len(edges) - 1) / len(levels)
        lines[name] = (middles, share.tolist())
    return CurvePlot("levels of training and sampling", lines, False, "sound over noise (dB)",
                     "share")  # fmt: skip
