"""A network whose answer is gains for its input and a rest."""

import pickle

import pytest
import torch

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.nets import GainPlugin, InputGain

SMALL = {"channels": [4, 8], "factors": [1, 2], "items": [1, 1], "resnet_groups": 2}
SMALL |= {"modulation_features": 8}


class Halves(torch.nn.Module):
    """Answers its first channels twice as gains, then ones."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.shape = in_channels, out_channels

    def forward(self, x, time):
        return torch.cat([2 * x[:, :2], torch.ones_like(x[:, :2])], 1) * time[:, None, None]


def test_gains_act_on_the_signal_and_the_rest_is_added():
    net = GainPlugin(Halves)(in_channels=3, out_channels=2)
    assert net.net.shape == (3, 4)
    x, time = torch.randn(2, 3, 10), torch.tensor([0.5, 1.0])
    wanted = 0.1 * time[:, None, None] * (2 * x[:, :2] ** 2 + 1)
    torch.testing.assert_close(net(x, time), wanted)


def test_a_narrow_network_can_hand_everything_through():
    """Equal gains for 64 rows through a width of 4, which no plain network of that width can do."""
    torch.manual_seed(0)
    net = GainPlugin(UNetV0)(dim=1, in_channels=64, **SMALL)
    x, time = torch.randn(8, 64, 16), torch.rand(8)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        loss = (net(x, time) - time[:, None, None] * x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.02


def test_it_is_a_net_like_any_other():
    model = DiffusionModel(GainPlugin(UNetV0), in_channels=2, num_classes=3, **SMALL)
    labels = torch.tensor([[0], [2]])
    model(torch.randn(2, 2, 17), labels=labels).backward()
    assert all(weight.grad is not None for weight in model.parameters())
    generator = torch.Generator().manual_seed(0)
    made = model.generate(2, 17, 2, generator=generator, labels=labels)
    twin = pickle.loads(pickle.dumps(model))
    again = twin.generate(2, 17, 2, generator=generator.manual_seed(0), labels=labels)
    assert made.shape == (2, 2, 17) and torch.equal(made, again)


def test_each_output_needs_an_input():
    with pytest.raises(ValueError, match="an input for each output, got 2 channels in and 3 out"):
        InputGain(UNetV0, dim=1, in_channels=2, out_channels=3, **SMALL)
