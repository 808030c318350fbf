"""The loss against the possible, held against closed forms."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    LevelMeter,
    Levels,
    LinearDenoiser,
    LossMarks,
    check_answer_sign,
    check_best,
    check_share,
    check_trivial_loss,
    compare_losses,
    examine_losses,
    measure_levels,
    read_levels,
    write_levels,
)
from audio_diffusion_pytorch.diagnostics.possible import DECIBELS
from audio_diffusion_pytorch.diagnostics.possible.measure import (
    MOST_CLIPS,
    batches,
    clean_signals,
    linear_denoiser,
    some_clips,
    training_times,
)
from audio_diffusion_pytorch.diagnostics.possible.trivial import trivial_finding
from audio_diffusion_pytorch.diffusion import (
    ARVDiffusion,
    CleanPrediction,
    DiscreteBetas,
    EDMPreconditioning,
    EpsilonPrediction,
    FlowPrediction,
    GaussianDiffusion,
    HalfCircle,
    KDiffusion,
    LinearBeta,
    LogitNormal,
    StraightPath,
    VDiffusion,
    VKDiffusion,
    VPrediction,
)
from audio_diffusion_pytorch.models.clip_loss import diffusion_loss

HEADS = [
    EpsilonPrediction(), CleanPrediction(), VPrediction(), FlowPrediction(), EDMPreconditioning(1.0)
]  # fmt: skip
SIGNAL = torch.sin(torch.arange(64) / 3) * 2**0.5


class Model(nn.Module):
    """A diffusion on raw samples."""

    def __init__(self, diffusion: GaussianDiffusion) -> None:
        super().__init__()
        self.diffusion = diffusion

    def forward(self, audio: Tensor, generator: Any = None, **options: Any) -> Tensor:
        loss: Tensor = self.diffusion(audio, generator=generator, **options)
        return loss


class Recites(nn.Module):
    """Guesses a share of the noisy signal, and some signal known by heart."""

    def __init__(self, head: Any, schedule: Any, signal: Tensor | None, share: float = 0.0) -> None:
        super().__init__()
        self.head, self.schedule, self.share = head, schedule, share
        self.signal = nn.Parameter(torch.zeros(1) if signal is None else signal.clone())
        self.knows = signal is not None

    def forward(self, x: Tensor, said: Tensor, **_: Any) -> Tensor:
        # The time, whatever the net is told in its place.
        time = said if not isinstance(self.head, EDMPreconditioning) else _time_of(said, self)
        alpha, sigma = (v[:, None, None] for v in self.schedule.alpha_sigma(time))
        _, _, c_in, _ = self.head.coefficients(time, alpha, sigma)
        noisy = x / c_in
        if self.knows:
            guess = self.signal.expand_as(x)
        else:
            guess = alpha * noisy / (alpha**2 + sigma**2) + 0 * self.signal
        noise = (noisy - alpha * guess) / sigma.clamp_min(1e-6)
        answer: Tensor = self.head.target(guess, noise, alpha, sigma)
        return answer


def _time_of(said: Tensor, net: Recites) -> Tensor:
    return net.schedule.time_at(-8 * said)  # it is told log(sigma / alpha) / 4


def recites(
    head: Any,
    schedule: Any = None,
    signal: Tensor | None = SIGNAL,
    read: Any = None,
    **options: Any,
) -> Model:
    """A model that answers as `head` would, read as `read` if that is given."""
    schedule = HalfCircle() if schedule is None else schedule
    net = Recites(head, schedule, signal)
    return Model(GaussianDiffusion(net, schedule, read or head, **options))


def clips(audio: Tensor) -> Clip:
    return Clip(audio, torch.empty(len(audio), 0).long(), [f"{i}" for i in range(len(audio))])


def same(count: int = 20) -> Clip:
    return clips(SIGNAL.expand(count, 1, -1).clone())


def white(count: int = 40, channels: int = 1, length: int = 64, seed: int = 0) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    return clips(torch.randn(count, channels, length, generator=generator))


def coloured(count: int, length: int = 128, seed: int = 0) -> Tensor:
    """Circular Gaussian noise with power 4 in the lowest quarter of the frequencies, 0 above."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft(torch.randn(count, 1, length, generator=generator))
    spectrum[..., length // 8 :] = 0
    return 2 * torch.fft.irfft(spectrum, length)


# The best linear denoiser


def test_linear_denoiser_of_many_clips_reaches_wieners_error():
    """Power 4 in a quarter of the frequencies: there 4 s^2 / (4 a^2 + s^2), elsewhere nothing."""
    alpha, sigma = HalfCircle().alpha_sigma(torch.linspace(0.1, 0.9, 9).double())
    denoiser = LinearDenoiser(coloured(2000))
    found = denoiser.errors(coloured(2000, seed=1), alpha, sigma).mean(0)
    share = (2 * 15 + 1) / 128  # of the frequencies that sound
    wanted = share * 4 * sigma**2 / (4 * alpha**2 + sigma**2)
    torch.testing.assert_close(found, wanted, rtol=0.03, atol=0)


@pytest.mark.parametrize("length", [63, 64])
def test_its_error_is_that_of_filtering_noisy_signals(length):
    """What is computed without drawing noise is the mean of what drawn noise gives."""
    generator = torch.Generator().manual_seed(3)
    train, judged = white(9, 2, length), torch.randn(1, 2, length, generator=generator)
    denoiser = LinearDenoiser(train.audio.cumsum(-1))
    alpha, sigma = torch.tensor([0.8]).double(), torch.tensor([0.6]).double()
    noise = torch.randn(20_000, 2, length, generator=generator)
    spectrum = denoiser.spectrum.float()
    gain = 0.8 * spectrum / (0.64 * spectrum + 0.36)
    guess = torch.fft.irfft(gain * torch.fft.rfft(0.8 * judged + 0.6 * noise), length)
    brute = float((guess - judged).square().mean())
    assert float(denoiser.errors(judged, alpha, sigma)) == pytest.approx(brute, rel=0.01)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_few_clips_never_make_it_much_worse_than_the_loudness(count):
    denoiser = LinearDenoiser(white(count, 4).audio)
    alpha, sigma = HalfCircle().alpha_sigma(torch.linspace(0.1, 0.9, 9).double())
    judged = white(200, 4, seed=1).audio
    found = denoiser.errors(judged, alpha, sigma).mean(0)
    assert (found < 1.15 * sigma**2).all()


def test_clips_of_another_length_or_silent_are_judged():
    denoiser = LinearDenoiser(coloured(50))
    alpha, sigma = torch.tensor([0.5]), torch.tensor([0.8])
    exact = denoiser.errors(coloured(200, 128, 1), alpha, sigma).mean()
    longer = denoiser.errors(coloured(200, 256, 1), alpha, sigma).mean()
    assert float(longer) == pytest.approx(float(exact), rel=0.15)
    silent = LinearDenoiser(torch.zeros(3, 1, 16))
    assert float(silent.errors(torch.zeros(1, 1, 16), alpha, sigma)) == 0
    with pytest.raises(ValueError, match="at least one sample"):
        LinearDenoiser(torch.zeros(0, 1, 16))


def test_channels_and_bands_each_have_their_filter():
    """One loud row and one silent row: what is known of the second is that it is silent."""
    rows = torch.stack([white(40).audio[:, 0] * 2**0.5, torch.zeros(40, 64)], 1)
    alpha, sigma = torch.tensor([0.6]).double(), torch.tensor([0.8]).double()
    found = float(LinearDenoiser(rows).errors(rows, alpha, sigma).mean())
    assert found == pytest.approx(0.5 * 2 * 0.64 / (2 * 0.36 + 0.64), rel=0.15)
    bands = rows.reshape(40, 1, 2, 64)  # the same as bands of one channel
    assert float(LinearDenoiser(bands).errors(bands, alpha, sigma).mean()) == pytest.approx(found)


# The table of levels


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("schedule", [HalfCircle(), StraightPath(), LinearBeta()], ids=str)
def test_knowing_everything_is_one_and_knowing_the_loudness_is_zero(head, schedule):
    perfect = measure_levels(recites(head, schedule), same())
    assert perfect.decibels == DECIBELS and perfect.clips == 20
    assert perfect.share == pytest.approx(1, abs=1e-3)
    assert perfect.marks.loss == pytest.approx(0, abs=1e-3)
    loud = measure_levels(recites(head, schedule, None), white(200), white(40, seed=1))
    assert loud.share == pytest.approx(0, abs=0.03)
    assert loud.linear_share == pytest.approx(0, abs=0.03)
    if not isinstance(head, FlowPrediction):  # weighs the clean end most, where clips are few
        assert loud.marks.loss == pytest.approx(loud.marks.loudness, rel=1e-3)
    levels = 10 ** (torch.tensor(DECIBELS) / 10)
    wanted = loud.variance / (loud.variance * levels + 1)
    torch.testing.assert_close(torch.tensor(loud.loudness), wanted, rtol=0.01, atol=1e-6)


def test_fainter_clips_than_those_trained_on():
    """Knowing the loudness means that of the training clips: the reference is off, as they are."""
    faint = clips(white(40, seed=1).audio * 0.1)
    table = measure_levels(recites(VPrediction(), None, None), white(200), faint)
    levels = 10 ** (torch.tensor(DECIBELS) / 10)
    gain = 1 / (levels + 1)  # what is left of the signal; the noise comes in by (1 - gain)^2
    wanted = gain**2 * table.variance + (1 - gain) ** 2 / levels
    torch.testing.assert_close(torch.tensor(table.loudness), wanted, rtol=0.05, atol=1e-6)
    assert abs(table.share) < 0.05 and abs(table.linear_share) < 0.05


def test_silence_is_far_below_nothing():
    table = measure_levels(recites(VPrediction()), same())
    powers = [10 ** (level / 10) for level in DECIBELS]
    assert table.silent_share == pytest.approx(-sum(powers) / len(powers), rel=1e-4)


@pytest.mark.parametrize("level", [0.1, 0.03])
def test_levels_are_those_of_the_data(level):
    """A filter explains as much of quiet data as of loud: what counts is the noise beside them."""
    loud = clips(coloured(40, length=64))
    quiet = loud._replace(audio=level * loud.audio)
    model = recites(VPrediction())
    shares = [measure_levels(model, given).linear_share for given in (loud, quiet)]
    assert shares[1] == pytest.approx(shares[0], abs=1e-3) and shares[0] > 0.2


def test_levels_that_the_schedule_never_reaches_are_left_out():
    """50 steps of betas 1e-4 to 0.05 end at -4.1 dB."""
    table = measure_levels(recites(VPrediction(), DiscreteBetas.linear(50, 1e-4, 0.05)), same())
    assert table.decibels == (0.0, 5.0, 10.0, 15.0, 20.0)
    assert table.num_steps == 50
    hard = recites(VPrediction(), DiscreteBetas.linear(2, 1e-5, 2e-5))
    with pytest.raises(ValueError, match="reaches none of the levels"):
        measure_levels(hard, same())


def test_the_loss_is_that_of_the_training_times():
    """Of a zero answer to the noise it is 1; of the loudness E alpha^2 over the times drawn."""
    times = LogitNormal(1.0, 0.7)
    table = measure_levels(
        recites(EpsilonPrediction(), None, None, times=times), white(200), white(40, seed=1)
    )
    drawn = times(100_000, torch.device("cpu"), torch.Generator().manual_seed(1))
    wanted = float(torch.cos(drawn * math.pi / 2).square().mean())
    assert table.marks.zero == pytest.approx(1, rel=0.03)
    assert table.marks.loss == pytest.approx(wanted, rel=0.06)
    assert table.marks.kind == "mse" and table.marks.exact
    own = measure_levels(recites(VPrediction(), loss_fn=lambda a, b: (a - b).mean()), same(3))
    assert not own.marks.exact
    absolute = measure_levels(recites(EpsilonPrediction(), None, None, loss_fn=F.l1_loss), white())
    assert absolute.marks.zero == pytest.approx((2 / math.pi) ** 0.5, rel=0.03)


def test_it_leaves_everything_as_it_was_and_repeats_itself():
    model, data = recites(VPrediction()), white(20)
    model.train()
    model.diffusion.net.eval()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = measure_levels(model, data)
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training and not model.diffusion.net.training
    torch.rand(3)
    assert measure_levels(model, data) == first
    assert measure_levels(model, data, seed=1) != first


def test_parts_of_the_clips_add_up():
    """What several processes sum is what one measures."""
    model, data = recites(VPrediction()), white(20)
    denoiser = linear_denoiser(model, data, diffusion_loss)
    meter = LevelMeter(model.diffusion, denoiser, 20, held_back=False, rounds=4)
    sums = [meter.sums(model, part, first) for first, part in batches(data)]
    assert len(sums) == 2 and all(len(part) == meter.num_sums for part in sums)
    assert meter.levels(model, sums[1] + sums[0]) == measure_levels(model, data)


def test_many_clips_are_judged_by_some_of_them_whatever_turns_they_come_in():
    kinds = clips(torch.arange(192.0)[:, None, None].expand(-1, 1, 8))
    chosen = some_clips(kinds)
    assert len(chosen.audio) == MOST_CLIPS == len(set(chosen.name))
    assert len({int(value) % 6 for value in chosen.audio[:, 0, 0]}) == 6
    assert some_clips(chosen) is chosen


def test_half_precision_and_stereo():
    audio = torch.stack([SIGNAL, -SIGNAL])[None].expand(6, -1, -1)
    model = Model(VDiffusion(Recites(VPrediction(), HalfCircle(), audio[0]))).bfloat16()
    table = measure_levels(model, clips(audio.bfloat16()))
    assert table.share > 0.9


def test_what_cannot_be_measured_is_refused():
    parts = Model(ARVDiffusion(nn.Conv1d(2, 1, 1), 64, 4))
    with pytest.raises(ValueError, match="noise level for each part"):
        measure_levels(parts, same())
    with pytest.raises(ValueError, match="GaussianDiffusion"):
        measure_levels(nn.Linear(1, 1), same())
    with pytest.raises(ValueError, match="pass the loss="):
        clean_signals(recites(VPrediction()), same(2), lambda *_: torch.zeros(2))


def test_clean_signals_are_seen_without_asking_the_network():
    model = recites(VPrediction())
    model.diffusion.net.forward = None  # type: ignore[assignment,method-assign]
    assert torch.equal(clean_signals(model, same(3), diffusion_loss), same(3).audio)


# The file of a run


def table(share: float = 0.4, **changes: Any) -> Levels:
    """A table whose model explains a share at every level."""
    loudness = tuple(1 / (10 ** (level / 10) + 1) for level in DECIBELS)
    values = {
        "decibels": DECIBELS,
        "model": tuple((1 - share) * known for known in loudness),
        "linear": tuple(0.9 * known for known in loudness),
        "loudness": loudness, "variance": 1.0, "clips": 32, "held_back": True,
        "parameterization": "VPrediction", "schedule": "HalfCircle()", "num_steps": 0,
        "marks": LossMarks("mse", 1 - share, 1.0, 1.0),
    }  # fmt: skip
    return Levels(**{**values, **changes})


def test_a_table_is_read_as_it_was_written(tmp_path):
    measured = measure_levels(recites(VPrediction()), white(5))
    for number, levels in enumerate((measured, table(math.inf), table())):
        write_levels(tmp_path / "levels.json", levels)
        assert read_levels(tmp_path) == read_levels(tmp_path / "levels.json") == levels, number
    write_levels(tmp_path / "levels.json", table(math.nan))
    assert math.isnan(read_levels(tmp_path).share)


def test_a_missing_or_other_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table of noise levels"):
        read_levels(tmp_path)
    for text in ("", "[]", "{}", '{"format": 1, "share": 0}', '{"format": 2}'):
        (tmp_path / "levels.json").write_text(text)
        with pytest.raises(ValueError, match="no table of noise levels of this version"):
            read_levels(tmp_path)


def test_clips_known_by_heart_are_not_called_nothing_learnt():
    trained = table(0.03, train_share=0.61)
    assert trained.by_heart and not table(0.3, train_share=0.61).by_heart
    assert not table(0.3).by_heart
    assert not table(-0.2, train_share=-0.11).by_heart
    assert not table(-0.35, train_share=-0.12).by_heart  # neither is known
    assert not table(0.02, train_share=0.2).by_heart
    found = check_share(trained)
    assert (found.verdict, "by heart" in found.message) == ("suspicious", True)
    assert "explains 3 % of what is possible, 61 % on training clips" in found.message
    assert "train longer" not in found.remedy and "checkpoints/best" in found.remedy
    marks = LossMarks("mse", 0.99, 1.2, 1.0)
    assert trivial_finding(marks).verdict == "wrong"
    assert trivial_finding(marks, by_heart=True).verdict == "suspicious"


def test_some_levels_of_a_table():
    part = table().at([0.0, 20.0])
    assert part.decibels == (0.0, 20.0) and part.model == (0.6 * 0.5, 0.6 / 101)
    with pytest.raises(ValueError, match="no level 1 dB"):
        table().at([1.0])


# What is said of it


@pytest.mark.parametrize(
    ("share", "verdict", "words"),
    [
        (0.4, "ok", "explains 40 % of what is possible (best linear 10 %)"),
        (0.05, "suspicious", "a filter without any training does better"),
        (0.01, "wrong", "how loud the data are and nothing more"),
        (-99.0, "wrong", "explains below -999 % of"),
        (-9.0, "wrong", "10.0 dB worse than knowing only"),
        (math.nan, "wrong", "not finite"),
    ],
)
def test_the_share(share, verdict, words):
    finding = check_share(table(share), table(0.2))
    assert finding.verdict == verdict and words in finding.message
    assert finding.figures["error of knowing the loudness at 0 dB"] == 0.5
    assert set(finding.curves[0].lines) == {
        "the model", "best linear denoiser", "knowing only the loudness", "guessing silence",
        "the previous best run",
    }  # fmt: skip
    assert "trained on" in check_share(table(share, held_back=False)).message


def test_the_previous_best_run():
    assert check_best(table(0.4), table(0.41)).verdict == "ok"
    worse = list(table(0.5).model)
    worse[2] *= 10
    finding = check_best(table(0.5, model=tuple(worse)), table(0.5))
    assert finding.verdict == "suspicious"
    assert "furthest behind at -10 dB, by 10.0 dB" in finding.message


@pytest.mark.parametrize(
    ("loss", "kind", "verdict", "words"),
    [
        (0.798, "l1", "wrong", "a network that answers zero, sqrt(2/pi) = 0.798"),
        (1.0, "mse", "wrong", "a network that answers zero, 1.0"),
        (1.3, "mse", "wrong", "worse than that of answering zero"),
        (math.nan, "mse", "wrong", "no number"),
        (0.9, "mse", "suspicious", "hardly below"),
        (0.5, "mse", "ok", "50 % below 1"),
    ],
)
def test_trivial_losses_by_name(loss, kind, verdict, words):
    finding = check_trivial_loss(loss, kind)
    assert finding.verdict == verdict and words in finding.message
    with pytest.raises(ValueError, match="mse"):
        check_trivial_loss(loss, "l2")


@pytest.mark.parametrize(
    ("steps", "loss", "floor", "verdict"),
    [
        (50, 0.65, 0.651, "wrong"),
        (500, 0.25, 0.279, "suspicious"),
        (1000, 0.21, 0.197, "wrong"),
        (2000, 0.14, 0.139, "wrong"),
        (1000, 0.1, 0.197, "ok"),
    ],
)
def test_losses_of_the_diary_are_the_white_noise_floor(steps, loss, floor, verdict):
    """`sqrt(2/pi) E sqrt(abar)`: an L1 loss of the noise that knows nothing of unit white data."""
    schedule = DiscreteBetas.linear(steps, 1e-4, 0.05)
    finding = check_trivial_loss(
        loss, "l1", diffusion=recites(EpsilonPrediction(), schedule).diffusion
    )
    assert finding.verdict == verdict
    known = finding.figures["loss of knowing only the loudness"]
    assert known == pytest.approx(floor, rel=0.03)
    assert finding.figures["loss of answering zero"] == pytest.approx(0.798, abs=1e-3)
    if verdict == "wrong":
        assert "the white-noise floor" in finding.message


def test_a_loss_between_two_marks_is_neither():
    between = trivial_finding(LossMarks("mse", 0.208, 1.0, 0.13))
    assert between.verdict == "wrong" and "0.208 is 1.6 times 0.13" in between.message
    assert "floor" not in between.message and "root mean square of 1" in between.remedy
    assert "answers zero" in trivial_finding(LossMarks("mse", 0.952, 1.0, 0.13)).message


@pytest.mark.parametrize("objective", [KDiffusion, VKDiffusion])
def test_objectives_that_draw_sigmas_are_measured_at_their_times(objective):
    model = Model(objective(Recites(VPrediction(), HalfCircle(), None)))
    drawn = training_times(model.diffusion, 512)
    assert 0 <= float(drawn.min()) < float(drawn.max()) <= 1
    sigmas = model.diffusion.t_to_sigma(drawn).log()
    if objective is KDiffusion:  # log-normal, -1.2 and 1.2
        assert float(sigmas.mean()) == pytest.approx(-1.2, abs=0.1)
        assert float(sigmas.std()) == pytest.approx(1.2, abs=0.1)
    found = examine_losses(model, white())
    assert [finding.check for finding in found] == [
        "sign of the answer", "trivial loss", "share of the possible",
    ]  # fmt: skip
    assert measure_levels(model, white()).decibels == DECIBELS


def test_floors_of_data_of_another_loudness():
    """seeds 2.2: white data of deviation 0.2 on the schedule of DDPM: MSE 0.081."""
    diffusion = recites(EpsilonPrediction(), DiscreteBetas.linear(1000)).diffusion
    finding = check_trivial_loss(0.08, "mse", diffusion=diffusion, variance=0.04)
    assert finding.figures["loss of knowing only the loudness"] == pytest.approx(0.081, rel=0.04)
    assert finding.verdict == "wrong"


# The sign


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_a_right_answer_is_read_rightly(head):
    finding = check_answer_sign(recites(head), same())
    assert finding.verdict == "ok" and "explains 100 %" in finding.message
    loudness = check_answer_sign(recites(head, None, None), white())
    assert loudness.verdict == "ok"


@pytest.mark.parametrize(
    ("head", "read"),
    list(permutations(HEADS[:3], 2)),
    ids=lambda head: type(head).__name__,
)
def test_an_answer_of_another_kind_is_named(head, read):
    finding = check_answer_sign(recites(head, read=read), same())
    assert finding.verdict == "wrong"
    assert "wrong parameterization: the network's answer explains 100 %" in finding.message
    assert type(head).__name__ in finding.message


def test_silent_clips_say_nothing():
    silent = clips(torch.zeros(3, 1, 64))
    with pytest.raises(ValueError, match="silent"):
        check_answer_sign(recites(VPrediction()), silent)
    assert math.isnan(measure_levels(recites(VPrediction()), silent).share)


def test_the_sign_of_another_project():
    """On the circle EDM's answer is the velocity with the other sign."""
    net = recites(VPrediction()).diffusion.net

    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = net

        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return -self.inside(x, time)

    finding = check_answer_sign(Model(VDiffusion(Other())), same())
    assert finding.verdict == "wrong"
    assert "wrong sign: the network's answer explains 100 % of what is possible" in finding.message


def test_a_target_that_is_not_what_is_read():
    class Twice(VPrediction):
        def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
            return 2 * super().target(clean, noise, alpha, sigma)

    finding = check_answer_sign(recites(VPrediction(), read=Twice()), same())
    assert finding.verdict == "wrong"
    assert finding.message.startswith("target and coefficients contradict")


# Two runs


def lossy(share: float, loss: float, **changes: Any) -> Levels:
    kind = changes.pop("kind", "mse")
    return table(share, marks=LossMarks(kind, loss, 1.0, 1.1 * loss), **changes)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (
            lossy(0.2, 0.2, num_steps=1000),
            lossy(0.2, 0.6, num_steps=50),
            "of more steps (1000 in place of 50)",
        ),
        (
            lossy(0.2, 0.2, schedule="LinearBeta()"),
            lossy(0.2, 0.6),
            "of its schedule (LinearBeta() in place of HalfCircle())",
        ),
        (
            lossy(0.2, 0.2, parameterization="EpsilonPrediction"),
            lossy(0.2, 0.6),
            "of what is predicted (EpsilonPrediction in place of VPrediction)",
        ),
        (lossy(0.2, 0.2), lossy(0.2, 0.6, kind="l1"), "of the mean square in place of the mean"),
        (lossy(0.2, 0.2), lossy(0.2, 0.6), "of the times or clips it is measured at"),
    ],
)
def test_why_a_loss_is_lower(ours, theirs, words):
    finding = compare_losses(ours, theirs)
    assert finding.verdict == "suspicious"
    assert f"of this run is lower than 0.6 of the other run only because {words}" in finding.message
    assert finding.message.endswith("so neither is better")
    turned = compare_losses(theirs, ours, ("the other run", "this run"))
    assert turned.message == finding.message


def test_a_run_beside_itself_on_other_clips_is_no_fault():
    run = lossy(0.2, 0.2)
    for other in (run, table(0.2, marks=LossMarks("mse", 0.23, 1.0, 0.23))):
        found = compare_losses(run, other)
        assert found.verdict == "ok"
        assert ("are the same" if other is run else "neither is better") in found.message
        assert check_best(run, other).verdict == "ok"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": "32 channels in time"}, "32 channels in time in place of 1 channel in time"),
        ({"space": "1 channel in time", "variance": 100.0}, "a mean square of 100 in place of 1"),
    ],
)
def test_another_space_is_named(changes, words):
    run = lossy(0.2, 0.6, space="1 channel in time")
    other = lossy(0.5, 0.2, **changes)
    found = compare_losses(run, other)
    assert found.verdict == "suspicious" and f"of another space ({words})" in found.message
    assert found.message.endswith("these shares are of different things")
    best = check_best(run, other)
    assert best.verdict == "ok" and "another space" in best.message
    assert measure_levels(recites(VPrediction()), same()).space == "1 channel in time"


def test_which_run_is_better():
    worse = compare_losses(lossy(0.1, 0.2), lossy(0.5, 0.6))
    assert worse.message.endswith("so the other run is the better one")
    assert compare_losses(lossy(0.5, 0.2), lossy(0.1, 0.6)).verdict == "ok"
    alike = compare_losses(lossy(0.5, 0.2), lossy(0.1, 0.2))
    assert alike.verdict == "ok" and "are the same" in alike.message
    other = table().at([0.0])
    with pytest.raises(ValueError, match="no noise level in common"):
        compare_losses(table().at([5.0]), other)


def test_all_checks_together_and_against_a_run():
    model = recites(VPrediction())
    alone = examine_losses(model, same())
    assert [finding.check for finding in alone] == [
        "sign of the answer", "trivial loss", "share of the possible",
    ]  # fmt: skip
    against = examine_losses(model, same(), against=table(0.1))
    assert [finding.check for finding in against[3:]] == [
        "previous best run", "comparison of losses",
    ]  # fmt: skip
    assert all(finding.verdict == "ok" for finding in against)
