"""Loggers: every sink holds the same numbers, and a killed run's file goes on cleanly."""

from __future__ import annotations

import io
import json
import math
import signal
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.training.loggers import (
    JSONLinesLogger,
    TensorBoardLogger,
    read_scalars,
)


def board(folder):
    """Reads event files back with TensorBoard's own reader."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sizes = {"scalars": 0, "images": 0, "audio": 0, "tensors": 0}
    return accumulator.EventAccumulator(str(folder), size_guidance=sizes).Reload()


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def test_lines_read_back_exactly(tmp_path):
    logger = JSONLinesLogger(tmp_path / "Größe" / "scalars.jsonl")
    values = [0.1, 1 / 3, 1e-300, -0.0, 12345678.9]
    for step, value in enumerate(values):
        logger.scalars(step, {"train/loss": value, "ü": np.float32(value)})
    logger.scalars(9, {"train/loss": torch.tensor(math.nan), "rate": math.inf})
    curves = read_scalars(tmp_path / "Größe" / "scalars.jsonl")  # flushed without close
    logger.close()
    assert list(curves) == ["train/loss", "ü", "rate"]
    steps, losses = curves["train/loss"]
    assert steps == [0, 1, 2, 3, 4, 9]
    assert losses[:5] == values and math.copysign(1, losses[3]) == -1 and math.isnan(losses[5])
    assert curves["ü"][1] == [float(np.float32(value)) for value in values]
    assert curves["rate"] == ([9], [math.inf])


def test_a_second_logger_appends(tmp_path):
    for step in (1, 2):
        logger = JSONLinesLogger(tmp_path / "s.jsonl")
        logger.scalars(step, {"a": step})
        logger.close()
    assert read_scalars(tmp_path / "s.jsonl") == {"a": ([1, 2], [1.0, 2.0])}


def test_a_half_written_line_is_left_out_then_repaired(tmp_path):
    path = tmp_path / "s.jsonl"
    whole = '{"step": 1, "a": 0.5}\n{"step": 2, "a": 0.25}\n'
    half = '{"step": 3, "ü": 0.12'.encode()
    for length in (1, 12, len(half)):
        path.write_bytes(whole.encode() + half[:length])
        assert read_scalars(path)["a"] == ([1, 2], [0.5, 0.25])
        logger = JSONLinesLogger(path)
        logger.scalars(3, {"a": 0.125})
        logger.close()
        assert read_scalars(path)["a"] == ([1, 2, 3], [0.5, 0.25, 0.125])


def test_resume_drops_what_came_after(tmp_path):
    path = tmp_path / "s.jsonl"
    logger = JSONLinesLogger(path)
    for step in range(1, 8):
        logger.scalars(step, {"a": step / 8, "b": 1.0})
    kept = path.read_bytes().splitlines(keepends=True)[:4]
    logger.resume(4)
    assert path.read_bytes() == b"".join(kept)
    logger.scalars(5, {"a": 9.0})
    assert read_scalars(path)["a"] == ([1, 2, 3, 4, 5], [0.125, 0.25, 0.375, 0.5, 9.0])
    logger.close()


def test_resume_of_a_file_that_was_never_written(tmp_path):
    logger = JSONLinesLogger(tmp_path / "s.jsonl")
    logger.resume(0)
    logger.scalars(1, {"a": 1.0})
    logger.close()
    assert read_scalars(tmp_path / "s.jsonl") == {"a": ([1], [1.0])}


def test_kill_minus_nine_loses_no_line_that_was_logged(tmp_path):
    script = f"""
import os, sys, signal
sys.path[:0] = {sys.path!r}
from audio_diffusion_pytorch.training.loggers import JSONLinesLogger
logger = JSONLinesLogger({str(tmp_path / "s.jsonl")!r})
for step in range(50):
    logger.scalars(step, {{"a": step}})
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert read_scalars(tmp_path / "s.jsonl")["a"][0] == list(range(50))


def test_mistakes_are_told(tmp_path):
    logger = JSONLinesLogger(tmp_path / "s.jsonl")
    with pytest.raises(ValueError, match="cannot be named 'step'"):
        logger.scalars(1, {"step": 2})
    with pytest.raises(FileNotFoundError, match="no scalars in"):
        read_scalars(tmp_path / "gone.jsonl")
    (tmp_path / "s.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 2: expected an object with a step"):
        read_scalars(tmp_path / "s.jsonl")


def test_the_sinks_hold_the_same_scalars(tmp_path):
    pytest.importorskip("tensorboard")
    loggers = [JSONLinesLogger(tmp_path / "s.jsonl"), TensorBoardLogger(tmp_path)]
    generator = torch.Generator().manual_seed(0)
    for step in range(20):
        values = torch.rand(3, generator=generator, dtype=torch.float64)
        for logger in loggers:
            logger.scalars(step, {"train/loss": values[0], "rate": float(values[1])})
            if step % 5 == 0:
                logger.scalars(step, {"validation/loss": values[2]})
    for logger in loggers:
        logger.close()
    lines = read_scalars(tmp_path / "s.jsonl")
    events = board(tmp_path)
    assert set(events.Tags()["scalars"]) == set(lines) == {"train/loss", "rate", "validation/loss"}
    for name, (steps, values) in lines.items():
        assert [event.step for event in events.Scalars(name)] == steps
        # TensorBoard keeps float32.
        assert [event.value for event in events.Scalars(name)] == [float32(v) for v in values]


def test_resume_makes_the_board_forget(tmp_path):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(tmp_path)
    for step in range(1, 8):
        logger.scalars(step, {"a": step})
    logger.close()
    resumed = TensorBoardLogger(tmp_path)
    resumed.resume(4)
    resumed.scalars(5, {"a": 50})
    resumed.close()
    found = [(event.step, event.value) for event in board(tmp_path).Scalars("a")]
    assert found == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 50)]


def test_sounds_pictures_and_texts_reach_the_board(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(tmp_path)
    mono = torch.sin(torch.arange(4000) / 20)[None]
    logger.audio(3, "sample", mono, 8000)
    logger.audio(3, "wide", torch.stack([mono[0], 3 * mono[0]]), 8000)
    logger.image(3, "picture", np.full((4, 6, 3), 7, dtype=np.uint8))
    logger.text(3, "config", "a: 1")
    logger.close()
    events = board(tmp_path)
    assert set(events.Tags()["audio"]) == {"sample", "wide/channel_1", "wide/channel_2"}
    (sound,) = events.Audio("sample")
    assert (sound.step, sound.sample_rate, sound.length_frames) == (3, 8000, 4000)
    with wave.open(io.BytesIO(sound.encoded_audio_string)) as reader:
        samples = torch.frombuffer(bytearray(reader.readframes(4000)), dtype=torch.int16)
    assert (samples / 32767 - mono[0]).abs().max() < 2 / 32767
    pictures = set(events.Tags()["images"])
    assert pictures == {"sample/spectrogram", "wide/spectrogram", "picture"}
    (picture,) = events.Images("picture")
    assert (picture.width, picture.height) == (6, 4)
    assert "a: 1" in str(events.Tensors("config/text_summary")[0].tensor_proto)
    assert capsys.readouterr().out == ""  # no warnings about the level


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r'pip install "audio-diffusion-pytorch\[train\]"'):
        TensorBoardLogger(tmp_path)


def test_the_line_file_is_json(tmp_path):
    logger = JSONLinesLogger(tmp_path / "s.jsonl")
    logger.scalars(1, {"loss": 0.5})
    logger.audio(1, "a", torch.zeros(1, 4), 8000)
    logger.close()
    assert json.loads((tmp_path / "s.jsonl").read_text()) == {"step": 1, "loss": 0.5}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_with_the_file(tmp_path):
    logger = JSONLinesLogger(tmp_path / "s.jsonl")
    (tmp_path / "s.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        logger.scalars(1, {"a": 1.0})
    assert caught.value.filename == str(tmp_path / "s.jsonl")
    logger.close()
