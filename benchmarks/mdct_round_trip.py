"""What the MDCT loses and what it costs: SNR of the round trip, and time beside torch.stft.

python benchmarks/mdct_round_trip.py
"""

from __future__ import annotations

import argparse

import torch
from _results import median, report, seconds
from torch import Tensor

from audio_diffusion_pytorch import MDCT

RATE, BAR = 32000, 100.0
HEAD = ["bins", "length", "SNR float32", "SNR float64", "there and back", "torch.stft and back"]


def snr(clean: Tensor, found: Tensor) -> float:
    """Return the level of `clean` over that of the difference, in dB."""
    error = (found.double() - clean.double()).square().mean()
    return float(10 * (clean.double().square().mean() / error).log10())


def stft_round_trip(x: Tensor, bins: int) -> Tensor:
    """Return `x (b, t)` after a spectrogram of the same hop, twice as redundant, and back."""
    window = torch.hann_window(2 * bins)
    spectrum = torch.stft(x, 2 * bins, bins, window=window, return_complex=True)
    return torch.istft(spectrum, 2 * bins, bins, window=window, length=x.shape[-1])


def main() -> None:
    """Measure several sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="timed calls of each kind")
    options = parser.parse_args()
    rows, figures = [], []
    for bins in (128, 512, 1024):
        for length in (4 * RATE, 4 * RATE - 1):  # a multiple of the rows, and not
            transform = MDCT(bins)
            generator = torch.Generator().manual_seed(0)
            noise = torch.randn(8, 1, length, dtype=torch.float64, generator=generator)
            audio = (0.1 * noise).float()
            single, double = snr(audio, transform(audio)[0]), snr(noise, transform(noise)[0])
            ours, theirs = [], []
            for number in range(options.rounds + 2):
                spent = (
                    seconds(lambda: transform(audio)),  # noqa: B023 (called at once)
                    seconds(lambda: stft_round_trip(audio[:, 0], bins)),  # noqa: B023
                )
                if number >= 2:  # warm-up before
                    ours.append(spent[0])
                    theirs.append(spent[1])
            figures.append({
                "bins": bins, "length": length, "snr_float32_db": single,
                "snr_float64_db": double, "mdct_seconds": median(ours),
                "stft_seconds": median(theirs), "pass": single > BAR,
            })  # fmt: skip
            verdict = "PASS" if single > BAR else "FAIL"
            rows.append([
                str(bins), str(length), f"{single:.1f} dB {verdict}", f"{double:.1f} dB",
                f"{1e3 * median(ours):.1f} ms", f"{1e3 * median(theirs):.1f} ms",
            ])  # fmt: skip
    print("8 clips of 4 s at 32 kHz")
    report("mdct_round_trip", HEAD, rows, figures)


if __name__ == "__main__":
    main()
