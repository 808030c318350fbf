"""Write what audio-diffusion-pytorch 0.1.3 gives for AR diffusion and inpainting.

Run once, in a virtual environment of its own that holds the old release:

    pip install torch numpy audio-diffusion-pytorch==0.1.3
    python tools/make_upstream_constraints_golden.py tests/golden

It writes `upstream_constraints.npz`: for seeded draws and small closed-form nets the loss of
`ARVDiffusion`, the ladder and a sample of `ARVSampler`, and what `VInpainter` makes in one visit.
torchaudio is replaced by an empty module: the old package imports it but these parts do not use it.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


class LevelNet(nn.Module):
    """`(b, 3, t)` with the level last -> `(b, 2, t)`: looks at neighbours and mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.7))  # upstream asks its net for a device

    def forward(self, x: Tensor) -> Tensor:
        signal, level = x[:, :2], x[:, 2:]
        return torch.tanh(
            self.gain * signal + 0.3 * signal.roll(1, -1) - 0.2 * signal.flip(1) * level
        )


class TimeNet(nn.Module):
    """`(b, c, t)` and times `(b,)` -> `(b, c, t)`."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return torch.tanh(0.7 * x + 0.3 * x.roll(1, -1)) * (0.5 + time[:, None, None])


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    sys.modules.setdefault("torchaudio.transforms", types.ModuleType("transforms"))
    from audio_diffusion_pytorch.diffusion import ARVDiffusion, ARVSampler, VInpainter

    figures: dict[str, Tensor] = {}
    torch.manual_seed(0)
    clean = torch.randn(3, 2, 16)
    torch.manual_seed(1)
    figures["loss"] = ARVDiffusion(LevelNet(), length=16, num_splits=4)(clean)
    sampler = ARVSampler(LevelNet(), in_channels=2, length=16, num_splits=4)
    figures["ladder"] = sampler.get_sigmas_ladder(num_items=1, num_steps_per_split=3)
    for chunks in (4, 7):
        torch.manual_seed(2)
        figures[f"chunks_{chunks}"] = sampler(num_items=3, num_chunks=chunks, num_steps=12)
    mask = torch.arange(16).expand(3, 2, 16) % 5 < 2
    torch.manual_seed(3)
    figures["inpainted"] = VInpainter(TimeNet())(clean, mask, num_steps=6, num_resamples=1)
    arrays = {name: value.detach().numpy() for name, value in figures.items()}
    np.savez_compressed(folder / "upstream_constraints.npz", **arrays)


if __name__ == "__main__":
    main()
