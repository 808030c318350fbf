"""Write what k-diffusion's samplers and diffusers' schedulers do, for the tests to compare with.

Run once, in a virtual environment of its own:

    pip install torch scipy pillow safetensors diffusers==0.42.1
    git clone https://github.com/crowsonkb/k-diffusion    # the figures here: commit 4601bf0
    python tools/make_solver_golden.py --k-diffusion k-diffusion tests/golden

All of them sample the 1-D mixture `0.5 N(-0.6, 0.5^2) + 0.5 N(0.6, 0.4^2)`, whose best denoiser is
a formula, so no network is involved. Three files come out:

* `solvers_k_diffusion.npz`: `SAMPLER/GRID` is the path `(levels, points)` in variance-exploding
  coordinates; beside it the start `x`, the levels `sigmas/GRID` and the recorded `noise`.
* `solvers_diffusers.npz`: the same of diffusers' schedulers, each twice. `SCHEDULER/GRID/path` is
  its formulas in float64: its modules are given a `torch` whose float32 is float64, and the grid
  is set by hand. `SCHEDULER/GRID/plain` is the last level as it really comes out, in float32.
* `solvers_schedules.npz`: tables of noise levels and grids of both.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

WEIGHTS, MEANS, STDS = (0.5, 0.5), (-0.6, 0.6), (0.5, 0.4)
STEPS, SIGMA_MAX, SIGMA_MIN = 8, 10.0, 0.1
POINTS = torch.tensor([-2.0, -1.0, -0.3, 0.2, 0.7, 1.6], dtype=torch.float64)
TRAINED = 1000  # steps of diffusers' discrete schedules


def denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
    """Return the mean of the clean value given `x = clean + sigma noise`, elementwise."""
    sigma = torch.as_tensor(sigma, dtype=torch.float64)
    weights, means, variances = (
        torch.tensor(v, dtype=torch.float64) for v in (WEIGHTS, MEANS, np.square(STDS))
    )
    value = x.double()[..., None]
    total = variances + sigma**2
    share = torch.softmax(weights.log() - total.log() / 2 - (value - means) ** 2 / (2 * total), -1)
    return (share * (means + variances / total * (value - means))).sum(-1).to(x.dtype)


def make_grids() -> dict[str, Tensor]:
    """Return the noise levels, `STEPS + 1` each: two spacings, with and without a last zero."""
    grids = {}
    for ending, count in (("", STEPS + 1), ("_zero", STEPS)):
        ramp = torch.linspace(0, 1, count, dtype=torch.float64)
        even = torch.exp(math.log(SIGMA_MAX) + ramp * math.log(SIGMA_MIN / SIGMA_MAX))
        root = SIGMA_MAX ** (1 / 7) + ramp * (SIGMA_MIN ** (1 / 7) - SIGMA_MAX ** (1 / 7))
        zero = torch.zeros(STEPS + 1 - count, dtype=torch.float64)
        grids[f"exponential{ending}"] = torch.cat([even, zero])
        grids[f"karras{ending}"] = torch.cat([root**7, zero])
    return grids


class Recorded:
    """Noise from a list instead of a generator: every call returns the next row."""

    def __init__(self, noise: Tensor) -> None:
        self.noise, self.calls = noise, 0

    def __call__(self, *_: object, dtype: torch.dtype = torch.float64, **__: object) -> Tensor:
        self.calls += 1
        return self.noise[(self.calls - 1) % len(self.noise)].to(dtype).reshape(1, 1, -1)


# --- k-diffusion ---------------------------------------------------------------------------------

NOT_NEEDED = ("torchdiffeq", "torchsde", "torchvision", "torchvision.transforms")


def import_k_diffusion(checkout: Path) -> types.ModuleType:
    """Import `k_diffusion.sampling` alone: the package itself pulls vision and logging packages."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = [str(checkout / "k_diffusion")]
    sys.modules["k_diffusion"] = package
    stubs = {name: types.ModuleType(name) for name in NOT_NEEDED if name not in sys.modules}
    stubs["torchdiffeq"].odeint = None  # type: ignore[attr-defined]
    stubs["torchvision.transforms"].functional = None  # type: ignore[attr-defined]
    sys.modules.update(stubs)
    sampling = importlib.import_module("k_diffusion.sampling")
    for name in stubs:  # so that nobody else takes them for the real ones
        del sys.modules[name]
    return sampling


# name of the case: (sampler, its keywords)
K_DIFFUSION: dict[str, tuple[str, dict]] = {
    "euler": ("euler", {}),
    "heun": ("heun", {}),
    "dpm_2": ("dpm_2", {}),
    "lms2": ("lms", {"order": 2}),
    "lms3": ("lms", {"order": 3}),
    "lms4": ("lms", {"order": 4}),
    "dpmpp_2m": ("dpmpp_2m", {}),
    "dpmpp_sde_eta0": ("dpmpp_sde", {"eta": 0.0}),
    **{
        f"{name}_eta{eta:g}": (sampler, {"eta": eta, **extra})
        for name, sampler, extra in (
            ("euler_ancestral", "euler_ancestral", {}),
            ("dpm_2_ancestral", "dpm_2_ancestral", {}),
            ("dpmpp_2s_ancestral", "dpmpp_2s_ancestral", {}),
            ("dpmpp_2m_sde_midpoint", "dpmpp_2m_sde", {"solver_type": "midpoint"}),
            ("dpmpp_2m_sde_heun", "dpmpp_2m_sde", {"solver_type": "heun"}),
            ("dpmpp_3m_sde", "dpmpp_3m_sde", {}),
        )
        for eta in (0.0, 0.5, 1.0)
    },
}


def run_k_diffusion(sampling: types.ModuleType, noise: Tensor) -> dict[str, Tensor]:
    """Return the path of every case on every grid, `(levels, points)`."""
    start = SIGMA_MAX * POINTS.reshape(1, 1, -1)
    paths = {}
    for name, (sampler, settings) in K_DIFFUSION.items():
        function = getattr(sampling, f"sample_{sampler}")
        for grid, sigmas in make_grids().items():
            source = {"noise_sampler": Recorded(noise)} if "eta" in settings else {}
            levels: list[Tensor] = []
            last = function(
                lambda x, sigma: denoise(x, sigma[0]),
                start,
                sigmas,
                disable=True,
                callback=lambda step, levels=levels: levels.append(step["x"]),
                **settings,
                **source,
            )
            paths[f"{name}/{grid}"] = torch.stack([*levels, last]).flatten(1)
    return paths


# --- diffusers -----------------------------------------------------------------------------------


class DoubleTorch(types.ModuleType):
    """Torch as a module sees it whose float32 means float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)


@contextmanager
def precision(kind: type, exact: bool) -> Iterator[torch.dtype]:
    """Let the module of a scheduler compute in float64 (`exact`) or leave it as it is."""
    module, default = sys.modules[kind.__module__], torch.get_default_dtype()
    dtype = torch.float64 if exact else torch.float32
    try:
        if exact:
            module.torch = DoubleTorch("torch")
        torch.set_default_dtype(dtype)
        yield dtype
    finally:
        module.torch = torch
        torch.set_default_dtype(default)


def multistep_cases() -> dict[str, tuple[str, dict]]:
    """Return the settings of the multistep schedulers: name -> (class, arguments)."""
    cases: dict[str, tuple[str, dict]] = {}
    for prefix, kind in (
        ("dpm", "DPMSolverMultistepScheduler"),
        ("edm", "EDMDPMSolverMultistepScheduler"),
    ):
        for order, form in ((1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint")):
            for algorithm, word in (("dpmsolver++", "ode"), ("sde-dpmsolver++", "sde")):
                if (prefix, order, word) == ("edm", 3, "sde"):
                    continue  # it does not have that one: it stops with an UnboundLocalError
                name = f"{prefix}{order}_{form}_{word}" if order == 2 else f"{prefix}{order}_{word}"
                cases[name] = (
                    kind,
                    {"solver_order": order, "solver_type": form, "algorithm_type": algorithm},
                )
    for order in (1, 2, 3):
        for form in ("bh1", "bh2"):
            for corrector in (True, False):
                off = [] if corrector else list(range(STEPS))
                cases[f"unipc{order}_{form}_{'corrected' if corrector else 'predictor'}"] = (
                    "UniPCMultistepScheduler",
                    {"solver_order": order, "solver_type": form, "disable_corrector": off},
                )
        cases[f"deis{order}"] = ("DEISMultistepScheduler", {"solver_order": order})
    return cases


def run_multistep(kind: type, settings: dict, sigmas: Tensor, noise: Tensor, exact: bool) -> Tensor:
    """Return the path of a multistep scheduler in variance-exploding coordinates."""
    zero, edm = bool(sigmas[-1] == 0), kind.__name__.startswith("EDM")
    # Without a last zero the last step is as long as any other; with one it must be first order.
    settings = {**settings, "lower_order_final": zero and kind.__name__.startswith("UniPC")}
    if not kind.__name__.startswith("DEIS"):
        settings["final_sigmas_type"] = "zero" if zero else "sigma_min"
    if not edm:
        settings["prediction_type"] = "sample"
    with precision(kind, exact) as dtype:
        scheduler = kind(**settings)
        scheduler.set_timesteps(STEPS)
        scheduler.set_begin_index(0)
        scheduler.sigmas = sigmas.to(dtype)
        source = Recorded(noise)
        sys.modules[kind.__module__].randn_tensor = source
        scale = torch.ones_like(sigmas) if edm else 1 / (1 + sigmas**2).sqrt()
        x = (SIGMA_MAX * POINTS * scale[0]).to(dtype).reshape(1, 1, -1)
        path = [x]
        for step, time in enumerate(scheduler.timesteps):
            sigma = scheduler.sigmas[step]
            clean = denoise(x / scale[step].to(dtype), sigma)
            if edm:  # it wants what a network behind its preconditioning says
                data = scheduler.config.sigma_data
                total = sigma**2 + data**2
                clean = (clean - data**2 / total * x) / (sigma * data / total.sqrt())
                scheduler.is_scale_input_called = True
            x = scheduler.step(clean, time, x, return_dict=False)[0]
            path.append(x)
    return torch.stack(path).flatten(1) / scale[:, None]


def run_one_sigma(kind: type, settings: dict, sigmas: Tensor, exact: bool) -> Tensor:
    """Return the path of Heun's or the LMS scheduler, which live in variance-exploding space."""
    heun = kind.__name__.startswith("Heun")
    with precision(kind, exact) as dtype:
        scheduler = kind(prediction_type="sample")
        scheduler.set_timesteps(STEPS)
        scheduler.set_begin_index(0)
        levels = sigmas.to(dtype)
        if heun:  # each level between is visited twice
            levels = torch.cat([levels[:1], levels[1:].repeat_interleave(2)])
            levels = levels[:-1] if sigmas[-1] == 0 else levels
        scheduler.sigmas, scheduler.is_scale_input_called = levels, True
        x = (SIGMA_MAX * POINTS).to(dtype).reshape(1, 1, -1)
        path = [x]
        for index in range(len(levels) - 1):
            clean = denoise(x, levels[index])
            time = scheduler.timesteps[min(index, len(scheduler.timesteps) - 1)]
            x = scheduler.step(clean, time, x, return_dict=False, **settings)[0]
            if not heun or index % 2 or levels[index + 1] == 0:  # at the end of a step
                path.append(x)
    return torch.stack(path).flatten(1)


def run_discrete(kind: type, settings: dict, call: dict, noise: Tensor, exact: bool) -> Tensor:
    """Return the path of DDIM or DDPM in its own coordinates, from pure noise down to no noise."""
    with precision(kind, exact) as dtype:
        scheduler = kind(clip_sample=False, timestep_spacing="trailing", **settings)
        scheduler.set_timesteps(STEPS)
        source = Recorded(noise)
        sys.modules[kind.__module__].randn_tensor = source
        x = POINTS.to(dtype).reshape(1, 1, -1)
        path = [x]
        for time in scheduler.timesteps:
            alpha = scheduler.alphas_cumprod[time].sqrt()
            sigma = (1 - scheduler.alphas_cumprod[time]).sqrt()
            mean = sum(w * m for w, m in zip(WEIGHTS, MEANS, strict=True))
            clean = denoise(x / alpha, sigma / alpha) if alpha > 0 else torch.full_like(x, mean)
            said = clean  # a zero signal cannot be divided by, so velocity is predicted there
            if settings.get("prediction_type") == "v_prediction":
                said = -clean if alpha == 0 else (alpha * x - clean) / sigma
            x = scheduler.step(said, time, x, return_dict=False, **call)[0]
            path.append(x)
    return torch.stack(path).flatten(1)


def run_flow(kind: type, settings: dict, exact: bool) -> dict[str, Tensor]:
    """Return the path of the flow-matching Euler scheduler on the straight path, and its levels."""
    with precision(kind, exact) as dtype:
        scheduler = kind(**settings)
        scheduler.set_timesteps(sigmas=np.linspace(0.95, 0.05, STEPS))
        scheduler.set_begin_index(0)
        sigmas = scheduler.sigmas.to(dtype)
        scheduler.sigmas = sigmas
        x = POINTS.to(dtype).reshape(1, 1, -1)
        path = [x]
        for step, time in enumerate(scheduler.timesteps):
            clean = denoise(x / (1 - sigmas[step]), sigmas[step] / (1 - sigmas[step]))
            x = scheduler.step((x - clean) / sigmas[step], time, x, return_dict=False)[0]
            path.append(x)
    return {"path": torch.stack(path).flatten(1), "sigmas": sigmas}


def run_rounded(kind: type) -> dict[str, Tensor]:
    """Return the last level of 2M where the network is told the true levels, and rounded ones.

    diffusers spaces the levels as asked, but hands the network a whole number of the training
    table, so that it denoises another level than it stands at.
    """
    made = {}
    with precision(kind, True):
        for name in ("true", "rounded"):
            scheduler = kind(prediction_type="sample", use_karras_sigmas=True)
            scheduler.set_timesteps(STEPS)
            scheduler.set_begin_index(0)
            table = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()
            sigmas = scheduler.sigmas.double()
            told = table[scheduler.timesteps] if name == "rounded" else sigmas
            scheduler.sigmas, x = sigmas, POINTS.reshape(1, 1, -1)
            for step, time in enumerate(scheduler.timesteps):
                clean = denoise(x * (1 + told[step] ** 2).sqrt(), told[step])
                x = scheduler.step(clean, time, x, return_dict=False)[0]
            made[f"rounded/{name}"] = x.flatten()
    return made | {"rounded/sigmas": sigmas}


def run_diffusers(noise: Tensor) -> dict[str, Tensor]:
    """Return the paths of all schedulers, in float64, and their last levels as they come out."""
    import diffusers

    arrays: dict[str, Tensor] = {}

    def keep(name: str, run: Callable[[bool], Tensor]) -> None:
        arrays[f"{name}/path"] = run(True).double()
        arrays[f"{name}/plain"] = run(False)[-1].float()

    grids = make_grids()
    for name, (kind_name, settings) in multistep_cases().items():
        kind = getattr(diffusers, kind_name)
        for grid, sigmas in grids.items():
            # DEIS has no finite step to zero; EDM's and UniPC's forms differ only between levels.
            if grid.endswith("_zero") and not name.startswith(("dpm", "unipc")):
                continue
            if grid.endswith("_zero") and ("bh1" in name or "predictor" in name):
                continue
            keep(
                f"{name}/{grid}",
                lambda exact, k=kind, s=settings, g=sigmas: run_multistep(k, s, g, noise, exact),
            )
    for grid, sigmas in grids.items():
        for name, kind, call in (
            ("heun", diffusers.HeunDiscreteScheduler, {}),
            ("lms4", diffusers.LMSDiscreteScheduler, {"order": 4}),
        ):
            keep(
                f"{name}/{grid}",
                lambda exact, k=kind, c=call, g=sigmas: run_one_sigma(k, c, g, exact),
            )
    for eta in (0.0, 1.0):
        for name, settings in (
            ("ddim", {"beta_schedule": "linear", "prediction_type": "sample"}),
            (
                "ddim_zero_snr",
                {
                    "beta_schedule": "scaled_linear",
                    "beta_start": 0.00085,
                    "beta_end": 0.012,
                    "rescale_betas_zero_snr": True,
                    "prediction_type": "v_prediction",
                },
            ),
        ):
            keep(
                f"{name}/eta{eta:g}",
                lambda exact, s=settings, e=eta: run_discrete(
                    diffusers.DDIMScheduler, s, {"eta": e}, noise, exact
                ),
            )
    for variance in ("small", "large"):
        keep(
            f"ddpm/{variance}",
            lambda exact, v=variance: run_discrete(
                diffusers.DDPMScheduler,
                {"prediction_type": "sample", "variance_type": f"fixed_{v}"},
                {},
                noise,
                exact,
            ),
        )
    for shift in (1.0, 3.0):
        made = run_flow(diffusers.FlowMatchEulerDiscreteScheduler, {"shift": shift}, True)
        arrays |= {f"flow/shift{shift:g}/{key}": value for key, value in made.items()}
    return arrays | run_rounded(diffusers.DPMSolverMultistepScheduler)


# --- tables --------------------------------------------------------------------------------------


def make_tables(sampling: types.ModuleType) -> dict[str, Tensor]:
    """Return `alphas_cumprod` of diffusers' schedules and the sigmas of both peers' grids."""
    import diffusers

    kind = diffusers.DDIMScheduler
    tables: dict[str, Tensor] = {}
    stable = {"beta_start": 0.00085, "beta_end": 0.012}
    with precision(kind, True):
        for name, settings in (
            ("linear", {"beta_schedule": "linear"}),
            ("scaled_linear", {"beta_schedule": "scaled_linear", **stable}),
            ("squaredcos_cap_v2", {"beta_schedule": "squaredcos_cap_v2"}),
        ):
            tables[f"alphas_cumprod/{name}"] = kind(**settings).alphas_cumprod
            zero = kind(**settings, rescale_betas_zero_snr=True)
            tables[f"alphas_cumprod/{name}_zero_snr"] = zero.alphas_cumprod
    # every 9th of the 1000 steps, and both ends: 0, 9, ..., 999
    tables = {name: table[::9].clone() for name, table in tables.items()}
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    for spacing in ("karras", "exponential"):
        function = getattr(sampling, f"get_sigmas_{spacing}")
        tables[f"sigmas/k_diffusion/{spacing}"] = function(STEPS, 0.002, 80.0)
    torch.set_default_dtype(default)
    for spacing in ("karras", "exponential"):
        edm = diffusers.EDMDPMSolverMultistepScheduler(sigma_schedule=spacing)
        edm.set_timesteps(STEPS)
        tables[f"sigmas/diffusers/{spacing}"] = edm.sigmas
    return tables


def main() -> None:
    """Write the three files into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--k-diffusion", type=Path, required=True, help="a checkout of it")
    parser.add_argument("folder", type=Path, help="where to, such as tests/golden")
    options = parser.parse_args()
    sampling = import_k_diffusion(options.k_diffusion)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(STEPS, len(POINTS), dtype=torch.float64, generator=generator)
    shared = {"x": POINTS * SIGMA_MAX, "points": POINTS, "noise": noise}
    shared |= {f"sigmas/{grid}": sigmas for grid, sigmas in make_grids().items()}
    files = {
        "k_diffusion": shared | run_k_diffusion(sampling, noise),
        "diffusers": run_diffusers(noise),
        "schedules": make_tables(sampling),
    }
    for name, arrays in files.items():
        for key, value in arrays.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{name}: {key} holds values that are not finite")
        path = options.folder / f"solvers_{name}.npz"
        np.savez_compressed(path, **{key: value.numpy() for key, value in arrays.items()})
        print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
