"""Write the reference outputs of the 0.0.x samplers that the tests compare with.

Run once, in a virtual environment of its own that holds the old release:

    pip install torch numpy audio-diffusion-pytorch==0.0.96
    python tools/make_old_samplers_golden.py tests/golden

It writes `old_samplers.npz`, all float64 and small: for each case the start noise, the sigmas, the
noise of every step and the result. The denoiser is the exact one of a mixture of two Gaussians,
`0.5 N(-0.6, 0.5^2) + 0.5 N(0.6, 0.4^2)`, but for `vk`, which is the whole chain of the release on
the net `F(x, time) = 0.3 x + time - 0.2`. The old samplers walk one step less than they are asked
for; `num_steps` below is what they were given.
"""

from __future__ import annotations

import argparse
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# The release imports torchaudio, which its samplers do not use.
stub = types.ModuleType("torchaudio")
stub.transforms = types.ModuleType("torchaudio.transforms")  # type: ignore[attr-defined]
sys.modules |= {"torchaudio": stub, "torchaudio.transforms": stub.transforms}

from audio_diffusion_pytorch import diffusion as old  # noqa: E402

MIXTURE = ((0.5, -0.6, 0.5), (0.5, 0.6, 0.4))  # share, mean, deviation


def denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
    """Return E[x0 | x] for x = x0 + sigma noise."""
    sigma = float(sigma)
    parts = []
    for share, mean, std in MIXTURE:
        variance = std**2 + sigma**2
        density = share * torch.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(variance)
        parts.append((density, mean + std**2 / variance * (x - mean)))
    total = sum(density for density, _ in parts)
    return sum(density * guess for density, guess in parts) / total


def net(x: Tensor, time: Tensor) -> Tensor:
    """Return the answer of the net of the `vk` chain."""
    return 0.3 * x + time[:, None, None] - 0.2


def recorded(call: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Return what the call gives, and all the noise it drew on the way."""
    draws: list[Tensor] = []
    draw = torch.randn_like

    def remember(x: Tensor) -> Tensor:
        draws.append(draw(x))
        return draws[-1]

    torch.randn_like = remember
    try:
        return call(), torch.stack(draws)
    finally:
        torch.randn_like = draw


def run(sampler: torch.nn.Module, sigmas: list[float], num_steps: int) -> dict[str, Tensor]:
    """Return the figures of one sampler on the mixture."""
    noise, levels = torch.randn(2, 1, 16), torch.tensor(sigmas)
    result, draws = recorded(lambda: sampler(noise, fn=denoise, sigmas=levels, num_steps=num_steps))
    return {"noise": noise, "sigmas": levels, "draws": draws, "result": result}


class Karras64(old.KarrasSchedule):
    """The old schedule, its float32 figures handed on in float64."""

    def forward(self, num_steps: int, device: torch.device) -> Tensor:
        """Return the sigmas."""
        return super().forward(num_steps, device).double()


def run_chain() -> dict[str, Tensor]:
    """Return the figures of the whole old chain: method, schedule, sampler."""
    noise = torch.randn(2, 1, 16)
    method = old.VKDiffusion(net, sigma_distribution=old.UniformDistribution())
    schedule = Karras64(sigma_min=0.05, sigma_max=10.0, rho=7.0)
    chain = old.DiffusionSampler(
        method, sampler=old.AEulerSampler(), sigma_schedule=schedule, num_steps=12, clamp=False
    )
    result, draws = recorded(lambda: chain(noise))
    return {
        "noise": noise, "sigmas": schedule(12, "cpu"), "draws": draws, "result": result
    }  # fmt: skip


def main() -> None:
    """Write all cases into the folder given as the only argument."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to, such as tests/golden")
    folder = parser.parse_args().folder
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    falling = [10 * 0.6**i for i in range(10)]
    cases = {
        "aeuler": run(old.AEulerSampler(), [*falling, 0.0], 10),
        "adpm2": run(old.ADPM2Sampler(), [*falling, 0.0], 10),
        "adpm2_rho3": run(old.ADPM2Sampler(rho=3.0), [*falling, 0.0], 10),
        # Only the step to 0 of the old KarrasSampler was right; of two steps asked for, it is one.
        "karras_churn": run(old.KarrasSampler(s_churn=0.6, s_noise=1.003), [2.0, 0.0], 2),
        "karras_capped": run(old.KarrasSampler(s_churn=40.0), [2.0, 0.0], 2),
        "karras_outside": run(old.KarrasSampler(s_churn=0.6, s_tmin=3.0), [2.0, 0.0], 2),
        "vk": run_chain(),
    }
    unmoved = run(old.KarrasSampler(), [*falling, 0.0], 10)
    moved = (unmoved["result"] - unmoved["sigmas"][0] * unmoved["noise"]).abs().max()
    print(f"the old KarrasSampler without churn moves its start noise by {moved:g}")
    figures = {
        f"{case}/{name}": value.double().numpy()
        for case, arrays in cases.items()
        for name, value in arrays.items()
    }
    np.savez_compressed(folder / "old_samplers.npz", **figures)
    for case, arrays in cases.items():
        print(f"{case}: result rms {arrays['result'].square().mean().sqrt():.4f}")


if __name__ == "__main__":
    main()
