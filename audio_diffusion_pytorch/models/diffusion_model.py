"""A network, a diffusion method, a sampler and the space they work in, as one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.autoencoders.latents import LatentNormalizer
from audio_diffusion_pytorch.diffusion.guidance import ClassifierFreeGuidance
from audio_diffusion_pytorch.diffusion.objectives import VDiffusion
from audio_diffusion_pytorch.diffusion.samplers import VSampler
from audio_diffusion_pytorch.ops.random import randn
from audio_diffusion_pytorch.protocols import Autoencoder


class DiffusionModel(nn.Module):
    """Trains by `model(audio)`, makes sound by `model.sample(noise, num_steps)` or `generate`.

    Arguments are forwarded by prefix: `diffusion_*` to the method, `sampler_*` to the sampler, the
    rest to the network. The one network is also `diffusion.net` and `sampler.net`, but is saved
    once: `state_dict` holds it under `net.` only, and files with upstream's triple keys load.

    Args:
        net_t: Builds the network, such as `UNetV0`; called with `dim` and the rest.
        diffusion_t: Builds the training objective from `net=`.
        sampler_t: Builds the sampler from `net=`.
        loss_fn: `(prediction, target) -> scalar`, in place of the objective's own.
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
        sampler_t: Callable[..., nn.Module] = VSampler,
        loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
        dim: int = 1,
        *,
        autoencoder: Autoencoder | None = None,
        normalizer: LatentNormalizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        diffusion_arguments, kwargs = split_prefix("diffusion_", kwargs)
        sampler_arguments, kwargs = split_prefix("sampler_", kwargs)
        if loss_fn is not None:
            diffusion_arguments["loss_fn"] = loss_fn
        self.net = net_t(dim=dim, **kwargs)
        self.diffusion = diffusion_t(net=self.net, **diffusion_arguments)
        self.sampler = sampler_t(net=self.net, **sampler_arguments)
        self.dim = dim
        self.channels: int | None = kwargs.get("in_channels")
        if autoencoder is not None and normalizer is None:
            normalizer = LatentNormalizer(autoencoder.latent_channels)
        self.autoencoder = autoencoder
        self.normalizer = normalizer
        for parameter in getattr(autoencoder, "parameters", list)():
            parameter.requires_grad_(False)
        self.register_state_dict_post_hook(_keep_one_net)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_share_one_net)  # type: ignore[no-untyped-call]

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
        z = self.encode(x)
        if mask is not None:
            if self.autoencoder is not None and mask.shape[-1] == x.shape[-1]:
                mask = _frame_mask(mask, z.shape[-1], self.autoencoder.downsample_factor)
            kwargs["mask"] = mask
        loss: Tensor = self.diffusion(z, *args, **kwargs)
        return loss

    @torch.no_grad()
    def sample(self, x_noisy: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return clean audio from noise.

        Args:
            x_noisy: Unit-variance noise, `(b, c, t)` for raw audio, else of `latent_shape`.
            *args: As the sampler's `forward`: `num_steps`, `show_progress`.
            **kwargs: Likewise, and conditioning for the net.
        """
        training = self.training
        self.eval()
        try:
            clean: Tensor = self.sampler(x_noisy, *args, **kwargs)
            return self.decode(clean)
        finally:
            self.train(training)

    def generate(
        self,
        num_items: int,
        length: int,
        num_steps: int = 30,
        *,
        generator: Generator | None = None,
        noise: Tensor | None = None,
        guidance: float = 1.0,
        show_progress: bool = False,
        **cond: Any,
    ) -> Tensor:
        """Return `num_items` new sounds `(num_items, c, length)`.

        Args:
            num_items: How many.
            length: Samples each; any length, best near the training length.
            num_steps: Sampler steps, one net call each (on a doubled batch under guidance).
            generator: Makes the start noise repeatable; on the device of the model.
            noise: Start noise of `latent_shape(num_items, length)` instead of drawn noise.
            guidance: Scale of classifier-free guidance on `labels`; 1 is off.
            show_progress: Show a progress bar.
            **cond: For the net: `labels (num_items, k)`, ...

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
        if guidance != 1.0:
            labels = cond.get("labels")
            if labels is None:
                raise ValueError(
                    f"guidance {guidance:g} needs labels to follow, got none: pass labels or "
                    "guidance=1"
                )
            cond["guidance"] = ClassifierFreeGuidance(guidance)
            cond["null_cond"] = {"labels": torch.full_like(labels, -1)}
        sounds = self.sample(noise, num_steps, show_progress=show_progress, **cond)
        return sounds[..., :length]

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
            if self.channels is None:
                raise ValueError("the number of channels is unknown: pass in_channels to the model")
            return num_items, self.channels, length
        frames = -(-length // self.autoencoder.downsample_factor)
        return num_items, self.autoencoder.latent_channels, frames

    def encode(self, x: Tensor) -> Tensor:
        """Return what the diffusion works on: audio `(b, c, t)` encoded and normalised.

        Raises:
            ValueError: If the normaliser was not fitted, or the audio has other channels.
        """
        with torch.no_grad():
            z = x if self.autoencoder is None else self.autoencoder.encode(x)
        return z if self.normalizer is None else self.normalizer.normalize(z)

    def decode(self, z: Tensor) -> Tensor:
        """Return audio `(b, c, t)` of `z`: the inverse of `encode` up to the length.

        Raises:
            ValueError: If the normaliser was not fitted, or `z` has other channels.
        """
        if self.normalizer is not None:
            z = self.normalizer.denormalize(z)
        return z if self.autoencoder is None else self.autoencoder.decode(z)

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


def _frame_mask(mask: Tensor, frames: int, hop: int) -> Tensor:
    """Return which frames of `hop` samples hold any real one: `(b, 1, t)` -> `(b, 1, frames)`."""
    padded = torch.nn.functional.pad(mask, (0, frames * hop - mask.shape[-1]))
    blocks: Tensor = padded.unflatten(-1, (frames, hop))
    return blocks.amax(-1)


def split_prefix(
    prefix: str, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments that start with `prefix`, without it, and the others."""
    chosen = {k.removeprefix(prefix): v for k, v in arguments.items() if k.startswith(prefix)}
    others = {k: v for k, v in arguments.items() if not k.startswith(prefix)}
    return chosen, others


def _aliases(model: nn.Module) -> list[str]:
    """Return the names under which the one network is registered a second and third time."""
    net = model.net
    return [
        f"{part}.net."
        for part in ("diffusion", "sampler")
        if getattr(getattr(model, part), "net", None) is net
    ]


def _keep_one_net(
    module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: dict[str, Any]
) -> None:
    """Leave the copies of the network out of a state dict: savers refuse shared tensors."""
    del local_metadata
    aliases = tuple(prefix + alias for alias in _aliases(module))
    for key in [key for key in state if key.startswith(aliases)] if aliases else []:
        del state[key]


def _share_one_net(module: nn.Module, state: dict[str, Any], prefix: str, *unused: object) -> None:
    """Give every alias of the network the one copy that a state dict holds, whichever it is."""
    del unused
    names = [f"{prefix}net.", *(prefix + alias for alias in _aliases(module))]
    for source in names:
        found = {k.removeprefix(source): v for k, v in state.items() if k.startswith(source)}
        if found:
            state.update({name + key: value for key, value in found.items() for name in names})
            return
