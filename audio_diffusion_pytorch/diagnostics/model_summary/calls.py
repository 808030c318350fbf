"""How a model of whatever kind is run once, at a length of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .lengths import complaint_of
from .receptive_field import PLACES, Function

ModelCall = Callable[[nn.Module, int], Tensor]
"""`(model, samples) -> its answer`: runs a model forward once, for one clip."""


def clip_call(
    channels: int,
    *,
    loss: LossFunction = diffusion_loss,
    labels: Sequence[int] = (),
    time: float = 0.5,
) -> ModelCall:
    """Return how the loss of a clip of noise is asked of a model, as in training.

    Args:
        channels: Of the audio.
        loss: As in training.
        labels: Of the clip.
        time: Noise level in 0..1.
    """

    def call(model: nn.Module, length: int) -> Tensor:
        weight = next(model.parameters())
        audio = 0.1 * torch.randn(1, channels, length, generator=Generator().manual_seed(0))
        clip = Clip(
            audio.to(weight),
            torch.tensor([list(labels)]).long().to(weight.device),
            ["noise"],  # type: ignore[arg-type]  # batched
        )
        times = torch.full((1,), time, device=weight.device)
        return loss(model, clip, Generator(weight.device).manual_seed(0), times)

    return call


def network_call(channels: int, *, time: float = 0.5) -> ModelCall:
    """Return how a network `(x (b, c, t), time (b,))` is asked about noise."""

    def call(model: nn.Module, length: int) -> Tensor:
        weight = next(model.parameters())
        x = torch.randn(1, channels, length, generator=Generator().manual_seed(0)).to(weight)
        said: Tensor = model(x, torch.full((1,), time).to(weight))
        return said

    return call


def find_channels(model: nn.Module, make: Callable[[int], ModelCall], length: int) -> int:
    """Return the number of audio channels that a model takes, found by trying.

    Args:
        model: The model, or a network.
        make: `clip_call` or `network_call`.
        length: Samples to try with.

    Raises:
        ValueError: It takes none of 1, 2 and its own `in_channels`; says what it answered last.
    """
    own = getattr(model, "in_channels", None)
    said = ""
    for channels in dict.fromkeys([1, 2, *([own] if isinstance(own, int) else [])]):
        with torch.no_grad():
            complaint = complaint_of(partial(make(channels), model, length))
        if complaint is None:
            return channels
        said = said or complaint
    raise ValueError(
        f"{type(model).__name__} takes neither one nor two channels of {length} samples ({said}): "
        "try another length"
    )


class Captured(NamedTuple):
    """A call of a network."""

    net: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def network_of(model: nn.Module) -> nn.Module:
    """Return the network of a diffusion model; of anything else, itself."""
    net = getattr(getattr(model, "diffusion", None), "net", None)
    return net if isinstance(net, nn.Module) else model


def capture(model: nn.Module, call: ModelCall, length: int) -> Captured:
    """Run a model and return how its network was called."""
    net, found = network_of(model), []

    def note(_: nn.Module, args: Any, kwargs: Any) -> None:
        found.append(Captured(net, args, kwargs))

    handle = net.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with torch.no_grad():
            call(model, length)
    finally:
        handle.remove()
    if not found:
        raise ValueError(f"the call did not reach the network, a {type(net).__name__}")
    return found[0]


def in_its_space(captured: Captured, step: int = 1) -> tuple[Function, Tensor, Sequence[int]]:
    """Return a network as a function of its first input alone, that input, and places to look at.

    Args:
        captured: A call of the network.
        step: Positions between two places; an odd one finds every place that strides of 2 tell
            apart, or comes near it.
    """
    x: Tensor = captured.args[0]
    length = x.shape[-1]
    first = max(0, (length - PLACES * step) // 2)
    places = range(first, min(first + PLACES * step, length), step)

    def function(signal: Tensor) -> Tensor:
        said: Tensor = captured.net(signal, *captured.args[1:], **captured.kwargs)
        return said

    return function, x, places


def from_end_to_end(
    model: Any, captured: Captured, audio: Tensor
) -> tuple[Function, Tensor, Sequence[int]]:
    """Return a model behind a transform as a function from audio to audio, as in sampling.

    What the network is given beside the signal stays as it was captured.
    """
    autoencoder, normalizer = model.autoencoder, model.normalizer
    hop = int(autoencoder.downsample_factor)
    length = audio.shape[-1]
    step = hop + max(1, hop // PLACES)  # every place stands elsewhere in its frame
    first = max(0, (length - PLACES * step) // 2)
    places = range(first, min(first + PLACES * step, length), step)
    x: Tensor = captured.args[0]

    def function(sound: Tensor) -> Tensor:
        z = autoencoder.encode(sound)
        z = z if normalizer is None else normalizer.normalize(z)
        signal = torch.cat([z, x[:, z.shape[1] :]], 1)  # such as the levels of a model of parts
        said = captured.net(signal, *captured.args[1:], **captured.kwargs)[:, : z.shape[1]]
        said = said if normalizer is None else normalizer.denormalize(said)
        whole: Tensor = autoencoder.decode(said)[..., :length]
        return whole

    return function, audio, places
