"""Every word a recipe understands does what it stands for."""

from __future__ import annotations

import json

import pytest
import torch

from audio_diffusion_pytorch.protocols import Solver

CLASSES = (3,)


def settings(recipe, **sections):
    """Settings of a net that trains in milliseconds."""
    small = {"transform": "none", "channels": (8, 8), "modulation_features": 8}
    return recipe.Config(
        model=recipe.ModelConfig(**small),
        method=recipe.MethodConfig(**sections.get("method", {})),
        sample=recipe.SampleConfig(**sections.get("sample", {})),
    )


@pytest.fixture(scope="module")
def model(recipe):
    """A net with weights that do something, which at the start of a training they do not."""
    model = recipe.build_model(settings(recipe), CLASSES)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return model


def sounds(recipe, model, steps=4, **sample):
    sampling = recipe.choose_sampling(model, recipe.SampleConfig(**sample))
    return model.generate(
        2, 64, steps, labels=torch.tensor([[0], [2]]),
        generator=torch.Generator().manual_seed(1), **sampling._asdict(),
    )  # fmt: skip


def test_two_models_share_no_part_that_changes(recipe):
    """Times, weights and couplings may count or learn: each model has its own."""
    for objective in recipe.OBJECTIVES:
        for times in recipe.TIMES[objective]:
            method = {"objective": objective, "times": times, "weight": "learned", "coupling": "ot"}
            first, second = (
                recipe.build_model(settings(recipe, method=method)).diffusion for _ in range(2)
            )
            for part in ("times", "weight", "coupling"):
                assert type(getattr(first, part)) is type(getattr(second, part))
                assert getattr(first, part) is not getattr(second, part)


def test_every_sampler_on_every_grid(recipe, model):
    made = {}
    for sampler, solver in recipe.SAMPLERS.items():
        assert isinstance(solver, Solver)
        for grid in recipe.GRIDS:
            made[sampler, grid] = sounds(recipe, model, sampler=sampler, grid=grid)
            assert made[sampler, grid].shape == (2, 1, 64)
            assert made[sampler, grid].isfinite().all(), (sampler, grid)
    for sampler in recipe.SAMPLERS:
        assert not torch.equal(made[sampler, "linear"], made[sampler, "exponential"])
    assert not torch.allclose(made["euler", "linear"], made["dpmpp_2m", "linear"])


@pytest.mark.parametrize("guide", ["cfg", "rescale", "interval", "apg", "cfg++"])
def test_every_guide_moves_the_sounds(recipe, trained, model, guide):
    assert guide in trained.GUIDES
    walk = {"sampler": "euler", "grid": "linear"}  # it has levels in the middle, for the interval
    plain = sounds(recipe, model, guide=guide, **walk)
    assert torch.equal(plain, sounds(recipe, model, **walk))  # a scale of 1 is off
    scale = 0.6 if guide == "cfg++" else 3.0
    guided = sounds(recipe, model, guide=guide, guidance=scale, **walk)
    assert guided.isfinite().all() and not torch.allclose(guided, plain)


@pytest.mark.parametrize(
    "method",
    [
        {"objective": "flow", "times": "logit_normal", "coupling": "ot"},
        {"objective": "edm", "weight": "min_snr"},
        {"objective": "v", "weight": "learned", "coupling": "ot"},
        {"objective": "v", "weight": "soft_min_snr", "times": "logit_normal"},
    ],
    ids=lambda method: "-".join(method.values()),
)
def test_every_method_learns_and_samples(recipe, method):
    """A tone of one amplitude: the loss falls, and what is made stays of its size."""
    config = settings(recipe, method=method)
    model = recipe.build_model(config, CLASSES)
    tone = 1.4 * torch.sin(torch.arange(64) * 0.4).expand(16, 1, -1)
    labels = torch.zeros(16, 1, dtype=torch.int64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(150):
        loss = model(tone, labels=labels, generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])
    made = sounds(recipe, model, steps=12)
    assert 0.3 < float(made[0].std()) < 1.7


@pytest.mark.parametrize(
    ("section", "words", "told"),
    [
        ("SampleConfig", {"sampler": "unipcc"}, "did you mean unipc?"),
        ("SampleConfig", {"grid": "log"}, "sample.grid must be one of linear"),
        ("SampleConfig", {"guide": "cgf"}, "did you mean cfg?"),
        (
            "SampleConfig",
            {"guide": "cfg++", "guidance": 0.6, "sampler": "heun"},
            "of one net call a step, heun makes 2",
        ),
        ("MethodConfig", {"objective": "velocity"}, "method.objective must be one of v, flow, edm"),
        ("MethodConfig", {"objective": "edm", "times": "logit_normal"}, "method.times for edm"),
        ("MethodConfig", {"weight": "snr"}, "method.weight must be one of"),
        ("MethodConfig", {"coupling": "yes"}, "method.coupling must be one of none, ot"),
    ],
)
def test_other_words_are_refused(recipe, section, words, told):
    with pytest.raises(ValueError) as error:
        getattr(recipe, section)(**words)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_flags_beat_the_settings_and_are_noted(first, run_many, tmp_path):
    cases = [
        {
            "name": name,
            "script": "generate.py",
            "arguments": ["--run", str(first.folder), "--num", "1", "--steps", "3",
                          "--out", str(tmp_path / name), *flags],
            "cwd": str(tmp_path),
        }
        for name, flags in {
            "plain": [], "euler": ["--sampler", "euler"],
            "noisy": ["--sampler", "dpmpp_2m_sde", "--grid", "linear"],
        }.items()
    ]  # fmt: skip
    results = run_many(cases)
    assert all(result["code"] == 0 for result in results.values()), results
    told = {name: json.loads((tmp_path / name / "samples.json").read_text()) for name in results}
    assert told["plain"]["sampler"] == "unipc" and told["euler"]["sampler"] == "euler"
    assert (told["noisy"]["sampler"], told["noisy"]["grid"]) == ("dpmpp_2m_sde", "linear")
