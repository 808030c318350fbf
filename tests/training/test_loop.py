"""The loop on real sound files: it learns, tells, guards and stops."""

from __future__ import annotations

import json
import math
import signal

import pytest
import soundfile
import torch

from audio_diffusion_pytorch.training import (
    TrainConfig,
    TrainingError,
    diffusion_loss,
    fit,
    load_checkpoint,
)
from audio_diffusion_pytorch.training.loggers import JSONLinesLogger, read_scalars


@pytest.fixture
def train(tone_training, tones, tmp_path):
    """`train(**settings)` runs `fit` on the tones and returns (result, rows, model)."""

    def run(folder="run", model=None, data=None, **settings):
        keys = ("validation", "loss", "on_sample", "resume", "settings")
        options = {key: settings.pop(key) for key in keys if key in settings}
        model = model or tone_training.TinyModel()
        rows = tone_training.Rows()
        config = tone_training.small_config(**settings)
        data = data or tone_training.Tones(tones)
        result = fit(model, data, config, tmp_path / folder, loggers=[rows], **options)
        return result, rows.rows, model

    return run


def test_it_learns_and_every_row_is_there(train, tone_training, tones):
    result, rows, model = train(
        max_steps=120, batch_size=8, validate_every=60, validation=tone_training.Tones(tones)
    )
    assert (result.step, result.reason, result.progress) == (120, "finished", 1.0)
    assert list(rows) == list(range(1, 121))
    last = rows[120]
    assert last["validation/loss"] < 0.75 * last["zero_predictor/loss"]
    assert last["validation/loss"] < rows[60]["validation/loss"]
    assert result.best_loss == last["validation/loss"] and result.best_step == 120
    assert sum(name.startswith("validation/time_") for name in last) == 8
    for name in ("loss", "gradient_norm", "items_per_second", "seconds", "learning_rate"):
        assert math.isfinite(rows[7][f"train/{name}"])
    assert rows[3]["train/learning_rate"] < rows[10]["train/learning_rate"]
    assert rows[120]["train/learning_rate"] < 1e-5
    assert any(
        not torch.equal(a, b)
        for a, b in zip(model.parameters(), result.ema.module.parameters(), strict=True)
    )


def test_rows_are_means_over_the_steps_between_them(train):
    _, each, _ = train(folder="each", max_steps=12)
    _, fourth, _ = train(folder="fourth", max_steps=12, log_every=4)
    assert list(fourth) == [4, 8, 12]
    for step in fourth:
        mean = sum(each[step - n]["train/loss"] for n in range(4)) / 4
        assert fourth[step]["train/loss"] == pytest.approx(mean, rel=1e-12)


def test_bf16_reaches_the_loss_of_fp32_within_two_percent(train, tone_training, tones):
    final = {}
    for precision in ("fp32", "bf16"):
        result, rows, _ = train(
            folder=precision, precision=precision, max_steps=100, batch_size=8,
            validation=tone_training.Tones(tones),
        )  # fmt: skip
        assert result.precision.name == precision
        final[precision] = rows[100]["validation/loss"]
    assert final["fp32"] < 0.6  # 0.76 at the start
    assert final["bf16"] == pytest.approx(final["fp32"], rel=0.02)


def test_accumulation_is_the_same_as_a_larger_batch(train, tone_training):
    def loss(model, batch, _generator):
        return (
            (model.net(batch.audio, torch.zeros(len(batch.audio))) - batch.audio)
            .square()
            .mean((1, 2))
        )

    ends = []
    for name, settings in {
        "two": {"batch_size": 4, "accumulate": 2},
        "one": {"batch_size": 8},
    }.items():
        model = tone_training.TinyModel(dropout=0.0)
        train(folder=name, model=model, loss=loss, max_steps=10, **settings)
        ends.append(model.net.inside.weight)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)
    assert (ends[0] - tone_training.TinyModel().net.inside.weight).abs().max() > 1e-3


def test_the_global_random_state_is_given_back(train, tone_training):
    model = tone_training.TinyModel()
    before = torch.get_rng_state()
    train(model=model, max_steps=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_clip_of_nan_stops_with_step_and_file_and_keeps_the_checkpoint(
    train, tone_training, tmp_path
):
    folder = tone_training.make_tones(tmp_path / "broken", count=8)
    soundfile.write(folder / "bad.wav", [math.nan] * 800, 8000, "FLOAT")
    data = tone_training.Tones(folder)
    model = tone_training.TinyModel()
    with pytest.raises(TrainingError) as caught:
        train(model=model, data=data, batch_size=1, max_steps=50, checkpoint_every=1)
    message = str(caught.value)
    step = next(n for n, (_, name) in enumerate(data.seen) if name == "bad.wav")
    assert step > 0, "the seed must not put the bad file first"
    assert f"the loss is not finite at step {step}, on bad.wav@" in message and "\n" not in message
    assert "tone_" not in message
    kept = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert kept["step"] == step and str(tmp_path / "run" / "checkpoints" / "last.pt") in message
    for weights in (kept["model"], dict(model.state_dict())):
        assert all(torch.isfinite(value).all() for value in weights.values())


def test_an_infinite_gradient_of_a_finite_loss_stops_too(train):
    def loss(model, batch, _generator, _times=None):
        zero = model.net.outside.bias.sum() * 0.0
        return torch.sqrt(zero) + batch.audio.mean((1, 2))

    with pytest.raises(
        TrainingError, match=r"the gradient is not finite at step 0, on tone_\d\d.wav"
    ):
        train(loss=loss, max_steps=3)


def test_minutes_alone_limit_a_run_and_its_plan_is_stored(train, tmp_path):
    result, rows, _ = train(max_minutes=1.5 / 60, log_every=5)
    assert result.seconds < 4.0 and result.step > 3  # loose: a busy machine may stall
    assert result.reason in ("finished", "time limit")
    assert rows[max(rows)]["train/learning_rate"] < 0.5 * 3e-3
    stored = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert stored["plan"]["total_steps"] >= result.step
    assert stored["seconds"] == result.seconds
    json.dumps({key: stored[key] for key in ("plan", "limits", "precision", "train", "config")})


def test_samples_are_asked_for_with_the_averaged_model(train):
    asked = []
    result, _, model = train(
        max_steps=6, sample_every=3, on_sample=lambda net, step: asked.append((net, step))
    )
    assert [step for _, step in asked] == [3, 6]
    assert asked[0][0] is result.ema.module and asked[0][0] is not model


def test_a_request_to_stop_saves_and_a_second_fit_goes_on(train, capsys):
    def loss(model, batch, generator):
        if len(rows_seen) == 4:
            signal.raise_signal(signal.SIGTERM)
        rows_seen.append(batch.name)
        return diffusion_loss(model, batch, generator)

    rows_seen: list[list[str]] = []
    before = signal.getsignal(signal.SIGTERM)
    result, rows, _ = train(loss=loss, max_steps=20)
    assert (result.step, result.reason) == (5, "SIGTERM") and result.checkpoint.is_file()
    assert "SIGTERM: saved" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before
    result, rows, _ = train(max_steps=20, resume=True)
    assert (result.step, list(rows)) == (20, list(range(6, 21)))
    result, rows, _ = train(max_steps=20, resume=True)
    assert (result.step, result.reason, rows) == (20, "finished", {})


def test_rows_after_the_checkpoint_are_forgotten_on_resume(tone_training, tones, tmp_path):
    def failing(model, batch, generator):
        if len(calls) == 8:
            raise RuntimeError("power cut")
        calls.append(0)
        return diffusion_loss(model, batch, generator)

    calls: list[int] = []
    file = tmp_path / "scalars.jsonl"
    config = tone_training.small_config(max_steps=10, checkpoint_every=5)
    arguments = (tone_training.TinyModel(), tone_training.Tones(tones), config, tmp_path)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(*arguments, loss=failing, loggers=[JSONLinesLogger(file)])
    assert len(file.read_text().splitlines()) == 8
    fit(*arguments, loggers=[JSONLinesLogger(file)], resume=True)
    steps, losses = read_scalars(file)["train/loss"]
    assert steps == list(range(1, 11)) and all(math.isfinite(loss) for loss in losses)


def test_a_checkpoint_of_another_model_is_refused(train, tone_training, tmp_path):
    train(max_steps=2)
    with pytest.raises(ValueError, match=r"last\.pt is from another model: 0 weights missing"):
        train(model=tone_training.TinyModel(width=4), max_steps=4, resume=True)
    with pytest.raises(ValueError, match="other trainable weights"):
        model = tone_training.TinyModel()
        model.net.time.requires_grad_(False)
        train(model=model, max_steps=4, resume=True)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(max_steps=4, resume=tmp_path / "nowhere")


def test_the_precision_of_the_start_is_kept_on_resume(train, monkeypatch):
    from audio_diffusion_pytorch.training import Precision, loop

    monkeypatch.setattr(loop, "choose_precision", lambda *_: Precision("bf16", "first"))
    train(max_steps=2, precision="auto")
    monkeypatch.setattr(loop, "choose_precision", lambda *_: Precision("fp32", "later"))
    result, _, _ = train(max_steps=4, precision="auto", resume=True)
    assert result.precision == Precision("bf16", "first")


def test_changed_settings_are_told_on_resume(train, capsys):
    train(max_steps=2)
    train(max_steps=4, batch_size=2, resume=True)
    assert "note: batch_size was 4 and is 2: the run goes on, but not bit for bit" in (
        capsys.readouterr().out
    )


def test_only_matrices_decay(tone_training):
    from audio_diffusion_pytorch.training.train_state import make_optimizer

    optimizer = make_optimizer(tone_training.TinyModel(), TrainConfig(weight_decay=0.1))
    decays = {
        weight.ndim: group["weight_decay"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert decays == {3: 0.1, 2: 0.1, 1: 0.0}
    with pytest.raises(ValueError, match="nothing to train"):
        make_optimizer(torch.nn.Tanh(), TrainConfig())


@pytest.mark.parametrize(
    ("key", "value"),
    [("batch_size", 0), ("max_steps", 0), ("beta1", 1.0), ("max_minutes", -1.0), ("seed", -1)],
)
def test_settings_out_of_range_name_their_key(train, key, value):
    with pytest.raises(ValueError, match=f"train.{key} must be .*got {value}"):
        train(**{"max_steps": 2, key: value})


def test_settings_that_a_safe_load_would_refuse_are_refused_at_once(train, tmp_path):
    with pytest.raises(ValueError, match="settings must be JSON values"):
        train(max_steps=2, settings={"path": tmp_path})
    result, _, _ = train(max_steps=2, settings={"data": {"length": 128}})
    assert load_checkpoint(result.checkpoint)["config"] == {"data": {"length": 128}}


@pytest.mark.slow
def test_a_compiled_model_saves_plain_names(train, tmp_path):
    train(max_steps=3, compile=True)
    stored = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert "net.inside.weight" in stored["model"]
