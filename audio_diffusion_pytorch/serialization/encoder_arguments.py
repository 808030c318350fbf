"""The arguments of audio-encoders-pytorch's encoders, read off the modules they consist of."""

from __future__ import annotations

from math import gcd
from typing import Any

from torch import nn

Arguments = dict[str, Any]


def encoder_arguments(module: Any) -> Arguments | None:
    """Return what makes an encoder or bottleneck like `module`; None if it is none of these.

    `Encoder1d`, `ME1d`, `MelE1d`, `AutoEncoder1d`, `MAE1d` and `VariationalBottleneck` keep few of
    their arguments, but each shows in the modules that were made of them.
    """
    kind = type(module)
    if kind.__module__ != "audio_encoders_pytorch.modules":
        return None
    readers = {
        "Encoder1d": _encoder,
        "ME1d": _magnitude_encoder,
        "MelE1d": _mel_encoder,
        "AutoEncoder1d": _autoencoder,
        "MAE1d": _magnitude_autoencoder,
        "VariationalBottleneck": _variational,
    }
    reader = readers.get(kind.__name__)
    return None if reader is None else reader(module)


def _encoder(module: Any) -> Arguments:
    first = module.to_in.block.block1.project
    widths = [module.to_in.block.block2.project.out_channels * module.to_in.patch_size]
    widths += [level.downsample.out_channels for level in module.downsamples]
    channels = gcd(*widths)  # only products of channels and multipliers are ever used
    norms = [block.block1.groupnorm for level in module.downsamples for block in level.blocks]
    arguments: Arguments = {
        "in_channels": first.in_channels,
        "channels": channels,
        "multipliers": [width // channels for width in widths],
        "factors": [level.downsample.stride[0] for level in module.downsamples],
        "num_blocks": [len(level.blocks) for level in module.downsamples],
        "patch_size": module.to_in.patch_size,
        "out_channels": None if isinstance(module.to_out, nn.Identity) else module.out_channels,
        "bottleneck": list(module.bottlenecks),
    }
    if norms:
        arguments["resnet_groups"] = norms[0].num_groups
    return arguments


def _stft(module: Any) -> Arguments:
    stft = module.stft
    return {
        "stft_num_fft": stft.num_fft,
        "stft_hop_length": stft.hop_length,
        "stft_window_length": stft.window_length,
        "stft_length": stft.length,
        "stft_use_complex": stft.use_complex,
    }


def _magnitude_encoder(module: Any) -> Arguments:
    arguments = _encoder(module)
    arguments["in_channels"] //= module.frequency_channels
    return {**arguments, **_stft(module), "use_log": module.use_log}


def _mel_encoder(module: Any) -> Arguments:
    arguments, mel = _encoder(module), module.mel
    rows = mel.to_mel_scale.n_mels
    arguments["in_channels"] //= rows
    return {
        **arguments,
        "mel_channels": rows,
        "mel_n_fft": mel.to_spectrogram.n_fft,
        "mel_hop_length": mel.hop_length,
        "mel_win_length": mel.to_spectrogram.win_length,
        "mel_sample_rate": mel.to_mel_scale.sample_rate,
        "mel_center": mel.to_spectrogram.center,
        "mel_normalize": mel.normalize,
        "mel_normalize_log": mel.normalize_log,
    }


def _autoencoder(module: Any) -> Arguments:
    arguments = _encoder(module.encoder)
    return {
        **arguments,
        "out_channels": module.decoder.to_out.block.block2.project.out_channels,
        "bottleneck_channels": arguments["out_channels"],
    }


def _magnitude_autoencoder(module: Any) -> Arguments:
    arguments = _autoencoder(module)
    arguments["in_channels"] //= module.frequency_channels
    return {**arguments, **_stft(module)}


def _variational(module: Any) -> Arguments:
    return {
        "channels": module.to_mean_and_std.in_channels,
        "loss_weight": module.loss_weight,
    }
