"""Whether a network's answer is read as it was taught."""

from __future__ import annotations

from collections.abc import Callable
from math import log10

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.observation import gaussian_diffusion, observe
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import NoiseSchedule, Parameterization

TIMES = 19
VALUES = 64
EXACT_DB = -100.0
"""Closed forms in float64 agree to -250 dB and better, also where a little error grows."""
ALIKE = 0.5
"""Cosine between what the loss teaches and what is read: 1 under the mean square, 0.8 under L1."""


def check_parameterization(
    parameterization: Parameterization, schedule: NoiseSchedule, seed: int = 0
) -> Finding:
    """Look at whether a perfect answer gives back the clean signal, at every level.

    `c_skip x + c_out target(clean, noise) = clean` is the meaning of the four coefficients. A wrong
    sign or a swapped pair of gains shows here, before any training.

    Args:
        parameterization: What the network says.
        schedule: What the times mean.
        seed: Of the signals.
    """
    generator = Generator().manual_seed(seed)
    clean, noise = torch.randn(2, TIMES, VALUES, generator=generator, dtype=torch.float64)
    times = torch.linspace(0.05, 0.95, TIMES, dtype=torch.float64)
    gains = schedule.alpha_sigma(times)
    c_skip, c_out, c_in, _ = (
        lift(part, clean) for part in parameterization.coefficients(times, *gains)
    )
    alpha, sigma = (lift(gain, clean) for gain in gains)
    noisy = alpha * clean + sigma * noise
    target = parameterization.target(clean, noise, alpha, sigma)

    def error_db(answer: Tensor) -> float:
        wrong = (c_skip * noisy + c_out * answer - clean).square().mean(1).sqrt()
        return 20 * log10(max(float(wrong.max()), 1e-15))

    error, opposite = error_db(target), error_db(-target)
    figures = {
        "error_db": error,
        "error_of_the_opposite_sign_db": opposite,
        "largest_input_rms": float((c_in * noisy).square().mean(1).sqrt().max()),
    }
    name = type(parameterization).__name__
    message = (
        f"a perfect network's answer is read back with an error of {error:.0f} dB, right is under "
        f"{EXACT_DB:.0f} dB"
    )
    if error <= EXACT_DB:
        return Finding("parameterization", "ok", message, "", figures)
    if opposite <= EXACT_DB:
        return Finding(
            "parameterization",
            "wrong",
            f"{message}: {name} teaches its target with the wrong sign",
            "turn the sign of the target or of c_out around: v is alpha noise - sigma clean and "
            "the clean signal is alpha x - sigma v, as in VPrediction",
            figures,
        )
    return Finding(
        "parameterization",
        "wrong",
        f"{message}: the coefficients of {name} do not undo its target",
        "derive c_skip and c_out from clean = c_skip x + c_out target, as in VPrediction",
        figures,
    )


def check_taught_target(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Look at whether the loss pulls the network's answer to where its reading takes it to be.

    The network is made to answer zero; the slope of the loss then points away from what is taught.

    Args:
        model: Has a `diffusion`, a `GaussianDiffusion`.
        clips: A few batched clips, audio `(b, c, t)`.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: If the objective is no `GaussianDiffusion`.
    """
    diffusion = gaussian_diffusion(model)
    taught: list[Tensor] = []
    times = torch.linspace(0.1, 0.9, len(clips.audio))
    seen = observe(model, clips, times, loss=_sloped(diffusion.net, loss, taught), seed=seed)
    wanted = seen.wanted.flatten(1).double()
    pulled = taught[0].flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(pulled, wanted, dim=1)
    mean, worst = float(cosine.mean()), float(cosine.min())
    figures = {"agreement": mean, "least_agreement": worst}
    message = (
        f"what the loss teaches and what is read from the answer agree by {mean:+.2f} on average, "
        f"{worst:+.2f} at the worst level, right is +1 (+0.80 under L1)"
    )
    if worst > ALIKE:
        return Finding("taught target", "ok", message, "", figures)
    if mean < -ALIKE:
        return Finding(
            "taught target",
            "wrong",
            f"{message}: the loss has the wrong sign",
            "let the loss compare the answer with parameterization.target(clean, noise, alpha, "
            "sigma), as GaussianDiffusion does",
            figures,
        )
    return Finding(
        "taught target",
        "wrong",
        f"{message}: the network is taught one thing and read as another",
        "train with the parameterization and schedule that the sampler reads",
        figures,
    )


def _sloped(net: nn.Module, loss: LossFunction, taught: list[Tensor]) -> LossFunction:
    """Return a loss that keeps where it pulls an answer of zero to, at each item."""

    def sloped(
        model: nn.Module, batch: Clip, generator: Generator, times: Tensor | None = None
    ) -> Tensor:
        answers: list[Tensor] = []

        def silent(_: nn.Module, __: object, said: Tensor) -> Tensor:
            answers.append(torch.zeros_like(said).requires_grad_())
            return answers[0]

        handle = net.register_forward_hook(_as_hook(silent))
        try:
            with torch.enable_grad():
                losses = loss(model, batch, generator, times)
                taught.append(-torch.autograd.grad(losses.sum(), answers[0])[0])
        finally:
            handle.remove()
        return losses.detach()

    return sloped


def _as_hook(hook: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return hook
