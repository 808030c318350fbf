"""The gated outer skip: a network that starts by answering zero and learns how much to pass."""

import pytest
import torch


def test_it_starts_by_answering_zero_at_every_time(small_unet):
    net = small_unet(gated_skip=True)
    x = torch.randn(3, 2, 64)
    for time in (0.0, 0.5, 1.0):
        assert net(x, torch.full((3,), time)).abs().max() == 0


def test_its_gate_depends_on_time_and_channel(small_unet):
    """With the branch silent the output is gain(time, channel) * x."""
    net = small_unet(gated_skip=True)
    torch.nn.init.normal_(net.levels[0].merge.to_gain.weight)
    x = torch.randn(2, 2, 64)
    gain = net(x, torch.tensor([0.1, 0.9])) / x
    torch.testing.assert_close(gain, gain[..., :1].expand_as(gain), atol=1e-4, rtol=1e-3)
    flat = gain[..., 0].flatten()
    assert (flat[:, None] - flat).abs().add(torch.eye(4)).min() > 1e-3  # all four differ


def test_it_learns_a_pass_through_that_falls_with_time(small_unet):
    """Fit F = (1 - t) x, which the identity skip alone cannot say."""
    net = small_unet(gated_skip=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        x = torch.randn(16, 2, 32, generator=generator)
        time = torch.rand(16, generator=generator)
        error = (net(x, time) - (1 - time)[:, None, None] * x).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert error < 0.05  # answering zero costs E (1 - t)^2 = 1 / 3


def test_it_needs_modulation(small_unet):
    with pytest.raises(ValueError, match="gated_skip needs use_modulation=True"):
        small_unet(gated_skip=True, use_modulation=False, use_time_conditioning=False)
