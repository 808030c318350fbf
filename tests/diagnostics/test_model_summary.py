"""What a model is, measured from outside, agrees with what is known of it on paper."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from audio_diffusion_pytorch import STFT, DiffusionModel, UNetV0
from audio_diffusion_pytorch.diagnostics.model_summary import (
    LiveMemory,
    LocalView,
    accepted_lengths,
    clip_call,
    count_weights,
    find_channels,
    find_reach,
    measure_cost,
    measure_reach,
    measure_receptive_field,
    module_rows,
    network_call,
    randomize,
    summarize_model,
    tree_text,
)
from audio_diffusion_pytorch.diagnostics.model_summary.tree import scaled


def unet(**settings):
    """A U-Net of two levels on raw samples."""
    torch.manual_seed(0)
    given = {
        "in_channels": 1, "channels": (8, 8), "factors": (2, 2), "items": (1, 1), "dim": 1,
        "modulation_features": 8, "resnet_groups": 4,
    }  # fmt: skip
    return UNetV0(**{**given, **settings})


class Told(nn.Module):
    """A network that does not care for the noise level."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x, time):
        return self.layers(x)


# Weights


def test_every_number_is_counted_once(healthy):
    model, counts = healthy.model, count_weights(healthy.model)
    tensors = {
        (t.untyped_storage().data_ptr(), t.storage_offset()): t.numel()
        for t in [*model.parameters(), *model.buffers()]
        if t.numel()
    }
    assert counts.weights + counts.buffers == sum(tensors.values())
    assert counts.weights == sum(w.numel() for w in model.parameters())
    saved = model.state_dict()
    assert counts.weights + counts.buffers == sum(value.numel() for value in saved.values())
    assert sum(counts.formats.values()) == counts.weights + counts.buffers


def test_frozen_shared_and_buffers_are_told_apart():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3), nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[2].weight = model[0].weight  # one parameter at two places
    model[2].bias = nn.Parameter(model[0].bias.detach())  # two parameters in one memory
    model[1].requires_grad_(False)
    model[3].half()
    counts = count_weights(model)
    assert (counts.trainable, counts.frozen) == (12 + 4 + 8, 12 + 3)
    assert counts.buffers == 4 + 4 + 1 and counts.shared == 12 + 4
    assert counts.formats == {"float32": 31, "float16": 16, "int64": 1}
    assert counts.bytes == 31 * 4 + 16 * 2 + 8
    assert "39 weights (24 trainable, 15 frozen) and 9 numbers in buffers" in counts.text
    assert "16 of them stand at two places" in counts.text


# Parts


def test_multiply_adds_have_their_closed_forms():
    class Attends(nn.Module):
        def forward(self, x):
            heads = x.unflatten(1, (2, -1)).transpose(2, 3)
            return F.scaled_dot_product_attention(heads, heads, heads).transpose(2, 3).flatten(1, 2)

    model = nn.Sequential(
        nn.Conv1d(3, 8, 5, padding=2), Attends(), nn.ConvTranspose1d(8, 4, 4, stride=2),
        nn.Linear(42, 7),
    )  # fmt: skip
    with torch.no_grad():
        rows = {row.path: row for row in module_rows(model, lambda: model(torch.randn(2, 3, 20)))}
    assert rows["0"].multiply_adds == 2 * 20 * 8 * 3 * 5
    assert rows["1"].multiply_adds == 2 * (2 * 20 * 20 * 4) * 2  # batch, heads, scores and values
    assert rows["2"].multiply_adds == 2 * 20 * 8 * 4 * 4
    assert rows["3"].multiply_adds == 2 * 4 * 42 * 7
    assert rows[""].multiply_adds == sum(rows[str(i)].multiply_adds for i in range(4))
    assert rows["2"].shape == (2, 4, 42) and rows[""].shape == (2, 4, 7)


def test_rows_hold_every_weight_once_and_calls_are_summed(healthy):
    model = healthy.model
    labels = [3] if healthy.train.labels.shape[1] else []
    with torch.no_grad():
        rows = module_rows(model, lambda: clip_call(1, labels=labels)(model, healthy.length))
    by_path = {row.path: row for row in rows}
    whole = sum(w.numel() for w in model.parameters())
    assert rows[0].path == "" and rows[0].weights == whole == by_path["net"].weights
    assert by_path["diffusion"].weights == 0 and by_path["diffusion"].multiply_adds == 0
    assert len(by_path) == len(rows) == len(list(model.modules()))
    for row in rows:  # inclusive counts: a part is no more than what it is in
        parent = by_path[row.path.rpartition(".")[0]] if row.path else row
        assert row.weights <= parent.weights and row.depth == row.path.count(".") + bool(row.path)
    inside = {row.path: 0 for row in rows}
    for row in rows[1:]:
        inside[row.path.rpartition(".")[0]] += row.weights
    own = {row.path: row.weights - inside[row.path] for row in rows}
    assert sum(own.values()) == whole and min(own.values()) >= 0
    for path, module in model.named_modules():
        assert own[path] == sum(w.numel() for w in module.parameters(recurse=False))
    assert by_path["net.time_embedding.layer"].calls == 2  # tied: called twice, counted once
    layer = by_path["net.time_embedding.layer"]
    assert layer.multiply_adds == 2 * 96 * 96 and layer.weights == 96 * 97
    level = by_path["net.levels.0"]
    assert level.shape is None and level.calls == 0  # never called as a module
    assert level.multiply_adds == sum(
        row.multiply_adds for row in rows if row.path.startswith("net.levels.0.") and row.depth == 4
    )
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_the_tree_is_a_table_of_the_chosen_depth():
    model = nn.Sequential(nn.Sequential(*[nn.Conv1d(2, 2, 1) for _ in range(4)]), nn.Tanh())
    rows = module_rows(model, lambda: model(torch.randn(1, 2, 5)))
    lines = tree_text(rows).splitlines()
    assert lines[0].split() == ["part", "said", "weights", "multiply-adds"]
    assert lines[1].split() == ["Sequential", "1x2x5", "24", "80"]
    assert lines[2].split() == ["0:", "Sequential", "1x2x5", "24", "80"]
    assert lines[3].split() == ["0-3:", "Conv1d", "1x2x5", "6", "20"]  # four alike
    assert lines[4].split() == ["1:", "Tanh", "1x2x5", "0", "0"] and len(lines) == 5
    assert len(tree_text(rows, depth=1).splitlines()) == 4
    assert (scaled(1.5e9), scaled(12), scaled(0)) == ("1.5 G", "12", "0")


# Receptive field


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 3), (4, 1)])
def test_the_reach_of_a_convolution(kernel, dilation):
    left = dilation * (kernel - 1) // 2
    right = dilation * (kernel - 1) - left
    conv = nn.Conv1d(1, 2, kernel, dilation=dilation).double()

    def function(x):
        return conv(F.pad(x, (left, right)))

    reach = measure_reach(function, torch.randn(1, 1, 64).double(), range(30, 34))
    assert (reach.before, reach.after, reach.whole) == (left, right, False)
    assert reach.size == dilation * (kernel - 1) + 1


def test_a_causal_stack_looks_back_only_and_strides_widen_by_place():
    convs = [nn.Conv1d(1, 1, 3, dilation=2**n).double() for n in range(4)]

    def causal(x):
        for n, conv in enumerate(convs):
            x = conv(F.pad(x, (2 * 2**n, 0)))
        return x

    reach = measure_reach(causal, torch.randn(1, 1, 128).double(), [64])
    assert (reach.before, reach.after) == (2 * (1 + 2 + 4 + 8), 0)

    def blocks(x):  # each block of 4 sees itself: the worst places see 3 on either side
        return x.unflatten(2, (-1, 4)).sum(3, keepdim=True).expand(-1, -1, -1, 4).flatten(2)

    reach = measure_reach(blocks, torch.randn(1, 1, 64).double(), range(32, 40))
    assert (reach.before, reach.after) == (3, 3)


def test_the_length_grows_until_the_reach_fits():
    def prepare(length):
        x = torch.randn(1, 1, length).double()
        weight = torch.ones(1, 1, 301).double()
        return lambda signal: F.conv1d(F.pad(signal, (150, 150)), weight), x, [length // 2]

    reach = find_reach(prepare, 64, 10_000)
    assert (reach.before, reach.after, reach.whole) == (150, 150, False)
    assert reach.length == 512
    assert find_reach(prepare, 64, 300).whole

    def all_of_it(length):
        x = torch.randn(1, 1, length).double()
        return lambda signal: signal + signal.mean(2, keepdim=True), x, [length // 2]

    reach = find_reach(all_of_it, 64, 256)
    assert reach.whole and (reach.length, reach.before, reach.after) == (256, 128, 127)


def test_the_reach_of_a_unet_is_that_of_its_whole_jacobian():
    net = unet().double().eval()
    randomize(net)
    x, time = torch.randn(1, 1, 128).double(), torch.full((1,), 0.5).double()
    with LocalView(net).cut():
        reach = measure_reach(lambda signal: net(signal, time), x, range(60, 68))
    assert not reach.whole
    with LocalView(net).cut(), torch.enable_grad():
        jacobian = torch.autograd.functional.jacobian(lambda signal: net(signal, time)[0, 0], x)
    touched = jacobian[:, 0, 0].ne(0)
    before = max(p - int(touched[p].nonzero()[0]) for p in range(60, 68))
    after = max(int(touched[p].nonzero()[-1]) - p for p in range(60, 68))
    assert (reach.before, reach.after) == (before, after)


def test_gradients_tell_what_nudging_each_sample_tells():
    """The oracle: move every input sample in turn and see which outputs move."""
    torch.manual_seed(0)
    net = Told(
        nn.Conv1d(1, 4, 4, stride=2, padding=1), nn.Tanh(), nn.Conv1d(4, 4, 3, padding=1),
        nn.ConvTranspose1d(4, 1, 4, stride=2, padding=1),
    ).double()  # fmt: skip
    x, time = torch.randn(1, 1, 64).double(), torch.zeros(1).double()
    reach = measure_reach(lambda signal: net(signal, time), x, range(32, 40))
    plain = net(x, time)
    before = after = 0
    for place in range(64):
        nudged = x.clone()
        nudged[0, 0, place] += 0.5
        moved = (net(nudged, time) != plain)[0, 0].nonzero().flatten()
        moved = moved[(moved >= 32) & (moved < 40)].tolist()
        before = max([before, *(p - place for p in moved)])
        after = max([after, *(place - p for p in moved)])
    assert (reach.before, reach.after) == (before, after) and before > 3


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.GroupNorm(2, 4), "group norm"),
        (nn.InstanceNorm1d(4, affine=True), "instance norm"),
    ],
)
def test_norms_over_time_are_named_and_taken_out(layer, kind):
    net = Told(nn.Conv1d(1, 4, 3, padding=1), layer, nn.Conv1d(4, 1, 3, padding=1)).double()
    x, time = torch.randn(1, 1, 64).double(), torch.zeros(1)
    view = LocalView(net)
    plain = net(x, time)
    assert measure_reach(lambda signal: net(signal, time), x, [32]).whole
    with view.cut():
        reach = measure_reach(lambda signal: net(signal, time), x, [32])
        torch.testing.assert_close(net(x, time), plain)  # only gradients are cut
    assert (reach.before, reach.after, reach.whole) == (2, 2, False)
    assert view.parts == {"layers.1": kind}
    assert not any(module._forward_hooks for module in net.modules())


def test_attention_and_summed_up_signals_are_named(synthetic):
    net = unet(
        attentions=(0, 1), attention_heads=2, attention_features=4, energy_embedding=True,
        cross_attentions=(1, 0), embedding_features=3,
    )  # fmt: skip
    tokens = torch.randn(1, 5, 3)

    def call(model, length):
        x = torch.randn(1, 1, length, generator=torch.Generator().manual_seed(0)).to(
            next(model.parameters())
        )
        return model(x, torch.full((1,), 0.5).to(x), embedding=tokens.to(x))

    field = measure_receptive_field(net, call, accepted_lengths(lambda n: call(net, n), 64))
    assert not field.samples.whole and field.frames is None
    kinds = dict.fromkeys(field.everywhere.values())
    assert list(kinds) and set(kinds) == {
        "a vector made of the whole signal", "group norm", "attention",
    }  # fmt: skip
    assert field.everywhere["energy_embedding"] == "a vector made of the whole signal"
    attending = [path for path, kind in field.everywhere.items() if kind == "attention"]
    assert attending and all(".attentions." in path for path in attending)  # not to the tokens
    text = field.text(16000)
    assert f"{field.samples.size:,} samples (" in text and " before it and " in text
    assert "the whole clip has some influence, through" in text and "x attention" in text


def test_behind_a_transform_the_reach_is_told_in_samples_and_in_frames():
    class Three(nn.Module):
        def __init__(self, dim=1):
            super().__init__()
            self.conv = nn.Conv1d(16, 16, 3, padding=1)
            nn.init.zeros_(self.conv.weight)  # as layers often begin: it must not hide anything

        def forward(self, x, time):
            return self.conv(x)

    model = DiffusionModel(Three, autoencoder=STFT(16, 8))
    model.fit_normalizer([torch.randn(2, 1, 400)])
    call = clip_call(1)
    field = measure_receptive_field(model, call, accepted_lengths(lambda n: call(model, n), 256))
    assert (field.frames.before, field.frames.after) == (1, 1)
    # A sample lies in 2 frames of 16 samples, 8 apart; 3 frames around each of them: 4 frames, and
    # 5 * 8 samples in all. Seen from the place in its frame: from 16 to 23 before, the rest after.
    assert field.samples.before + field.samples.after + 1 >= 40
    assert (field.samples.before, field.samples.after) == (23, 23)
    assert field.everywhere == {} and not field.samples.whole
    assert model.net.conv.weight.abs().max() == 0


# Lengths


def wants(check):
    def run(length):
        if not check(length):
            raise ValueError(f"length {length} does not fit\nsecond line")

    return run


def test_lengths_are_found_by_trying():
    found = accepted_lengths(wants(lambda n: True), 100)
    assert (found.multiple, found.smallest, found.refused) == (1, 1, {})
    assert found.text == "any: it pads and crops (1 to 16 and some around 100)"
    found = accepted_lengths(wants(lambda n: n % 12 == 0 and n > 0), 96)
    assert (found.multiple, found.smallest) == (12, 12)
    assert found.text == "multiples of 12; of 1 samples it says: length 1 does not fit"
    found = accepted_lengths(wants(lambda n: n % 4 == 0 and n >= 20), 64)
    assert (found.multiple, found.smallest) == (4, 20) and "multiples of 4, from 20" in found.text
    found = accepted_lengths(wants(lambda n: n == 64), 64)
    assert (found.multiple, found.smallest) == (64, 64)
    found = accepted_lengths(wants(lambda n: n >= 7), 64)
    assert (found.multiple, found.smallest) == (1, 7) and found.text.startswith("any, from 7 on; ")
    found = accepted_lengths(wants(lambda n: n % 8 == 0), 66)  # the usual one does not fit itself
    assert (found.multiple, found.smallest) == (8, 8)
    found = accepted_lengths(wants(lambda n: False), 64)
    assert found.multiple == 0 and found.text.startswith("none of the lengths tried, 1 samples")


def test_lengths_of_real_networks():
    padding = unet()
    found = accepted_lengths(lambda n: network_call(1)(padding, n), 64)
    assert (found.multiple, found.smallest) == (1, 1)

    class Strict(nn.Module):  # as a network without padding: the skip must fit
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv1d(1, 2, 8, 8), nn.ConvTranspose1d(2, 1, 8, 8)

        def forward(self, x, time):
            return x + self.up(self.down(x))

    strict = Strict()
    found = accepted_lengths(lambda n: network_call(1)(strict, n), 64)
    assert (found.multiple, found.smallest) == (8, 8)


# Cost


def test_memory_is_counted_from_birth_to_death():
    with LiveMemory() as memory:
        a = torch.zeros(1000)
        b = a.view(10, 100)  # no memory of its own
        del a
        assert memory.bytes == 4000
        c = b + 1
        assert memory.bytes == 8000
        b += 1  # in place
        del b
        assert (memory.bytes, memory.peak) == (4000, 8000)
        d = (c * 2).double()
        assert memory.bytes == 4000 + 8000 and memory.peak == 4000 + 4000 + 8000
        del c, d
    assert memory.bytes == 0


def test_the_cost_of_a_pass():
    layers = nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Tanh())
    x = torch.randn(1, 1, 2**16).requires_grad_()
    cost = measure_cost(lambda: layers(x), torch.device("cpu"))
    assert cost.forward_bytes == 2 * 4 * 2**16  # what a layer reads and what it writes
    assert cost.training_bytes == 3 * 4 * 2**16  # every result is kept for the way back
    assert 0 < cost.seconds < 1


# All of it


def test_the_summary_of_a_model_and_nothing_is_left_behind(synthetic):
    model = synthetic.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    summary = summarize_model(model, clip_call(1), synthetic.length, synthetic.sample_rate)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(before[name], value)
    text = summary.text(depth=2)
    assert text.startswith("DiffusionModel, one clip of 4,096 samples (512.0 ms)\n")
    assert f"weights: {sum(w.numel() for w in model.parameters()):,} weights (" in text
    assert "\n  net: UNetV0" in text and "down: Downsample" not in text
    assert "down: Downsample" in summary.text()
    assert "lengths: any: it pads and crops" in text and "answers in float32" in text
    assert summary.lengths.multiple == 1 and summary.field.frames.size == 31
    hop = 128
    assert abs(summary.field.samples.size - 31 * hop) < 4 * hop
    assert summary.cost.training_bytes > summary.cost.forward_bytes > 0


def test_channels_are_found_by_trying(synthetic):
    assert find_channels(synthetic.model, clip_call, 512) == 1
    assert find_channels(unet(in_channels=2), network_call, 64) == 2
    assert find_channels(unet(in_channels=5), network_call, 64) == 5
    with pytest.raises(ValueError, match="takes neither one nor two channels of 64 samples"):
        find_channels(Told(nn.Conv1d(3, 3, 1)), network_call, 64)
