"""The checks of conditioning in closed form, and on the library's own models."""

import copy

import pytest
import torch
from conditioning_stand_ins import COUNT, Recall, clips, recall
from torch import nn

from audio_diffusion_pytorch import (
    DiffusionAE,
    DiffusionModel,
    DiffusionUpsampler,
    DiffusionVocoder,
    UNetV0,
)
from audio_diffusion_pytorch.conditioning import ByteText
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    condition_against_target,
    condition_at_sampling,
    condition_influence,
    condition_leak,
    condition_spread,
    conditioner_gain,
    examine_conditioning,
    label_identity,
    null_condition,
    probe_conditioner_gain,
    shared_recordings,
)

SHAPE = {"channels": [8, 16], "factors": [2, 2], "items": [1, 1], "modulation_features": 32}
SAME = torch.zeros(COUNT, 1, dtype=torch.long)


def by_check(findings):
    return {finding.check: finding for finding in findings}


# ---- influence


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.9, "ok"), (0.05, "ok"), (0.01, "suspicious"), (0.001, "wrong")]
)
def test_the_rise_of_the_loss_is_that_of_the_closed_form(share, verdict):
    """Guessing `s x'` for `x` at right angles costs 1 + s^2, for `x` itself (1 - s)^2."""
    found = condition_influence(recall(share), clips())
    expected = (1 + share**2) / (1 - share) ** 2 - 1
    assert found.figures["rise of the loss"] == pytest.approx(expected, rel=2e-3)
    assert (found.check, found.verdict) == ("condition influence", verdict)
    assert bool(found.remedy) == (verdict != "ok")


def test_conditions_that_are_all_the_same_are_named():
    found = condition_influence(recall(0.5), clips(SAME))
    assert found.verdict == "suspicious"
    assert "all 12 clips are told the same" in found.message
    with pytest.raises(ValueError, match="told the same: pass other clips"):
        probe_conditioner_gain(recall(0.5), clips(SAME))


def test_only_items_that_are_told_something_else_count():
    labels = torch.arange(COUNT)[:, None] % 12
    labels[:6] = 0  # six items alike: whoever keeps his condition must not dilute the rise
    audio = clips().audio[labels[:, 0]]
    found = condition_influence(recall(0.5), Clip(audio, labels, []))
    assert found.figures["rise of the loss"] == pytest.approx(1.25 / 0.25 - 1, rel=1e-2)


def test_a_single_clip_is_refused_and_two_are_enough():
    alone, two = (Clip(x.audio[:n], x.labels[:n], []) for n, x in ((1, clips()), (2, clips())))
    with pytest.raises(ValueError, match="exchanging it between clips, got 1"):
        condition_influence(recall(0.5), alone)
    assert examine_conditioning(recall(0.5), alone) == []
    found = condition_influence(recall(0.5), two)
    assert found.figures["rise of the loss"] == pytest.approx(4.0, rel=1e-2)


# ---- gain


class Added(nn.Module):
    """`x + gain * condition`, both of unit variance."""

    def __init__(self, gain):
        super().__init__()
        self.signal, self.condition = nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 1)
        self.out = nn.Conv1d(1, 1, 1)
        for layer, weight in ((self.signal, 1.0), (self.condition, gain), (self.out, 1.0)):
            nn.init.constant_(layer.weight, weight)
            nn.init.constant_(layer.bias, 3.0)

    def forward(self, x, time, *, lead):
        del time
        return self.out(self.signal(x) + self.condition(lead))


def led(net):
    """A model that is told a signal, made of the labels, of unit variance as its sounds."""
    model = DiffusionModel(lambda **_: net, in_channels=1)

    def loss(model, batch, generator, times=None):
        lead = torch.randn(COUNT, 1, 96, generator=torch.Generator().manual_seed(1))
        return model(batch.audio, generator=generator, times=times, reduction="none", lead=lead)

    return model, loss


@pytest.mark.parametrize(
    ("gain", "now", "start"),
    [
        (1.0, "ok", "ok"),
        (0.025, "suspicious", "suspicious"),
        (0.005, "wrong", "suspicious"),
        (20.0, "suspicious", "suspicious"),
        (500.0, "wrong", "suspicious"),
    ],
)
def test_the_probe_finds_the_gain_of_a_sum(gain, now, start):
    model, loss = led(Added(gain))
    found = probe_conditioner_gain(model, clips(), loss=loss)
    assert found.figures["gain"] == pytest.approx(gain, rel=0.2)
    assert (found.figures["layers where both meet"], found.verdict) == (2, now)  # out, and all
    assert probe_conditioner_gain(model, clips(), loss=loss, initial=True).verdict == start


def test_the_direct_gain_is_that_of_the_deviations_without_their_biases():
    net = Added(0.5)
    x, lead = 2 * torch.randn(4, 1, 400), torch.randn(4, 1, 400)
    found = conditioner_gain(net.signal, net.condition, lambda: net(x, None, lead=lead))
    assert found.figures["gain"] == pytest.approx(0.5 * float(lead.std() / x.std()), rel=1e-3)
    assert found.verdict == "ok" and not found.remedy
    assert not net.signal._forward_hooks
    with pytest.raises(ValueError, match=r"run\(\) did not call signal_path"):
        conditioner_gain(nn.Linear(1, 1), net.condition, lambda: net(x, None, lead=lead))
    with pytest.raises(ValueError, match="2 or more items or positions"):
        conditioner_gain(
            net.signal, net.condition, lambda: net(x[:1, :, :1], None, lead=lead[:1, :, :1])
        )


class Gated(nn.Module):
    """Adaptive normalisation that starts by letting nothing in; `closed` by zeros or for good."""

    def __init__(self, connected=True):
        super().__init__()
        self.table, self.connected = nn.Embedding(COUNT, 8), connected
        self.scale = nn.Linear(8, 4)
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.scale.bias)
        self.into, self.out = nn.Conv1d(1, 4, 1), nn.Conv1d(4, 1, 1)

    def forward(self, x, time, *, labels):
        del time
        told = self.table(labels[:, 0])
        scale = self.scale(told)[..., None] if self.connected else 0.0
        return self.out(self.into(x) * (1 + scale))


def test_layers_of_zeros_are_right_at_the_start_and_a_fault_later():
    model = DiffusionModel(lambda **_: Gated(), in_channels=1)
    start = probe_conditioner_gain(model, clips(), initial=True)
    assert start.verdict == "ok" and "zeros (scale)" in start.message
    later = probe_conditioner_gain(model, clips())
    assert later.verdict == "wrong" and "still hold zeros (scale)" in later.message
    nn.init.normal_(model.net.scale.weight)
    assert probe_conditioner_gain(model, clips()).verdict == "ok"


def test_a_condition_that_reaches_no_layer_of_the_signal_is_wrong_at_any_time():
    model = DiffusionModel(lambda **_: Gated(connected=False), in_channels=1)
    for initial in (False, True):
        found = probe_conditioner_gain(model, clips(), initial=initial)
        assert found.verdict == "wrong" and "it ends in table" in found.message


# ---- null condition


def test_no_condition_is_weighed_against_zero_and_a_wrong_one():
    """To say zero costs 1, to guess a wrong sound `(1 + s^2) / sigma^2`."""
    found = null_condition(recall(0.9), clips())
    assert found.verdict == "ok"
    assert found.figures["loss over that of answering zero"] == pytest.approx(1, rel=1e-5)
    sigmas = [1 / (1 + 10 ** (decibels / 10)) for decibels in (-20, -10, 0, 10, 20)]
    expected = sum(sigmas) / 5 / (1 + 0.9**2)
    wrong = found.figures["loss over that under another's condition"]
    assert wrong == pytest.approx(expected, rel=0.05)
    untrained = null_condition(recall(0.9, null=0.9), clips())  # a wrong sound in place of none
    assert untrained.verdict == "suspicious" and "not trained" in untrained.message
    assert untrained.figures["loss over that under another's condition"] > 0.9


def test_a_row_that_was_never_trained_is_named_on_a_real_model(piano):
    model = piano.fresh()
    assert null_condition(model, piano.held_back).verdict == "ok"
    table = model.net.class_embedding.tables[0].weight.data
    table[-1] = torch.randn(table[-1].shape, generator=torch.Generator().manual_seed(0)) * 3
    assert null_condition(model, piano.held_back).verdict == "suspicious"


def test_no_condition_that_is_answered_like_any_gives_no_direction():
    model = DiffusionModel(lambda **_: Recall(1, 1, share=0.0, null=0.0), in_channels=1)
    found = null_condition(model, clips())
    assert found.verdict == "suspicious" and "a direction" in found.message


class Mixing(Recall):
    """Scales by the largest value of the whole batch."""

    def forward(self, x, time, *, labels=None):
        said = super().forward(x, time, labels=labels)
        return said / said.abs().amax()


def test_guidance_of_one_must_be_the_plain_condition():
    model = DiffusionModel(Mixing, in_channels=1, share=0.9, null=30.0)
    found = null_condition(model, clips())
    assert found.verdict == "wrong" and "guidance of 1" in found.message


def test_what_has_no_null_is_refused_unless_it_is_given():
    model, loss = led(Added(1.0))
    with pytest.raises(ValueError, match="pass null="):
        null_condition(model, clips(), loss=loss)
    found = null_condition(model, clips(), loss=loss, null={"lead": torch.zeros(COUNT, 1, 96)})
    assert found.check == "null condition"


# ---- at sampling


def test_sampling_with_noise_of_its_own_is_judged_by_what_reaches_the_network(piano):
    """Sounds that differ anyhow must not hide that nothing is told."""
    few = Clip(*(part[:8] for part in piano.held_back))

    def sampling(told):
        def make(asked, steps, generator):
            del generator
            cond = {"labels": asked.labels} if told else {}
            return piano.model.generate(len(asked.audio), 1024, steps, **cond)

        return make

    count = iter(range(100))

    def unrepeatable(make):
        def made(*args):
            torch.manual_seed(next(count))
            return make(*args)

        return made

    assert condition_at_sampling(piano.model, few, sampling(True)).verdict == "ok"
    assert condition_at_sampling(piano.model, few, sampling(False)).verdict == "wrong"
    assert condition_at_sampling(piano.model, few, unrepeatable(sampling(True))).verdict == "ok"
    lost = condition_at_sampling(piano.model, few, unrepeatable(sampling(False)))
    assert lost.verdict == "wrong" and "nothing at sampling" in lost.message


def test_a_network_that_does_not_listen_is_not_blamed_on_sampling():
    found = condition_at_sampling(recall(0.0), clips())
    assert found.verdict == "suspicious" and "condition influence" in found.remedy


def test_it_is_said_where_no_way_to_sample_is_known():
    with pytest.raises(ValueError, match="a GaussianOnly alone"):

        class GaussianOnly(nn.Module):
            def __init__(self):
                super().__init__()
                self.diffusion = recall(0.5).diffusion

            def forward(self, *args, **kwargs):
                return self.diffusion(*args, **kwargs)

        condition_at_sampling(GaussianOnly(), clips())


# ---- leaks


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "ok"), (0.4, "suspicious"), (1.0, "wrong")])
def test_sounds_known_by_heart_show_in_pure_noise(share, verdict):
    """Twelve sounds at right angles spread by 1; the guess `s x` errs by (1 - s)^2."""
    found = condition_leak(recall(share), clips())
    assert found.figures["error over spread"] == pytest.approx((1 - share) ** 2, abs=0.02)
    assert (found.check, found.verdict) == ("condition leak", verdict)


def test_sounds_that_are_the_same_under_one_label_are_no_secret():
    """The label may say all of the sound if all sounds of the label are one."""
    labels = torch.arange(COUNT)[:, None] % 4
    found = condition_leak(recall(1.0), Clip(clips().audio[labels[:, 0]], labels, []))
    assert found.verdict == "ok" and found.figures["conditions compared"] == 4
    audio = clips().audio.flip(0)  # now a label has three sounds: the first of them is no guess
    assert condition_leak(recall(1.0), Clip(audio, labels, [])).verdict == "ok"


class Led(nn.Module):
    """Is given signals beside its own, and ignores them."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, time, *, lead):
        del time, lead
        return self.weight * x


@pytest.mark.parametrize(
    ("level", "verdict"), [(0.0, "wrong"), (3e-4, "suspicious"), (1e-2, "ok"), (1.0, "ok")]
)
def test_the_target_in_another_guise_is_found_beside_it(level, verdict):
    """Swapped stereo channels at another gain and sign are still the target."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(COUNT, 2, 96, generator=generator)
    lead = -0.3 * (audio + level * torch.randn(audio.shape, generator=generator)).flip(1)

    def loss(model, batch, generator, times=None):
        return model(batch.audio, generator=generator, times=times, reduction="none", lead=lead)

    model = DiffusionModel(lambda **_: Led(), in_channels=2)
    found = condition_against_target(model, Clip(audio, SAME, []), loss=loss)
    assert (found.check, found.verdict) == ("condition against target", verdict)
    if level:
        left = found.figures["left over by lead in dB"]
        expected = 10 * torch.tensor(level**2 / (1 + level**2)).log10()
        assert left == pytest.approx(float(expected), abs=0.5)
    with pytest.raises(ValueError, match="use condition_leak"):
        condition_against_target(recall(0.5), clips())
    with pytest.raises(ValueError, match="use condition_against_target"):
        condition_leak(model, Clip(audio, SAME, []), loss=loss)


def test_labels_that_name_recordings_are_told_from_labels_that_recordings_share():
    names = [f"{k}.wav@{s}" for k in range(10) for s in (0, 500)]
    audio = torch.empty(20, 1, 0)
    own = torch.arange(10).repeat_interleave(2)[:, None]
    found = label_identity(Clip(audio, own, names))
    assert found.verdict == "suspicious" and found.figures["recordings"] == 10
    assert label_identity(Clip(audio, own // 2, names)).verdict == "ok"
    both = torch.cat([own // 2, own % 2], 1)  # together they name it; each is shared
    assert label_identity(Clip(audio, both, names)).verdict == "ok"
    unknown = torch.where(own < 4, own, -1)  # four recordings may well have one each
    assert label_identity(Clip(audio, unknown, names)).verdict == "ok"
    with pytest.raises(ValueError, match="leave this check out"):
        label_identity(Clip(audio, own[:, :0], names))


def test_held_back_clips_of_trained_recordings_are_counted_by_name_and_by_sample():
    train = Clip(torch.randn(4, 1, 8), torch.zeros(4, 0), [f"{k}.wav@0" for k in range(4)])
    apart = Clip(torch.randn(3, 1, 8), torch.zeros(3, 0), [f"{k}.wav@0" for k in (7, 8, 9)])
    assert shared_recordings(train, apart).verdict == "ok"
    same_file = apart._replace(name=["2.wav@900", "8.wav@0", "9.wav@0"])
    copied = apart._replace(audio=torch.cat([train.audio[1:2], apart.audio[1:]]))
    for leaking in (same_file, copied):
        found = shared_recordings(train, leaking)
        assert found.verdict == "suspicious" and found.figures["of trained recordings"] == 1
    silent = (clip._replace(audio=torch.zeros_like(clip.audio)) for clip in (train, apart))
    assert shared_recordings(*silent).verdict == "ok"


# ---- codes


def coded(codes, lead="lead"):
    """What the check says of a network that is told these codes."""

    def loss(model, batch, generator, times=None):
        told = {lead: codes}
        return model(batch.audio, generator=generator, times=times, reduction="none", **told)

    model = DiffusionModel(lambda **_: Led(), in_channels=1)
    return condition_spread(model, clips(), loss=loss)


def test_codes_at_their_bounds_and_codes_that_are_all_alike_are_named():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(COUNT, 4, 8, generator=generator)
    found = coded((codes / 2).tanh())
    assert (found.check, found.verdict) == ("condition spread", "ok")
    assert found.figures["share at +-1"] < 0.01

    found = coded((codes[:1] * 1e5).tanh().expand_as(codes))
    assert found.verdict == "wrong" and "tanh" in found.remedy
    assert "codes (lead) are saturated: 100 % of them at +-1" in found.message
    assert "differ between clips by 0 % of their size, right is a spread" in found.message

    assert coded(codes.sign()).verdict == "suspicious"  # binary codes may be meant so
    assert coded(torch.where(codes > 0, codes.sign(), 0.5 * codes)).verdict == "ok"  # a half

    found = coded(codes[:1].expand_as(codes))
    assert found.verdict == "suspicious" and found.figures["share at +-1"] < 0.1
    assert "all clips the same" in found.remedy
    with pytest.raises(ValueError, match="leave this check out"):
        condition_spread(recall(0.5), clips())


def test_a_saturated_encoder_is_named_before_what_follows_from_it(piano):
    class Encoder(nn.Module):
        out_channels, downsample_factor = 4, 64

        def __init__(self, drive):
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.drive = nn.Conv1d(1, 4, 64, stride=64), drive

        def forward(self, x):
            return (self.drive * self.layer(x)).tanh()

    for drive, verdict in ((1.0, "ok"), (1e6, "wrong")):
        encoder = Encoder(drive)
        with torch.no_grad():
            encoder.layer.weight.mul_(0.1 if drive == 1.0 else 0.0)
        model = DiffusionAE(1, encoder=encoder, inject_depth=1, net_t=UNetV0, **SHAPE)
        found = examine_conditioning(model, short(piano, labels=False))
        assert (found[0].check, found[0].verdict) == ("condition spread", verdict)


# ---- all of them, on the library's models


def short(piano, labels=True):
    held = piano.held_back
    return Clip(held.audio[..., :1024], held.labels if labels else held.labels[:, :0], held.name)


def test_an_upsampler_and_a_vocoder_are_examined_by_their_signals(piano):
    torch.manual_seed(0)
    upsampler = DiffusionUpsampler(in_channels=1, upsample_factor=2, net_t=UNetV0, **SHAPE)
    vocoder = DiffusionVocoder(
        net_t=UNetV0, mel_channels=12, mel_n_fft=64, mel_sample_rate=8000,
        mel_normalize_log=True, num_classes=62, **SHAPE,
    )  # fmt: skip
    found = by_check(examine_conditioning(upsampler, short(piano, labels=False)))
    assert [*found] == [
        "condition spread", "condition influence", "conditioner gain", "condition at sampling",
        "condition against target",
    ]  # fmt: skip
    assert found["condition at sampling"].verdict == "ok"
    assert found["condition against target"].verdict == "ok"
    found = by_check(examine_conditioning(vocoder, short(piano), initial=copy.deepcopy(vocoder)))
    assert found["condition influence"].verdict == "wrong"  # it was never trained
    assert found["null condition"].figures["condition"] == "labels"
    assert found["condition at sampling"].verdict == "ok"
    assert found["conditioner gain at the start"].verdict == "ok"
    alone = {name for name in found["condition influence"].figures if name.endswith("alone")}
    assert alone == {"rise by labels alone", "rise by append_channels alone"}


def test_a_model_of_texts_is_examined_by_its_loss(piano):
    torch.manual_seed(0)
    model = DiffusionModel(
        UNetV0, in_channels=1, text_encoder=ByteText(16, max_length=16, num_layers=1),
        cross_attentions=[0, 1], use_embedding_cfg=True, embedding_max_length=16,
        attention_heads=2, attention_features=8, **SHAPE,
    )  # fmt: skip

    def loss(model, batch, generator, times=None):
        return model(
            batch.audio,
            text=[f"note {int(label)}" for label in batch.labels[:, 0]],
            embedding_mask_proba=0.1,
            generator=generator,
            times=times,
            reduction="none",
        )

    found = by_check(examine_conditioning(model, short(piano), loss=loss))
    assert found["condition influence"].figures["condition"] == "text"
    assert found["condition influence"].verdict == "wrong"  # it was never trained
    assert found["conditioner gain"].figures["gain"] > 0.03
    assert {"null condition", "condition at sampling", "condition leak"} <= set(found)


class Encoder(nn.Module):
    out_channels, downsample_factor = 4, 16

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 16, 16)

    def forward(self, x):
        return self.conv(x)


def test_the_latents_of_a_diffusion_autoencoder_are_a_condition_too(piano):
    torch.manual_seed(0)
    model = DiffusionAE(in_channels=1, encoder=Encoder(), inject_depth=1, net_t=UNetV0, **SHAPE)
    found = by_check(examine_conditioning(model, short(piano, labels=False)))
    assert found["conditioner gain"].figures["condition"] == "channels"
    assert found["condition at sampling"].figures["difference of the sounds"] > 0


def test_models_that_are_told_nothing_have_nothing_to_examine(synthetic, piano):
    assert examine_conditioning(synthetic.model, synthetic.train, synthetic.held_back) == []
    unlabelled = [piano.held_back._replace(labels=piano.held_back.labels[:, :0])] * 2
    assert examine_conditioning(piano.model, *unlabelled) == []


def test_conditions_that_are_all_unknown_are_one_finding(piano):
    unknown = piano.held_back._replace(labels=torch.full_like(piano.held_back.labels, -1))
    found = by_check(examine_conditioning(piano.model, unknown))
    assert found["condition influence"].verdict == "suspicious"
    assert not {"conditioner gain", "null condition", "condition at sampling"} & set(found)


def test_held_back_clips_that_are_told_the_same_give_way_to_those_trained_on(piano):
    alike = Clip(*(part[:2] for part in piano.held_back))
    assert len(alike.labels.unique()) == 1
    found = by_check(examine_conditioning(piano.model, piano.train, alike))
    assert found["condition influence"].verdict == "ok"
    assert found["held-back recordings"].figures["held-back clips"] == 2
    one = Clip(*(part[:1] for part in piano.held_back))
    assert examine_conditioning(piano.model, one, one) == []


def test_examining_changes_nothing_and_says_the_same_twice(piano):
    model = piano.fresh().train()
    model.net.class_embedding.eval()
    modes = [part.training for part in model.modules()]
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    initial = piano.fresh()
    initial.normalizer.fitted.fill_(False)
    runs = [
        examine_conditioning(model, piano.held_back, initial=initial, collection=piano.train)
        for _ in range(2)
    ]
    assert [finding.to_dict() for finding in runs[0]] == [f.to_dict() for f in runs[1]]
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in model.modules()] == modes
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(part._forward_hooks for part in model.modules())
    assert not bool(initial.normalizer.fitted)


def test_half_precision_says_the_same(piano):
    half = piano.fresh().bfloat16()
    clips = piano.held_back._replace(audio=piano.held_back.audio.bfloat16())
    found = examine_conditioning(half, clips)
    assert [finding.verdict for finding in found] == ["ok"] * len(found) and len(found) > 4
