"""Mel spectra of a sound: what a vocoder is told."""

from __future__ import annotations

import warnings
from math import log
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.ops.griffin_lim import griffin_lim, mel_to_magnitudes
from audio_diffusion_pytorch.ops.mel import (
    cached_filter_bank,
    check_sizes,
    mel_filter_bank,
    mel_spectrogram,
)
from audio_diffusion_pytorch.ops.padding import reflect_pad

_LEAST_LOG = 1e-5  # of a magnitude: what is below counts as this
_LEAST_ROOT = 1e-30  # keeps the gradient of a fourth root finite in silence


class MelSpectrogram(nn.Module):
    """Mel magnitudes of a sound, one frame per `hop_length` samples, with no weights.

    Frame `i` is centred on the middle of samples `i * hop_length` to `(i + 1) * hop_length`; at its
    ends the sound goes on as its mirror image, however short it is. Computed in float32 at least.

    Shapes: `(..., t)` -> `(..., n_mel_channels, frames)` with `max(1, t // hop_length)` frames, or
    `ceil(t / hop_length)` with `keep_tail`.

    Args:
        n_fft: Frame length in samples.
        hop_length: Samples between frames.
        win_length: Length of the Hann window in the middle of a frame.
        sample_rate: Hz.
        n_mel_channels: Bands, evenly spaced in mel from 0 Hz to half the sample rate.
        center: Centre the first frame on the start of the mirrored sound instead, half a frame
            earlier, and add frames accordingly: `1 + (t + n_fft - hop_length) // hop_length`.
        normalize: Divide by the item's maximum, over its channels, take the fourth root, and scale
            to -1..1; silence is -1. The first of three or more axes, or of two, counts the items.
        normalize_log: Take the natural logarithm, of 1e-5 at least.
        keep_tail: Give a last piece shorter than `hop_length` a frame of its own.

    Raises:
        ValueError: If the sizes do not fit one another, or the sound is empty.

    Source: the vocoder's input in audio-diffusion-pytorch 0.1, whose numbers these are, but for
    `normalize`, which there divided by the maximum of the whole batch.
    """

    def __init__(
        self,
        n_fft: int,
        hop_length: int,
        win_length: int,
        sample_rate: int,
        n_mel_channels: int,
        center: bool = False,
        normalize: bool = False,
        normalize_log: bool = False,
        *,
        keep_tail: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(n_fft, hop_length, win_length)
        if hop_length > n_fft:
            raise ValueError(
                f"hop_length must be at most n_fft={n_fft}, got {hop_length}: samples between "
                "frames would not count"
            )
        bank = mel_filter_bank(n_fft // 2 + 1, n_mel_channels, sample_rate)
        if empty := int((bank == 0).all(0).sum()):
            warnings.warn(
                f"{empty} of {n_mel_channels} mel channels lie between two bins of n_fft={n_fft} "
                f"at {sample_rate} Hz and are always 0: use fewer channels or a larger n_fft",
                stacklevel=2,
            )
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.win_length = win_length
        self.sample_rate = sample_rate
        self.n_mel_channels = n_mel_channels
        self.center = center
        self.normalize = normalize
        self.normalize_log = normalize_log
        self.keep_tail = keep_tail
        self.padding = (n_fft - hop_length) // 2
        self.register_load_state_dict_pre_hook(_drop_upstream_buffers)  # type: ignore[no-untyped-call]

    def num_frames(self, length: int) -> int:
        """Return the frames of `length` samples, when not centred."""
        rest = self.hop_length - 1 if self.keep_tail else 0
        return max(1, (length + rest) // self.hop_length)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the mel spectra `(..., n_mel_channels, frames)` of `(..., t)`."""
        if waveform.numel() == 0:
            shape = tuple(waveform.shape)
            raise ValueError(f"a mel spectrogram needs at least one sample, got shape {shape}")
        exact = waveform.to(torch.promote_types(waveform.dtype, torch.float32))
        padding = self._padding(waveform.shape[-1])
        if self.center:
            exact, padding = reflect_pad(exact, *padding), (self.n_fft // 2, self.n_fft // 2)
        mel = mel_spectrogram(
            exact, self._bank(exact), self.n_fft, self.hop_length, self.win_length, padding
        )
        if self.normalize:
            loudest = mel.amax() if mel.ndim == 2 else mel.amax(tuple(range(1, mel.ndim)), True)
            mel = mel / loudest.clamp_min(_LEAST_ROOT)
            mel = 2 * mel.clamp_min(_LEAST_ROOT).pow(0.25) - 1
        if self.normalize_log:
            mel = mel.clamp_min(_LEAST_LOG).log()
        return mel.to(waveform.dtype)

    @torch.no_grad()
    def invert(
        self,
        mel: Tensor,
        length: int | None = None,
        *,
        iterations: int = 32,
        momentum: float = 0.99,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return a sound `(..., t)` with about these mel spectra, by `griffin_lim`.

        What `normalize` has divided by is lost: such a sound has its loudest band at magnitude 1.

        Args:
            mel: What `forward` gives, `(..., n_mel_channels, frames)`.
            length: Samples wanted; it must have as many frames. Default `frames * hop_length`.
            iterations: Of the search for phases.
            momentum: Of that search, 0..1, 1 excluded.
            generator: For the phases it starts from, on the device of `mel`.

        Raises:
            ValueError: If it is a centred spectrogram, or the shape, the length or an option does
                not fit.
        """
        if self.center:
            raise ValueError("only mel spectra with center=False can be inverted, got center=True")
        frames = mel.shape[-1]
        length = frames * self.hop_length if length is None else length
        if length < 1 or self.num_frames(length) != frames:
            raise ValueError(
                f"{length} samples have {self.num_frames(length)} frames of {self.hop_length}, got "
                f"{frames}: ask for another length, or for none and crop"
            )
        exact = mel.to(torch.promote_types(mel.dtype, torch.float32))
        if self.normalize_log:
            exact = torch.where(exact > log(_LEAST_LOG), exact.exp(), 0.0)
        if self.normalize:
            exact = ((exact.clamp_min(-1) + 1) / 2).pow(4)
        sound = griffin_lim(
            mel_to_magnitudes(exact, self._bank(exact)),
            self.n_fft,
            self.hop_length,
            self.win_length,
            iterations=iterations,
            momentum=momentum,
            padding=self._padding(length),
            length=length,
            generator=generator,
        )
        return sound.to(mel.dtype)

    def _bank(self, like: Tensor) -> Tensor:
        bins, mels = self.n_fft // 2 + 1, self.n_mel_channels
        return cached_filter_bank(bins, mels, self.sample_rate, like.dtype, like.device)

    def _padding(self, length: int) -> tuple[int, int]:
        """Return how far the frames reach beyond a sound of this length, before and after."""
        if self.center:
            return self.padding, self.padding
        total = self.n_fft + (self.num_frames(length) - 1) * self.hop_length
        return self.padding, max(0, total - self.padding - length)


def _drop_upstream_buffers(
    module: MelSpectrogram, state_dict: dict[str, Any], prefix: str, *_: object
) -> None:
    """Leave out the window and the filter bank that upstream's files hold; a load pre-hook."""
    del module
    for name in ("to_spectrogram.window", "to_mel_scale.fb"):
        state_dict.pop(prefix + name, None)
