"""The network is told the energy of its input, which normalisation hides from it."""

import pytest
import torch

from audio_diffusion_pytorch.nn import EnergyEmbedding


def test_it_starts_by_changing_nothing(small_unet):
    torch.manual_seed(0)
    plain = small_unet()
    told = small_unet(energy_embedding=True)
    told.load_state_dict(plain.state_dict(), strict=False)
    x, time = torch.randn(3, 2, 50), torch.tensor([0.1, 0.5, 0.9])
    assert torch.equal(told(x, time), plain(x, time))


def test_padding_to_a_multiple_is_not_heard_as_silence(small_unet):
    """The energy of 50 samples is that of the 50, whatever they are padded to."""
    net = small_unet(energy_embedding=True)
    seen = []
    net.energy_embedding.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net(torch.ones(1, 2, 50), torch.tensor([0.5]))
    assert seen[0].shape == (1, 2, 50)


def test_energies_of_channels_and_of_all_in_any_order_of_time():
    embedding = EnergyEmbedding(2, 8).double()
    torch.nn.init.normal_(embedding.out.weight)
    x = torch.randn(1, 2, 30, dtype=torch.float64)
    torch.testing.assert_close(embedding(x), embedding(x.flip(2)))
    torch.testing.assert_close(embedding(x), embedding(-x))
    for other in (2 * x, x.flip(1)):
        assert not torch.allclose(embedding(x), embedding(other))
    assert embedding(torch.zeros(1, 2, 30, dtype=torch.float64)).isfinite().all()


def shrinkage_error(net):
    """Train to scale noisy signals of two levels as Wiener would; return the relative error.

    The right factor is `0.09 / (0.09 + 1)` or `9 / (9 + 1)`: it depends on the level of the whole
    item, which no single sample tells.
    """
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    time, losses = torch.full((32,), 0.5), []
    for _ in range(200):
        level = torch.where(torch.rand(32, 1, 1, generator=generator) < 0.5, 0.3, 3.0)
        clean = level * torch.randn(32, 2, 64, generator=generator)
        noisy = clean + torch.randn(32, 2, 64, generator=generator)
        best = level**2 / (level**2 + 1) * noisy
        error = ((net(noisy, time) - best) / level).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        losses.append(error.item())
    return sum(losses[-50:]) / 50


def test_it_learns_a_level_dependent_gain_better(small_unet):
    torch.manual_seed(0)
    hidden = shrinkage_error(small_unet(gated_skip=True))
    torch.manual_seed(0)
    told = shrinkage_error(small_unet(gated_skip=True, energy_embedding=True))
    assert told < 0.8 * hidden, (told, hidden)


def test_it_needs_modulation(small_unet):
    with pytest.raises(ValueError, match="energy_embedding needs use_modulation=True"):
        small_unet(energy_embedding=True, use_modulation=False, use_time_conditioning=False)
