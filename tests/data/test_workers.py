"""The data set behind a DataLoader: worker processes, ranks, resume, errors that stay readable."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from audio_diffusion_pytorch.data import (
    AudioFileError,
    AudioFolder,
    Clip,
    StreamSampler,
    one_line_cause,
)
from audio_diffusion_pytorch.data.source import cached_source, open_source

WriteSound = Callable[..., Path]


def load(dataset: AudioFolder, count: int, workers: int = 0, start: int = 0) -> list[Clip]:
    sampler = StreamSampler(len(dataset), 4, seed=3, start=start)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
    return list(islice(iter(loader), count))


def same(first: list[Clip], second: list[Clip]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a.audio, b.audio) and torch.equal(a.labels, b.labels) and a.name == b.name
        for a, b in zip(first, second, strict=True)
    )


@pytest.fixture
def folder(tmp_path: Path, write_sound: WriteSound) -> Path:
    for k in range(6):
        rate = (16000, 44100)[k % 2]
        write_sound(f"{k:03d}_x.wav", rate, seconds=0.3 + 0.1 * k, channels=1 + k % 2, seed=k)
    return tmp_path


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize("memory", [512, 0])
def test_four_workers_give_the_clips_of_none_without_duplicates(
    folder: Path, memory: float
) -> None:
    dataset = AudioFolder(folder, 16000, 1500, labels=r"(\d+)_", memory_mb=memory)
    count = len(dataset) // 4  # whole batches of the first epoch
    alone, together = load(dataset, count), load(dataset, count, workers=4)
    assert same(alone, together)
    batch = alone[0]
    assert isinstance(batch, Clip) and batch.audio.shape == (4, 1, 1500)
    assert batch.labels.shape == (4, 1) and len(batch.name) == 4
    names = [name for batch in together for name in batch.name]
    assert len(names) == 4 * count == len(set(names))


def test_start_resumes_the_same_batches(folder: Path) -> None:
    dataset = AudioFolder(folder, 16000, 1500)
    whole = load(dataset, 12)
    assert same(load(AudioFolder(folder, 16000, 1500), 7, workers=2, start=5), whole[5:])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_stays_one_line(folder: Path, workers: int) -> None:
    soundfile.write(folder / "nan.wav", torch.full((9000, 1), torch.nan), 16000, subtype="FLOAT")
    dataset = AudioFolder(folder, 16000, 1500, check="header")
    with pytest.raises(AudioFileError) as caught:
        load(dataset, 2 * len(dataset), workers)
    line = str(caught.value)
    assert line == one_line_cause(caught.value) and "\n" not in line
    assert line.startswith(str(folder / "nan.wav")) and line.endswith("data.bad=skip")
    assert "Traceback" in caught.value.details or workers == 0


class Failing(torch.utils.data.Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise ValueError(f"item {index}: wanted this, got that; do so")


def test_one_line_cause_of_any_error_in_a_worker() -> None:
    with pytest.raises(ValueError) as caught:
        next(iter(DataLoader(Failing(), num_workers=1)))
    assert one_line_cause(caught.value) == "item 0: wanted this, got that; do so"
    assert one_line_cause(ValueError("plain")) == "plain"
    assert one_line_cause(KeyboardInterrupt()) == "KeyboardInterrupt"


def copy_into_cache(path: Path, cache: Path) -> None:
    for rate in (8000, 22050):
        cached_source(open_source(path, rate, 1), cache)


def test_processes_that_fill_one_cache_do_not_harm_each_other(
    tmp_path: Path, write_sound: WriteSound
) -> None:
    path, cache = write_sound("a.wav", 44100, 5.0), tmp_path / "cache"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=copy_into_cache, args=(path, cache)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(list(cache.iterdir())) == 2  # two copies, nothing half-written left
    for rate in (8000, 22050):
        source = open_source(path, rate, 1)
        copied = cached_source(source, cache)
        assert torch.equal(copied.read_all(), source.read_all())
