"""What a clamp or a threshold cuts off: of the noise that sampling starts from, of the sounds."""

from __future__ import annotations

from math import erfc, sqrt

from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity

CUT, MUCH_CUT = 0.001, 0.02
"""Share of values that a bound changes: one in a thousand is heard by nobody, one in fifty is."""


def check_start_noise(limit: float | None, std: float = 1.0) -> Finding:
    """Look at how much of the noise that sampling starts from lies beyond a bound on the state.

    Args:
        limit: The bound, `-limit..limit`; None where there is none.
        std: Standard deviation of the start: 1, or an exploding schedule's largest sigma.
    """
    share = 0.0 if limit is None else erfc(limit / (std * sqrt(2)))
    bound = "no bound" if limit is None else f"a bound at +-{limit:.3g}"
    cut = f"{100 * share:.1f} %"
    message = f"{bound} on the noisy signal cuts {cut} of the start noise, right is 0 %"
    figures = {"cut_share": share, "start_std": std}
    if share <= CUT:
        return Finding("start noise", "ok", message, "", figures)
    verdict: Severity = "wrong" if share > MUCH_CUT else "suspicious"
    return Finding(
        "start noise",
        verdict,
        message,
        "take the clamp off the noisy signal; if one is needed, bound the guess of the clean "
        "sound: guidance=DynamicThreshold()",
        figures,
    )


def check_clean_bound(limit: float, data: Tensor) -> Finding:
    """Look at how much of the data lies beyond a bound on the guess of the clean signal.

    Args:
        limit: The bound, `-limit..limit`.
        data: Clean signals in the space of the diffusion.
    """
    size = data.detach().abs()
    share, highest = float((size > limit).double().mean()), float(size.max())
    message = (
        f"a bound at +-{limit:.3g} on the clean signal cuts {100 * share:.1f} % of the data, whose "
        f"values go to {highest:.3g}, right is 0 %"
    )
    figures = {"cut_share": share, "largest_value": highest}
    if share <= CUT:
        return Finding("clean bound", "ok", message, "", figures)
    verdict: Severity = "wrong" if share > MUCH_CUT else "suspicious"
    return Finding(
        "clean bound",
        verdict,
        message,
        f"take the bound off (dynamic_threshold=None) or set limit={highest:.3g}",
        figures,
    )
