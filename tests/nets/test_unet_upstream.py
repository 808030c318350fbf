"""UNetV0 against upstream 0.1.3: same weights, same outputs (tools/make_upstream_golden.py)."""

import io

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.nets import UNetV0

CASES = [
    "plain",
    "times",
    "attentions",
    "cross_attentions",
    "guidance",
    "guidance_masked",
    "context",
    "out_channels",
    "features",
    "features_only",
    "unmodulated",
    "images",
    "readme",
    "everything",
]


@pytest.mark.parametrize("name", CASES)
def test_upstream_weights_load_strictly_and_give_upstream_outputs(golden, name):
    case = golden(name)
    net = UNetV0(**case.arguments)
    net.load_state_dict(case.weights)
    out = net(**case.inputs)
    assert case.output.abs().max() > 0.5
    torch.testing.assert_close(out, case.output, atol=1e-5, rtol=0)


def test_every_upstream_weight_reaches_the_output(golden):
    case = golden("everything")
    net = UNetV0(**case.arguments)
    net.load_state_dict(case.weights)
    (net(**case.inputs) - case.output - 1.0).square().sum().backward()
    silent = {name for name, p in net.named_parameters() if p.grad.abs().max() == 0}
    assert silent <= {"null_embedding.embedding.weight"}
    assert net.null_embedding.embedding.weight.grad[:3].abs().min() > 0  # of three tokens


@pytest.mark.parametrize("prefix", ["net.", "diffusion.net."])
def test_upstream_weights_load_into_a_network_inside_other_modules(golden, prefix):
    case = golden("guidance")
    outer = nn.Module()
    outer.net = UNetV0(**case.arguments)
    root = outer
    if prefix != "net.":
        root = nn.Module()
        root.diffusion = outer
    root.load_state_dict({f"{prefix}{name}": value for name, value in case.weights.items()})
    torch.testing.assert_close(outer.net(**case.inputs), case.output, atol=1e-5, rtol=0)


def test_weights_missing_from_an_upstream_file_are_reported(golden):
    case = golden("plain")
    incomplete = dict(list(case.weights.items())[:-1])
    with pytest.raises(RuntimeError, match="Missing key"):
        UNetV0(**case.arguments).load_state_dict(incomplete)


def test_own_weights_load_as_before_and_the_given_dict_is_not_changed(golden):
    case = golden("everything")
    net, other = UNetV0(**case.arguments), UNetV0(**case.arguments)
    before = list(case.weights)
    net.load_state_dict(case.weights)
    assert list(case.weights) == before
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer))
    assert torch.equal(other(**case.inputs), net(**case.inputs))


def test_parameter_count_of_the_upstream_readme_network():
    with torch.device("meta"):
        net = UNetV0(
            dim=1,
            in_channels=2,
            channels=[8, 32, 64, 128, 256, 512, 512, 1024, 1024],
            factors=[1, 4, 4, 4, 2, 2, 2, 2, 2],
            items=[1, 2, 2, 2, 2, 2, 2, 4, 4],
            attentions=[0, 0, 0, 0, 0, 1, 1, 1, 1],
            attention_heads=8,
            attention_features=64,
        )
    assert sum(p.numel() for p in net.parameters()) == 217_437_436
