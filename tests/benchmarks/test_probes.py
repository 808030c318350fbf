"""Operations, copies and memory of things whose figures are known."""

from __future__ import annotations

from pathlib import Path

import _probes
import pytest
import torch
from _networks import README
from _probes import Copies, convolution_rate, count_flops, peak_of, product_rate
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from audio_diffusion_pytorch import UNetV0

CPU = torch.device("cpu")
MIB = 2**20


def test_operations_of_a_convolution_and_its_backward_pass():
    conv, x = nn.Conv1d(3, 5, 7, padding=3), torch.randn(2, 3, 11, requires_grad=True)
    expected = 2 * 2 * 5 * 3 * 7 * 11  # two for each tap, input, output and sample of both items
    with torch.no_grad():
        assert count_flops(lambda: conv(x)) == expected
    # backwards the same work twice: for the input and for the weights
    assert count_flops(lambda: conv(x).sum().backward()) == 3 * expected


def test_operations_of_a_linear_layer():
    layer = nn.Linear(6, 4)
    assert count_flops(lambda: layer(torch.randn(5, 6))) == 2 * 5 * 6 * 4


def test_fused_attention_is_counted():
    q, k = torch.randn(1, 2, 16, 8), torch.randn(1, 2, 10, 8)
    counted = count_flops(lambda: scaled_dot_product_attention(q, k, k))
    assert counted == 2 * (2 * 2 * 16 * 10 * 8)  # two products in each of two heads


def test_the_network_of_the_readme_is_125_billion_operations():
    with torch.device("meta"), torch.no_grad():
        net = UNetV0(dim=1, **README)
        x, time = torch.zeros(1, 2, 2**18), torch.zeros(1)
        counted = count_flops(lambda: net(x, time))
    assert sum(weight.numel() for weight in net.parameters()) == 217_437_436
    assert counted == pytest.approx(124.8e9, rel=0.01)


def test_copies_are_counted_and_views_are_not():
    x = torch.randn(4, 8, 16)
    size = x.numel() * 4
    for call, expected in (
        (lambda: torch.cat([x, x]), 2 * size),
        (lambda: x.transpose(1, 2).contiguous(), size),
        (lambda: x.transpose(1, 2).reshape(4, -1), size),
        (lambda: x.to(torch.bfloat16), size // 2),
        (lambda: x.transpose(1, 2).unflatten(1, (4, 4))[:, 1:], 0),
        (lambda: x * 2, 0),
    ):
        with Copies() as copied:
            call()
        assert copied.bytes == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rates_are_of_the_size_a_machine_has(dtype):
    for rate in (product_rate(128, dtype, CPU), convolution_rate(64, 128, dtype, CPU)):
        assert 1e6 < rate < 1e16


LINUX = pytest.mark.skipif(not _probes.RESET.exists(), reason="needs Linux")


@LINUX
def test_the_peak_counts_what_comes_and_goes_and_not_what_stands():
    standing = torch.ones(64 * MIB // 4)

    def call():
        torch.ones(48 * MIB // 4)  # freed at once
        torch.ones(40 * MIB // 4)

    found = peak_of(call, CPU)
    assert 47 * MIB <= found["bytes"] <= 52 * MIB  # the kernel counts in batches of pages
    both = peak_of(lambda: [torch.ones(40 * MIB // 4), torch.ones(48 * MIB // 4)], CPU)
    assert 87 * MIB <= both["bytes"] <= 92 * MIB
    assert standing.sum() == standing.numel()


@LINUX
def test_a_mark_that_is_not_reset_is_used_if_the_call_passes_it_and_refused_if_not(monkeypatch):
    peak_of(lambda: torch.ones(64 * MIB // 4), CPU)
    monkeypatch.setattr(_probes, "RESET", Path("/nonexistent/clear_refs"))
    with pytest.raises(RuntimeError, match="an earlier was higher"):
        peak_of(lambda: torch.ones(48 * MIB // 4), CPU)
    found = peak_of(lambda: torch.ones(96 * MIB // 4), CPU)
    assert 95 * MIB <= found["bytes"] <= 100 * MIB


def test_elsewhere_the_peak_of_the_process_serves(monkeypatch):
    peaks = iter([500 * MIB, 530 * MIB])
    monkeypatch.setattr(_probes, "STATUS", Path("/nonexistent/status"))
    monkeypatch.setattr(_probes, "_process_peak", lambda: next(peaks))
    assert peak_of(lambda: None, CPU)["bytes"] == 30 * MIB
