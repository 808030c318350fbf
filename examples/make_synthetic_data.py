"""Write a folder of synthetic sounds with known pitch, to train on and to judge by."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from audio_diffusion_pytorch.data import SyntheticSounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="synthetic", help="folder to write into")
    parser.add_argument("--count", type=int, help="number of sounds (86, or 100 with --noise)")
    parser.add_argument("--noise", action="store_true", help="add white, pink and brown noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz, at least 8000")
    options = parser.parse_args()
    try:
        sounds = SyntheticSounds(
            options.count,
            include_noise=options.noise,
            seed=options.seed,
            sample_rate=options.sample_rate,
        )
        manifest = sounds.write(Path(options.out))
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    kinds = Counter(sound.kind for sound in sounds.sounds)
    seconds = sum(sound.duration for sound in sounds.sounds)
    print(
        f"wrote {len(sounds)} sounds ({', '.join(f'{n} {kind}' for kind, n in kinds.items())}), "
        f"{seconds / 60:.1f} min, stereo, {options.sample_rate} Hz, 16-bit WAV, "
        f"into {manifest.parent / 'audio'}"
    )
    print(f"their kind, frequency and note stand in {manifest}")


if __name__ == "__main__":
    main()
