"""VInpainter: upstream's call, upstream's result for one visit, and true resampling beyond."""

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion import Heun, LinearSchedule, VDiffusion
from audio_diffusion_pytorch.diffusion.constraints import ReconstructionGuidance
from audio_diffusion_pytorch.diffusion.inpainting import Inpainter, VInpainter

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "upstream_constraints.npz"
RHO, GIVEN = 0.9, 1.5


class TimeNet(nn.Module):
    """The net that `tools/make_upstream_constraints_golden.py` uses."""

    def forward(self, x, time):
        return torch.tanh(0.7 * x + 0.3 * x.roll(1, -1)) * (0.5 + time[:, None, None])


class PairNet(nn.Module):
    """The perfect velocity for two numbers with correlation 0.9."""

    def forward(self, x, time, shift=0.0):
        covariance = torch.tensor([[1, RHO], [RHO, 1]], dtype=x.dtype)
        values, basis = torch.linalg.eigh(covariance)
        angle = time[:, None, None] * math.pi / 2
        alpha, sigma = angle.cos(), angle.sin()
        clean = (x @ basis * (alpha * values / (alpha**2 * values + sigma**2))) @ basis.T
        return (alpha * x - clean) / sigma.clamp_min(1e-12) + shift


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_one_visit_is_what_the_old_release_made():
    torch.manual_seed(0)
    source = torch.randn(3, 2, 16)
    mask = torch.arange(16).expand(3, 2, 16) % 5 < 2
    torch.manual_seed(3)
    made = VInpainter(TimeNet())(source, mask, num_steps=6, num_resamples=1)
    with np.load(GOLDEN) as file:
        torch.testing.assert_close(made, torch.from_numpy(file["inpainted"]), rtol=0, atol=1e-5)


def pairs(num_resamples, **options):
    source = torch.tensor([GIVEN, 0.0], dtype=torch.float64).expand(4000, 1, 2)
    keep = torch.tensor([[[True, False]]])
    inpainter = VInpainter(PairNet(), solver=Heun())
    made = inpainter(source, keep, 25, num_resamples, generator=seeded(), **options)
    assert torch.equal(made[..., 0], source[..., 0])
    return made[..., 1].mean().item(), made[..., 1].std().item()


def test_resampling_now_brings_the_rest_closer():
    """Upstream gave 0.66 for any number of resamples; 1.35 and 0.436 are right."""
    assert pairs(1)[0] == pytest.approx(0.64, abs=0.04)
    mean, std = pairs(20)
    assert mean == pytest.approx(1.35, abs=0.07) and std == pytest.approx(0.436, abs=0.03)
    guidance = ReconstructionGuidance(
        torch.tensor([[[GIVEN, 0.0]]], dtype=torch.float64), torch.tensor([[[True, False]]])
    )
    mean, std = pairs(4, guidance=guidance)
    assert mean == pytest.approx(1.35, abs=0.03) and std == pytest.approx(0.436, abs=0.03)


def test_true_keeps_for_bool_and_float_masks_of_any_shape():
    source = torch.randn(2, 1, 2, dtype=torch.float64, generator=seeded())
    net = VInpainter(PairNet())
    for mask in (torch.tensor([[[False, True]]]), torch.tensor([[[0.0, 1.0]]])):
        made = net(source, mask, 5, 2, generator=seeded(1))
        assert torch.equal(made[..., 1], source[..., 1])
        assert bool((made[..., 0] != source[..., 0]).all())
    full = torch.tensor([False, True]).expand(2, 1, 2)
    torch.testing.assert_close(made, net(source, full, 5, 2, generator=seeded(1)), rtol=0, atol=0)


def test_noise_comes_from_the_generator_or_from_outside():
    source, x = torch.randn(2, 2, 1, 2, dtype=torch.float64, generator=seeded())
    mask = torch.tensor([[[True, False]]])
    net = VInpainter(PairNet())
    first = net(source, mask, 4, 3, generator=seeded(1))
    state = torch.get_rng_state()
    assert torch.equal(first, net(source, mask, 4, 3, generator=seeded(1)))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, net(source, mask, 4, 3, generator=seeded(2)))
    given = net(source, mask, 4, 1, False, x, generator=seeded(1))
    torch.manual_seed(9)
    assert torch.equal(given, net(source, mask, 4, 1, x_noisy=x, generator=seeded(1)))
    assert not torch.equal(given, net(source, mask, 4, 1, x_noisy=-x, generator=seeded(1)))


def test_conditions_reach_the_net():
    source = torch.randn(2, 1, 2, dtype=torch.float64, generator=seeded())
    mask = torch.tensor([[[True, False]]])
    net = VInpainter(PairNet())
    plain = net(source, mask, 4, 1, generator=seeded(1))
    moved = net(source, mask, 4, 1, generator=seeded(1), shift=0.5)
    assert bool((moved[..., 1] != plain[..., 1]).all())


def test_it_is_what_upstream_users_expect():
    inpainter = VInpainter(PairNet(), LinearSchedule(1.0, 0.0))
    assert isinstance(inpainter, Inpainter) and inpainter.diffusion_types == [VDiffusion]
    for twin in (copy.deepcopy(inpainter), pickle.loads(pickle.dumps(inpainter))):
        assert isinstance(twin.schedule, LinearSchedule) and twin.net is not inpainter.net


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_resamples": 0}, "num_resamples must be at least 1"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
        ({"mask": torch.ones(2, 1, 3)}, "mask must have shape"),
        ({"mask": torch.full((2, 1, 2), 2.0)}, "mask values must lie in 0"),
        ({"x_noisy": torch.zeros(2, 1, 3)}, "x_noisy must have the shape"),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_sentence(change, message):
    options = {
        "source": torch.zeros(2, 1, 2),
        "mask": torch.ones(2, 1, 2),
        "num_steps": 3,
        "num_resamples": 2,
        **change,
    }
    with pytest.raises(ValueError, match=message) as error:
        VInpainter(PairNet())(**options)
    assert "\n" not in str(error.value)


def test_a_class_is_no_solver():
    with pytest.raises(ValueError, match="parentheses"):
        VInpainter(PairNet(), solver=Heun)
