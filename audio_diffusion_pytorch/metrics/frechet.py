"""How far a set of sounds lies from another: the distance between the Gaussians of their features.

Unlike the distance of a pair it sees variety: a set of equal sounds is far from the data even if
each is perfect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.random import check_generator


class Moments(NamedTuple):
    """Mean `(d,)` and unbiased covariance `(d, d)` of features, float64."""

    mean: Tensor
    covariance: Tensor


@torch.no_grad()
def feature_moments(features: Tensor) -> Moments:
    """Return the moments of `features (n, d)`, in float64.

    Raises:
        ValueError: If there are fewer than two items, or one is not finite.
    """
    return _Running().add(features).moments()


@torch.no_grad()
def gaussian_frechet_distance(real: Moments, generated: Moments) -> float:
    """Return the squared Frechet distance of two Gaussians, given by their moments.

        (m - m')^2 + trace(C + C' - 2 (C^(1/2) C' C^(1/2))^(1/2))

    The last trace is the sum of the singular values of `C^(1/2) C'^(1/2)`, so that nothing is
    inverted and no square root is taken of a difference: covariances without full rank (few items,
    constant features) are as exact as others. Symmetric; 0 for equal moments.

    Raises:
        ValueError: If the dimensions differ.

    Source: Dowson and Landau 1982, "The Frechet distance between multivariate normal
    distributions"; as a score of sounds Kilgour et al. 2018, arXiv 1812.08466.
    """
    if real.mean.shape != generated.mean.shape:
        raise ValueError(
            f"both sets must have the same features, got {len(real.mean)} and "
            f"{len(generated.mean)} of them: embed both alike"
        )
    moved = (real.mean - generated.mean).square().sum()
    shared = torch.linalg.svdvals(_root(real.covariance) @ _root(generated.covariance)).sum()
    total = real.covariance.trace() + generated.covariance.trace()
    return max(0.0, float(moved + total - 2 * shared))


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Return the squared Frechet distance between Gaussians fitted to two sets of features.

    Too high for small sets, by some `(d + d^2 / 4) (1 / n + 1 / m)` variances of a feature: compare
    sets of one size only, or use `frechet_distance_without_bias`.

    Args:
        real: Features `(n, d)`, at least 2 items; a few times `d` for a good estimate.
        generated: Features `(m, d)`.

    Raises:
        ValueError: If a shape is wrong, there are fewer than two items, or one is not finite.
    """
    return gaussian_frechet_distance(feature_moments(real), feature_moments(generated))


@torch.no_grad()
def frechet_distance_without_bias(
    real: Tensor, generated: Tensor, num_sizes: int = 12, generator: Generator | None = None
) -> float:
    """Return the distance that endlessly many items would have, by extrapolation.

    Distances of random parts of both sets, from a quarter of the items to all of them, lie near a
    straight line over `1 / items`; its value at 0 is the estimate, which may be slightly below 0.

    Args:
        real: Features `(n, d)`, at least 8 items.
        generated: Features `(m, d)`, at least 8 items.
        num_sizes: Points on the line, 2 or more.
        generator: Chooses the parts; on the CPU.

    Raises:
        ValueError: If there are fewer than 8 items or 2 points; as `frechet_distance`.

    Source: Chong and Forsyth 2020, arXiv 1911.07023 (parts of the generated set only),
    and Gui et al. 2023, arXiv 2311.01616, for sounds.
    """
    if min(len(real), len(generated)) < 8 or num_sizes < 2:
        raise ValueError(
            "extrapolating needs at least 8 items in each set and 2 sizes, got "
            f"{len(real)} and {len(generated)} items and {num_sizes} sizes"
        )
    check_generator(generator, torch.device("cpu"))
    inverse = torch.linspace(4.0, 1.0, num_sizes, dtype=torch.float64)
    found = []
    for one in inverse.tolist():
        parts = []
        for features in (real, generated):
            chosen = torch.randperm(len(features), generator=generator)[
                : round(len(features) / one)
            ]
            parts.append(features[chosen.to(features.device)])
        found.append(frechet_distance(*parts))
    design = torch.stack([torch.ones_like(inverse), inverse], 1)
    values = torch.tensor(found, dtype=torch.float64)[:, None]
    return float(torch.linalg.lstsq(design, values).solution[0, 0])


class FrechetDistance:
    """Squared Frechet distance between generated and real sounds; answers `Metric`.

    Keeps running moments only, so that sets of any size fit.

    Args:
        embed: From sounds to features `(b, d)`, such as `SpectralEmbedding(16000)`; None: `update`
            is given features.

    >>> distance = FrechetDistance()
    >>> distance.update(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
    >>> distance.compute()
    9.0
    """

    def __init__(self, embed: Callable[[Tensor], Tensor] | None = None) -> None:
        self.embed = embed
        self.reset()

    def reset(self) -> None:
        """Forget every sound."""
        self.generated, self.real = _Running(), _Running()

    def update(self, generated: Tensor, real: Tensor) -> None:
        """Add `generated` and `real` sounds; their numbers may differ, and one may be 0.

        Raises:
            ValueError: If features are not `(b, d)`, of one `d` throughout, and finite.
        """
        for running, sounds in ((self.generated, generated), (self.real, real)):
            if len(sounds):
                running.add(sounds if self.embed is None else self.embed(sounds))

    def compute(self) -> float:
        """Return the squared distance; NaN before two sounds of each kind."""
        if min(self.generated.count, self.real.count) < 2:
            return float("nan")
        return gaussian_frechet_distance(self.real.moments(), self.generated.moments())


class _Running:
    """Mean and sum of squared deviations, joined batch by batch without losing digits.

    Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances".
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.scatter = torch.zeros(0, dtype=torch.float64)

    def add(self, features: Tensor) -> _Running:
        if features.ndim != 2 or (self.count and features.shape[1] != len(self.mean)):
            wanted = f"(b, {len(self.mean)})" if self.count else "(b, d)"
            raise ValueError(f"features must have shape {wanted}, got {tuple(features.shape)}")
        if not bool(features.isfinite().all()):
            raise ValueError("features must be finite, got NaN or infinity: check the sounds")
        exact = features.detach().to("cpu", torch.float64)
        count, mean = len(exact), exact.mean(0)
        scatter = (exact - mean).T @ (exact - mean)
        if self.count == 0:
            self.count, self.mean, self.scatter = count, mean, scatter
            return self
        total, move = self.count + count, mean - self.mean
        self.scatter = self.scatter + scatter + move.outer(move) * (self.count * count / total)
        self.mean = self.mean + move * (count / total)
        self.count = total
        return self

    def moments(self) -> Moments:
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 items, got {self.count}")
        return Moments(self.mean, self.scatter / (self.count - 1))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; what rounding made of zero eigenvalues is zero again."""
    values, vectors = torch.linalg.eigh(covariance)
    smallest = values[-1:].clamp_min(0) * len(values) * torch.finfo(values.dtype).eps
    roots = torch.where(values > smallest, values, 0.0).sqrt()
    root: Tensor = (vectors * roots) @ vectors.T
    return root
