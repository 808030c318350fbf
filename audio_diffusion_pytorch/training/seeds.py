"""One seed, many independent random streams: by step, by rank, by purpose."""

from __future__ import annotations

import torch

_WORD = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN = 0x9E37_79B9_7F4A_7C15


def derive_seed(*integers: int) -> int:
    """Mixes integers into one seed of 63 bits, 0 <= seed < 2**63.

    Every bit of every integer, their order and their number matter, so that `(seed, step, rank)`
    gives unrelated seeds for neighbouring steps, where `seed + step + rank` would repeat itself.

    >>> derive_seed(0, 1) == derive_seed(1, 0)
    False

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
    number generators", figure 12 with the constants of variant 13), chained over the integers.
    """
    state = _mix(_GOLDEN * (len(integers) + 1))
    for integer in integers:
        value = int(integer)
        while True:  # 64 bits at a time; negative numbers end in words of ones
            state = _mix((state ^ _mix((value & _WORD) + _GOLDEN)) + _GOLDEN)
            value >>= 64
            if value in (0, -1):
                break
        state = _mix(state + (value & 1))  # the sign
    return state >> 1


def generator_for(device: torch.device | str, *integers: int) -> torch.Generator:
    """A generator on `device`, seeded by `derive_seed(*integers)`.

    The same integers on the same kind of device give the same numbers; another kind of device
    draws others from the same seed.
    """
    return torch.Generator(device=device).manual_seed(derive_seed(*integers))


def _mix(value: int) -> int:
    value &= _WORD
    value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & _WORD
    return value ^ (value >> 31)
