"""How strongly a condition moves the layers, beside the signal itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

CALIBRATED = (0.3, 3.0)
"""Where both are about as strong as one another: what a calibrated conditioner starts with."""

AUDIBLE = 0.03
"""Least gain that is not suspicious: label and text layers with torch's usual start have 0.04 to
0.2, signals put beside the noisy one 0.2 to 1, and what training made of them 0.5 to 2."""

INAUDIBLE = 0.02
"""One part in 50. DiffWave's published conditioner has 1 in 200 and is hardly ever heard."""

LOUD, DROWNED = 10.0, 100.0
"""From here on the condition, from there on nothing but the condition is heard."""

CHECK = "conditioner gain"


def conditioner_gain(
    signal_path: nn.Module, condition_path: nn.Module, run: Callable[[], object]
) -> Finding:
    """Compare what two modules, whose outputs are added, contribute.

    For those who know their network: the layer of the signal and the one of the condition. Of each
    the standard deviation over batch and positions counts, the mean over channels in the square: a
    bias contributes nothing.

    Args:
        signal_path: Such as the dilated convolution of a DiffWave block.
        condition_path: Such as the projection of its conditioner.
        run: Calls the network on a batch, conditions that differ among them.

    Raises:
        ValueError: One of the two was not called with 2 items or positions, or gives no tensor.
    """
    spreads: dict[str, list[float]] = {"signal_path": [], "condition_path": []}
    handles = [
        module.register_forward_hook(
            lambda _, __, out, found=spreads[name]: found.append(_deviation(out))
        )
        for name, module in (("signal_path", signal_path), ("condition_path", condition_path))
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    for name, found in spreads.items():
        if not found:
            raise ValueError(f"run() did not call {name}: pass the module that the network calls")
    signal, condition = (
        (sum(x * x for x in found) / len(found)) ** 0.5 for found in spreads.values()
    )
    gain = condition / max(signal, 1e-30)
    message = (
        f"the condition contributes {condition:.3g} beside {signal:.3g} of the signal, a gain of "
        f"{ratio(gain)}; {CALIBRATED[0]:g} to {CALIBRATED[1]:g} is right where both are added"
    )
    figures: dict[str, float | str] = {
        "gain": gain,
        "deviation of the condition": condition,
        "deviation of the signal": signal,
    }
    return judged(CHECK, gain, message, figures, "wrong")


def judged(
    check: str, gain: float, message: str, figures: dict[str, float | str], worst: Severity
) -> Finding:
    """Return what is to be said of a gain, at its worst `worst`."""
    if AUDIBLE <= gain <= LOUD:
        return Finding(check, "ok", message, "", figures)
    if gain < 1:
        change = f"about {1 / gain:.0f} times louder" if gain > 0 else "that are not zero"
    else:
        change = f"about {gain:.0f} times quieter"
    remedy = (
        "bring the condition to unit variance, or start the layer that lets it in with weights "
        f"{change}, so that it contributes as much as the signal"
    )
    verdict: Severity = "suspicious" if INAUDIBLE <= gain <= DROWNED else worst
    return Finding(check, verdict, message, remedy, figures)


def _deviation(out: Any) -> float:
    """Return the deviation over batch and positions, the root mean square over channels.

    Raises:
        ValueError: It is no tensor `(b, c, ...)` with two or more items or positions.
    """
    if not isinstance(out, Tensor) or out.ndim < 2 or out.numel() < 2 * out.shape[1]:
        came = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(
            f"a path must give tensors (b, c, ...) of 2 or more items or positions, got {came}: "
            "pass the module behind the sum's operand, and a batch"
        )
    rows = out.float().movedim(1, 0).flatten(1)
    return float(rows.var(1).mean().sqrt())


def ratio(gain: float) -> str:
    """Return a gain in two digits; a small one as a fraction, too."""
    return f"{gain:.2g}" if gain >= INAUDIBLE or gain == 0 else f"{gain:.2g} (1 in {1 / gain:.0f})"
