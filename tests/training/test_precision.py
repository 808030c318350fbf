"""The precision is measured, explained, and kept."""

from __future__ import annotations

import time
from dataclasses import asdict

import pytest
import torch

from audio_diffusion_pytorch.training import Precision, choose_precision
from audio_diffusion_pytorch.training import precision as precision_module

CPU = torch.device("cpu")


@pytest.mark.parametrize(("half", "expected"), [(0.5, "bf16"), (0.66, "bf16"), (0.7, "fp32")])
def test_bf16_is_taken_from_one_and_a_half_times_the_speed(monkeypatch, half, expected):
    def seconds(left, _right, **_limit):
        return half if left.dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(precision_module, "_seconds", seconds)
    assert choose_precision("auto", CPU).name == expected


def test_the_measurement_is_short_and_told():
    choose_precision("auto", CPU)
    started = time.perf_counter()
    chosen = choose_precision("auto", CPU)
    assert time.perf_counter() - started < 2.0  # 0.2 s on an idle machine
    assert chosen.name in ("fp32", "bf16") and "ms in fp32" in chosen.reason
    assert Precision(**asdict(chosen)) == chosen


def test_autocast_computes_in_the_chosen_format():
    layer = torch.nn.Linear(4, 4)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Precision(name).autocast(CPU):
            assert layer(torch.zeros(1, 4)).dtype == dtype
        assert not Precision(name).scaler(CPU).is_enabled()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="fp16 needs a CUDA device, got cpu"):
        choose_precision("fp16", CPU)
    with pytest.raises(ValueError, match="got 'int8'"):
        choose_precision("int8", CPU)
