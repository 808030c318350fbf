"""A sampler that cuts what it samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

from .recording import Trajectory
from .words import figure, percent

CLAMPED, CLAMPED_WRONG = 0.001, 0.01
"""Share of values at a bound: a clamp at three standard deviations cuts 0.27 %, at one 31.7 %. In
free signals a few values in a million are equal."""


def check_clamped_state(trajectory: Trajectory, clean: Tensor) -> Finding:
    """Find a sampler that cuts its state, or a finished signal that the data go beyond ("clamp").

    Args:
        trajectory: The calls of a sampler.
        clean: Real clips in the space of the diffusion.
    """
    shares = [bound_share(call.state) for call in trajectory.calls]
    worst = max(range(len(shares)), key=shares.__getitem__)
    state = trajectory.calls[worst].state
    largest = float(clean.abs().max())
    figures: dict[str, float | str] = {
        "state values at a bound, share": shares[worst],
        "at network call": float(worst + 1),
        "bound": figure(float(state.abs().max())),
        "largest magnitude of real clips": largest,
    }
    advice = (
        "do not clamp what is sampled: to hold guesses of the clean signal in range use "
        f"guidance=StaticThreshold(limit={math.ceil(largest * 10) / 10:g}), which leaves the noise "
        "alone"
    )
    if shares[worst] >= CLAMPED:
        verdict: Severity = "wrong" if shares[worst] >= CLAMPED_WRONG else "suspicious"
        message = (
            f"{percent(shares[worst])} of the state's values lie exactly at the bounds "
            f"{float(state.min()):.3g} and {float(state.max()):.3g} at network call {worst + 1} of "
            f"{len(shares)}, right is 0 %: the sampler clamps its state and with it the noise"
        )
        return Finding("clamped state", verdict, message, advice, figures)
    finished = trajectory.finished
    cut = 0.0 if finished is None else bound_share(finished.float())
    if finished is not None and cut >= CLAMPED:
        low, high = float(finished.min()), float(finished.max())
        beyond = float(((clean > high) | (clean < low)).double().mean())
        figures |= {"finished values at a bound, share": cut, "real values beyond it": beyond}
        if beyond >= CLAMPED:
            verdict = "wrong" if beyond >= CLAMPED_WRONG else "suspicious"
            message = (
                f"what the sampler gives is cut at {low:.3g} and {high:.3g}, {percent(cut)} of its "
                f"values lie there, but {percent(beyond)} of the values of real clips lie beyond, "
                f"up to {largest:.3g}"
            )
            return Finding("clamped state", verdict, message, advice, figures)
    message = (
        f"at most {percent(shares[worst])} of the state's values are equal to its largest or "
        f"smallest (right is under {percent(CLAMPED)}): nothing clamps it"
    )
    return Finding("clamped state", "ok", message, "", figures)


def bound_share(x: Tensor) -> float:
    """Return the mean share of an item's values that lie exactly at its largest or smallest.

    One value each way is free; rounding is forgiven. A constant item counts as 0: nothing was cut
    from it.

    Args:
        x: `(b, ...)`.
    """
    rows = x.detach().flatten(1).double()
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    slack = 1e-5 * torch.maximum(low.abs(), high.abs())
    at_high, at_low = (rows >= high - slack).sum(1), (rows <= low + slack).sum(1)
    cut = (at_high - 1).clamp_min(0) + (at_low - 1).clamp_min(0)
    varied = (high - low > slack)[:, 0]
    return float(torch.where(varied, cut / rows.shape[1], torch.zeros_like(low[:, 0])).mean())
