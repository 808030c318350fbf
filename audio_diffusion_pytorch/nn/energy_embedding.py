"""How loud a noisy signal is, as conditioning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 1e-4  # energy of silence: 40 dB below unit variance


class EnergyEmbedding(nn.Module):
    """Tells a network the energy of its input: of each channel over all positions, and of all.

    Normalisations divide the level of a signal out, and convolutions do not sum over its whole
    length. Yet under much noise these sums are what there is to see of it: how loud the clean
    signal is, and, where channels are frequencies, its spectrum. Starts by saying nothing.

    Shapes: `x (b, c, *t) -> (b, f)`; any lengths, summed before they are padded.

    Args:
        channels: Channels `c` of the input.
        features: Modulation features `f`.

    Source: this project; the squeeze of Hu et al. 2018, "Squeeze-and-Excitation Networks",
    arXiv 1709.01507, section 3.1, with log energies for means.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels + 1, features)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(b, f)` of `x (b, c, *t)`."""
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        energy = exact.square().flatten(2).mean(2)
        level = torch.cat([energy, energy.mean(1, keepdim=True)], 1).add(FLOOR).log()
        features: Tensor = self.out(F.silu(self.hidden(level.to(self.hidden.weight.dtype))))
        return features
