"""What every sampler is."""

from __future__ import annotations

from torch import nn


class Sampler(nn.Module):
    """Base of the samplers: subclass it and give `forward(x_noisy, num_steps, **cond)`.

    Attributes:
        diffusion_types: The training methods whose nets it samples.
    """

    diffusion_types: list[type[nn.Module]] = []  # noqa: RUF012  upstream's attribute
