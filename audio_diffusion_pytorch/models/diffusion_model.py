"""A network, a diffusion method, a sampler and the space they work in, as one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.autoencoders.latents import LatentNormalizer
from audio_diffusion_pytorch.diffusion.noise import BrownianNoise, GaussianNoise
from audio_diffusion_pytorch.diffusion.objectives import VDiffusion
from audio_diffusion_pytorch.diffusion.samplers import VSampler
from audio_diffusion_pytorch.ops.random import randn
from audio_diffusion_pytorch.protocols import (
    Autoencoder,
    Constraint,
    Grid,
    Guidance,
    NoiseSource,
    Solver,
)
from audio_diffusion_pytorch.serialization import Pretrained

from .one_network import save_network_once
from .parts import evaluating, frame_mask, guided, make_sampler, naming_arguments, split_prefix


class DiffusionModel(Pretrained, nn.Module):
    """Trains by `model(audio)`, makes sound by `model.sample(noise, num_steps)` or `generate`.

    Arguments are forwarded by prefix: `diffusion_*` to the method, `sampler_*` to the sampler, the
    rest to the network. The one network is also `diffusion.net` and `sampler.net`, but is saved
    once: `state_dict` holds it under `net.` only, and files with upstream's triple keys load.

    Args:
        net_t: Builds the network, such as `UNetV0`; called with `dim` and the rest.
        diffusion_t: Builds the training objective from `net=`.
        sampler_t: Builds the sampler from `net=`; or `DiffusionSampler`, which gets the objective
            itself and stands in for the default `VSampler` where that cannot sample what the
            objective trains (an objective that has a `denoiser` and is no `VDiffusion`). Both take
            `sampler_solver`.
        loss_fn: `(prediction, target) -> scalar`, in place of the objective's own; the default,
            torch's `mse_loss`, leaves that as it is. An integer in this place is `dim`, which
            stood here in 0.1.3.
        dim: Axes after the channels: 1 audio or latents, 2 spectrograms.
        autoencoder: The space to diffuse in, such as `MDCT(128)`; frozen here. None is raw audio.
        normalizer: Scales that space; by default a `LatentNormalizer` where there is an
            autoencoder, none on raw audio. Fit it by `fit_normalizer`.
        **kwargs: By prefix, see above.

    Shapes: audio `(b, c, t)` in -1..1; any length.

    Raises:
        TypeError: If a name fits none of the parts.
    """

    def __init__(
        self,
        net_t: Callable[..., nn.Module],
        diffusion_t: Callable[..., nn.Module] = VDiffusion,
        sampler_t: Callable[..., nn.Module] | None = VSampler,
        loss_fn: Callable[..., Tensor] | int | None = F.mse_loss,
        dim: int = 1,
        *,
        autoencoder: Autoencoder | None = None,
        normalizer: LatentNormalizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        diffusion_arguments, kwargs = split_prefix("diffusion_", kwargs)
        sampler_arguments, kwargs = split_prefix("sampler_", kwargs)
        if isinstance(loss_fn, int):  # release 0.1.3 had `dim` in this place
            dim, loss_fn = loss_fn, None
        if loss_fn not in (None, F.mse_loss):
            diffusion_arguments["loss_fn"] = loss_fn
        with naming_arguments("", kwargs):
            self.net = net_t(dim=dim, **kwargs)
        with naming_arguments("diffusion_", diffusion_arguments):
            self.diffusion = diffusion_t(net=self.net, **diffusion_arguments)
        with naming_arguments("sampler_", sampler_arguments):
            self.sampler = make_sampler(sampler_t, self.net, self.diffusion, sampler_arguments)
        self.dim = dim
        # Not `channels`: a subclass written for 0.1.3 may call something of its own so.
        self._audio_channels: int | None = kwargs.get("in_channels")
        if autoencoder is not None and normalizer is None:
            normalizer = LatentNormalizer(autoencoder.latent_channels)
        self.autoencoder = autoencoder
        self.normalizer = normalizer
        for parameter in getattr(autoencoder, "parameters", list)():
            parameter.requires_grad_(False)
        save_network_once(self)

    def forward(self, x: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Return the loss of clean audio.

        Args:
            x: Audio `(b, c, t)`.
            *args: As the objective's `forward`.
            mask: `(b, 1, t)`, True (or 1) where the sound is real, False where it is padding. With
                an autoencoder a latent frame counts as real if any of its samples is; a mask of
                the latents' own frames `(b, 1, frames)` is taken as it is.
            **kwargs: As the objective's `forward`: `generator`, `reduction`, `labels`, ...

        Raises:
            ValueError: If the mask fits neither the audio nor its latents; as the objective.
        """
        z = self.to_space(x)
        if mask is not None:
            if self.autoencoder is not None and mask.shape[-1] == x.shape[-1]:
                mask = frame_mask(mask, z.shape[-1], self.autoencoder.downsample_factor)
            kwargs["mask"] = mask
        loss: Tensor = self.diffusion(z, *args, **kwargs)
        return loss

    @torch.no_grad()
    def sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return clean audio from noise.

        Args:
            *args: As the sampler's `forward`: first the unit-variance noise, `(b, c, t)` for raw
                audio, else of `latent_shape`; then `num_steps`, `show_progress`.
            **kwargs: Likewise (`solver`, `grid`, `guidance`, `constraint`, ...), and conditioning
                for the net; `generator`, on the device of the model, for the noise of a stochastic
                solver or of a sampler that draws some itself.
        """
        if self._takes_noise() and (generator := kwargs.pop("generator", None)) is not None:
            path = self._path(generator, kwargs.get("constraint"))
            kwargs |= {} if path is None or "noise" in kwargs else {"noise": path}
        with evaluating(self):
            clean: Tensor = self.sampler(*args, **kwargs)
            return self.from_space(clean)

    def generate(
        self,
        num_items: int,
        length: int,
        num_steps: int = 30,
        *,
        generator: Generator | None = None,
        noise: Tensor | None = None,
        guidance: float | Guidance = 1.0,
        solver: Solver | None = None,
        grid: Grid | None = None,
        step_noise: NoiseSource | None = None,
        show_progress: bool = False,
        **cond: Any,
    ) -> Tensor:
        """Return `num_items` new sounds `(num_items, c, length)`.

        Args:
            num_items: How many.
            length: Samples each; any length, best near the training length.
            num_steps: Sampler steps, `solver.net_calls` net calls each (on a doubled batch under
                guidance).
            generator: Makes the start noise repeatable, and that of a stochastic solver after it;
                on the device of the model.
            noise: Start noise of `latent_shape(num_items, length)` instead of drawn noise.
            guidance: Scale of classifier-free guidance on `labels` and `text`, 1 is off; or any
                guidance, such as `Rescale(ClassifierFreeGuidance(3.0))`. No label and no text at
                all is what it moves away from, unless `null_cond` is given.
            solver: Makes the steps, such as `DPMpp2M()`; default the sampler's own.
            grid: The times to visit; default the sampler's own.
            step_noise: Gives a stochastic solver its noise, such as `BrownianNoise`; default from
                `generator`.
            show_progress: Show a progress bar.
            **cond: For the net: `labels (num_items, k)`, `text`, a string for each, or one, ...

        Raises:
            ValueError: If a count or length is below 1, the channels are not known, or the model
                is not of one axis (`dim=1`).
        """
        if num_items < 1 or length < 1:
            raise ValueError(
                f"generate needs at least 1 item of at least 1 sample, got {num_items} of {length}"
            )
        weights = next(self.parameters())
        shape = self.latent_shape(num_items, length)
        if noise is None:
            noise = randn(shape, generator=generator, device=weights.device, dtype=weights.dtype)
        elif noise.shape != shape:
            raise ValueError(f"noise must be {shape} for this request, got {tuple(noise.shape)}")
        if step_noise is None and generator is not None:
            step_noise = self._path(generator, cond.get("constraint"))
        chosen = {"solver": solver, "grid": grid, "noise": step_noise}
        cond |= {name: part for name, part in chosen.items() if part is not None}
        if isinstance(cond.get("text"), str):
            cond["text"] = [cond["text"]] * num_items
        cond |= guided(guidance, cond)
        if show_progress:  # a sampler of one's own need not know the word
            cond["show_progress"] = True
        # Models that are conditioned on a sound have a `sample` of their own, which calls this.
        sounds = DiffusionModel.sample(self, noise, num_steps=num_steps, **cond)
        return sounds[..., :length]

    def _path(self, generator: Generator, constraint: Constraint | None) -> NoiseSource | None:
        """Return what a stochastic solver draws from a generator: one path, whatever the steps.

        A constraint may come to a level twice and wants fresh noise there; samplers that are not
        ours may take none.
        """
        schedule = getattr(self.diffusion, "schedule", None)
        if not self._takes_noise() or schedule is None:
            return None
        if constraint is not None:
            return GaussianNoise(generator)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        return BrownianNoise(schedule, int(seed))

    def _takes_noise(self) -> bool:
        """Return whether the sampler can be given the noise of a stochastic solver."""
        return "noise" in signature(self.sampler.forward).parameters

    def latent_shape(self, num_items: int, length: int) -> tuple[int, ...]:
        """Return the shape of the noise that becomes `num_items` sounds of `length` samples.

        Raises:
            ValueError: On raw audio, if the model was made without `in_channels`; if `dim` is
                not 1, as a length alone then gives no shape.
        """
        if self.dim != 1:
            axes = ", ".join(["n", "c", "t", "u", "v"][: 2 + self.dim])
            raise ValueError(
                f"generate makes sounds of one axis, got a model with dim={self.dim}: call "
                f"model.sample(noise, num_steps) with noise of shape ({axes})"
            )
        if self.autoencoder is None:
            if self._audio_channels is None:
                raise ValueError("the number of channels is unknown: pass in_channels to the model")
            return num_items, self._audio_channels, length
        frames = -(-length // self.autoencoder.downsample_factor)
        return num_items, self.autoencoder.latent_channels, frames

    def to_space(self, x: Tensor) -> Tensor:
        """Return what the diffusion works on: audio `(b, c, t)` encoded and normalised.

        Raises:
            ValueError: If the normaliser was not fitted, or the audio has other channels.
        """
        with torch.no_grad():
            z = x if self.autoencoder is None else self.autoencoder.encode(x)
        return z if self.normalizer is None else self.normalizer.normalize(z)

    def from_space(self, z: Tensor) -> Tensor:
        """Return audio `(b, c, t)` of `z`: the inverse of `to_space` up to the length.

        Raises:
            ValueError: If the normaliser was not fitted, or `z` has other channels.
        """
        if self.normalizer is not None:
            z = self.normalizer.denormalize(z)
        return z if self.autoencoder is None else self.autoencoder.decode(z)

    def encode(self, x: Tensor) -> Tensor:
        """Return `to_space(x)`; a model with an encoder of its own gives what that says."""
        return self.to_space(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return `from_space(z)`; a model with an encoder of its own decodes what that says."""
        return self.from_space(z)

    def fit_normalizer(self, batches: Iterable[Tensor]) -> None:
        """Fit the normaliser on batches of clean audio `(b, c, t)`; nothing to do without one.

        Raises:
            ValueError: If there is no batch, or it holds only silence, NaN or infinity.
        """
        if self.normalizer is None:
            return
        autoencoder = self.autoencoder
        with torch.no_grad():
            self.normalizer.fit(
                x if autoencoder is None else autoencoder.encode(x) for x in batches
            )
