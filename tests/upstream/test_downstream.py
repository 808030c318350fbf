"""Code written for release 0.1.3 runs here: the ways in which public projects use the package.

Each test rebuilds one way in words of its own; its docstring says which. They were looked for in
the trainers, fine-tunings, separators, vocoders and theses that import the package. With release
0.1.3 itself all of these and of part two pass, but for those of names that its last commits
(`loss_fn`) or 0.0.x had, of what it got wrong, and where a line checks the result by `times=`.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch import (
    DiffusionModel,
    Distribution,
    KarrasSchedule,
    LinearSchedule,
    LogNormalDistribution,
    Sampler,
    Schedule,
    UNetV0,
    UniformDistribution,
    VDiffusion,
    VInpainter,
    VSampler,
)
from audio_diffusion_pytorch import diffusion as diffusion_module
from audio_diffusion_pytorch.diffusion import *  # noqa: F403  as client code does
from audio_diffusion_pytorch.utils import groupby

# What the star import is used for below, so that a linter knows the names too.
Tensor, F, Diffusion = diffusion_module.Tensor, diffusion_module.F, diffusion_module.Diffusion
extend_dim, repeat = diffusion_module.extend_dim, diffusion_module.repeat
tqdm = diffusion_module.tqdm

SMALL = {"in_channels": 2, "channels": [8, 8], "factors": [1, 2], "items": [1, 1]}
SMALL |= {"resnet_groups": 4, "modulation_features": 8}


def sound(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(shape or (3, 2, 32), generator=torch.Generator().manual_seed(seed))


def model_of(**arguments: Any) -> DiffusionModel:
    torch.manual_seed(1)
    model = DiffusionModel(**{"net_t": UNetV0, **SMALL, **arguments})
    with torch.no_grad():  # an untrained network passes its input on: let it say something
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model


def learns(loss: Tensor, part: nn.Module) -> None:
    """Assert that a loss is a finite scalar whose gradient reaches every weight."""
    assert loss.ndim == 0 and loss.isfinite()
    loss.backward()
    assert all(weight.grad is not None for weight in part.parameters())


class OwnForward(VDiffusion):
    """An objective with the old `forward` spelled out, and the target as an argument."""

    def forward(self, x: Tensor, clean: Tensor | None = None, **kwargs: Any) -> Tensor:
        clean = x if clean is None else clean
        times = self.sigma_distribution(num_samples=x.shape[0], device=x.device)
        alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim))
        noise = torch.randn_like(x)
        answer = self.net(alpha * x + beta * noise, times, **kwargs)
        return self.loss_fn(answer, alpha * noise - beta * clean)


class TestObjectives:
    def test_a_forward_of_its_own_gives_the_loss_of_ours(self):
        """Subclass VDiffusion, copy its forward, change a line: the unchanged rest is the same."""
        model, x = model_of(), sound()
        torch.manual_seed(7)
        ours = model(x)
        own = OwnForward(model.net)
        torch.manual_seed(7)
        torch.testing.assert_close(own(x), ours)

    def test_an_objective_towards_another_sound(self):
        """Enhancers: `model(noisy, clean)`, a second tensor by position, a loss module set late."""

        class Enhance(OwnForward):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.loss_fn = nn.L1Loss()

        model = model_of(diffusion_t=Enhance)
        learns(model(sound(), sound(seed=1)), model)
        assert isinstance(copy.deepcopy(model).diffusion.loss_fn, nn.L1Loss)

    def test_an_objective_that_is_told_its_noise(self):
        """Accompaniment models: noise by name; the loss function nobody set is the old one."""

        class Told(VDiffusion):
            def forward(self, x: Tensor, noise: Tensor | None = None, **kwargs: Any) -> Tensor:
                noise = torch.randn_like(x) if noise is None else noise
                times = self.sigma_distribution(num_samples=len(x), device=x.device)
                alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim))
                answer = self.net(alpha * x + beta * noise, times, **kwargs)
                return self.loss_fn(answer, alpha * noise - beta * x)

        model = model_of(diffusion_t=Told)
        learns(model(sound(), noise=sound(seed=2)), model)

    def test_an_objective_put_around_that_of_a_finished_model(self):
        """Fine-tuning: `model.diffusion = Own(model.diffusion, loss)`, two losses in a tuple."""

        class Both(VDiffusion):
            def __init__(self, base: VDiffusion, second: nn.Module) -> None:
                super().__init__(base.net, base.sigma_distribution)
                self.second = second

            def forward(self, x: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor]:
                times = self.sigma_distribution(num_samples=len(x), device=x.device)
                alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim))
                noise = torch.randn_like(x)
                noisy = alpha * x + beta * noise
                answer = self.net(noisy, times, **kwargs)
                guess = alpha * noisy - beta * answer
                return F.mse_loss(answer, alpha * noise - beta * x), self.second(guess, x)

        model = model_of()
        names = set(model.state_dict())
        model.diffusion = Both(model.diffusion, nn.L1Loss())
        first, second = model(sound())
        learns(first + second, model)
        assert set(model.state_dict()) == names

    def test_an_objective_with_the_past_in_front(self):
        """Continuation: the clean past stands before the noisy part, the answer is cut off it."""

        class WithPast(VDiffusion):
            def forward(self, x: Tensor, past: Tensor, **kwargs: Any) -> Tensor:
                times = self.sigma_distribution(num_samples=len(x), device=x.device)
                alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim))
                noise = torch.randn_like(x)
                seen = torch.cat([past, alpha * x + beta * noise], dim=-1)
                answer = self.net(seen, times, **kwargs)[..., past.shape[-1] :]
                return F.mse_loss(answer, alpha * noise - beta * x)

        model = model_of(diffusion_t=WithPast)
        learns(model(sound(), sound(3, 2, 10, seed=3)), model)

    def test_an_objective_with_a_second_network(self):
        """A control network: `Diffusion` as the bare base, a model class by hand with `groupby`."""

        class Controlled(Diffusion):
            def __init__(self, net: nn.Module, control: nn.Module, loss_fn: Callable) -> None:
                super().__init__()
                self.net, self.control, self.loss_fn = net, control, loss_fn

            def forward(self, x: Tensor, hint: Tensor, **kwargs: Any) -> Tensor:
                times = torch.rand(len(x), device=x.device)
                alpha, beta = diffusion_module.VDiffusion.get_alpha_beta(
                    VDiffusion(self.net), extend_dim(times, dim=x.ndim)
                )
                noise = torch.randn_like(x)
                noisy = alpha * x + beta * noise + self.control(hint)
                return self.loss_fn(self.net(noisy, times, **kwargs), alpha * noise - beta * x)

        class ControlledModel(nn.Module):
            def __init__(self, net_t: Callable, control_t: Callable, **kwargs: Any) -> None:
                super().__init__()
                chosen, kwargs = groupby("diffusion_", kwargs)
                sampler, kwargs = groupby("sampler_", kwargs)
                self.net, self.control = net_t(dim=1, **kwargs), control_t()
                self.diffusion = Controlled(self.net, self.control, **chosen)
                self.sampler = VSampler(net=self.net, **sampler)

        model = ControlledModel(
            UNetV0, lambda: nn.Conv1d(2, 2, 1), diffusion_loss_fn=F.mse_loss, **SMALL
        )
        learns(model.diffusion(sound(), sound(seed=4)), model)
        assert model.sampler(sound(), num_steps=2).shape == (3, 2, 32)

    def test_levels_of_its_own(self):
        """Another schedule by overriding `get_alpha_beta` alone: `forward` and sampling follow."""

        class Squared:
            power = 2.0

            def get_alpha_beta(self, sigmas: Tensor) -> tuple[Tensor, Tensor]:
                return torch.cos(sigmas**self.power), torch.sin(sigmas**self.power)

        class Objective(Squared, VDiffusion):
            pass

        class Walk(Squared, VSampler):
            pass

        model = model_of(diffusion_t=Objective, sampler_t=Walk)
        times, noise, x = torch.tensor([0.1, 0.5, 0.9]), sound(seed=5), sound()
        alpha, beta = (level[:, None, None] for level in model.diffusion.get_alpha_beta(times))
        answer = model.net(alpha * x + beta * noise, times)
        wanted = F.mse_loss(answer, alpha * noise - beta * x)
        torch.testing.assert_close(model(x, times=times, noise=noise), wanted)
        y = noise
        model.eval()
        for now, then in ((1.0, 0.5), (0.5, 0.0)):
            (a, b), (c, d) = (model.sampler.get_alpha_beta(torch.tensor(t)) for t in (now, then))
            said = model.net(y, torch.full((3,), now))
            y = c * (a * y - b * said) + d * (b * y + a * said)
        torch.testing.assert_close(model.sample(noise, num_steps=2), y, rtol=1e-4, atol=1e-5)


class TestSamplers:
    def test_a_walk_by_hand_with_the_parts_of_a_model(self):
        """Init audio: `sampler.schedule(n + 1, device=...)`, `.get_alpha_beta`, `.net`, a loop."""
        model, noise, steps = model_of().eval(), sound(seed=6), 4
        times = model.sampler.schedule(steps + 1, device=noise.device)
        times = repeat(times, "i -> i b", b=len(noise))
        alpha, beta = model.sampler.get_alpha_beta(extend_dim(times, dim=noise.ndim + 1))
        x = noise
        with torch.no_grad():
            for i in tqdm(range(steps), disable=True):
                said = model.sampler.net(x, times[i])
                clean, rest = alpha[i] * x - beta[i] * said, beta[i] * x + alpha[i] * said
                x = alpha[i + 1] * clean + beta[i + 1] * rest
        torch.testing.assert_close(model.sample(noise, num_steps=steps), x, rtol=1e-4, atol=1e-5)

    def test_a_sampler_with_arguments_of_its_own(self):
        """Guided editing: a `Sampler` with a schedule as a default argument, gradients inside."""

        class Guided(Sampler):
            diffusion_types = [VDiffusion]  # noqa: RUF012

            def __init__(
                self,
                net: nn.Module,
                strength: float,
                schedule: Schedule = LinearSchedule(),  # noqa: B008  as upstream writes it
            ) -> None:
                super().__init__()
                self.net, self.strength, self.schedule = net, strength, schedule

            @torch.no_grad()
            def forward(self, target: Tensor, num_steps: int, task: str, **kwargs: Any) -> Tensor:
                assert task == "continue"
                half = target.shape[-1] // 2
                x = torch.cat([target[..., :half], torch.randn_like(target[..., half:])], dim=-1)
                times = self.schedule(num_steps + 1, device=x.device)
                for now, then in pairwise(times):
                    said = self.net(x, now.expand(len(x)), **kwargs)
                    with torch.enable_grad():
                        x.requires_grad_(True)
                        far = (x[..., :half] - target[..., :half]).square().sum()
                        pull = torch.autograd.grad(far, x)[0]
                    x = (x - (now - then) * said - self.strength * pull).detach()
                return x

        model = model_of(sampler_t=Guided, sampler_strength=0.1)
        made = model.sample(sound(), num_steps=2, task="continue")
        assert made.shape == (3, 2, 32) and made.isfinite().all()

    def test_a_sampler_that_walks_the_other_way(self):
        """Inversion: subclass VSampler, override forward, go from a sound to its noise and back."""

        class Backwards(VSampler):
            @torch.no_grad()
            def forward(self, x: Tensor, num_steps: int, **kwargs: Any) -> Tensor:
                times = self.schedule(num_steps + 1, device=x.device).flip(0)
                times = repeat(times, "i -> i b", b=len(x))
                alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim + 1))
                for i in range(num_steps):
                    said = self.net(x, times[i], **kwargs)
                    clean, rest = alpha[i] * x - beta[i] * said, beta[i] * x + alpha[i] * said
                    x = alpha[i + 1] * clean + beta[i + 1] * rest
                return x

        model, x = model_of().eval(), sound()
        model.sampler = Backwards(net=model.net, schedule=model.sampler.schedule)
        noise = model.sample(x, num_steps=400)
        again = VSampler(model.net)(noise, num_steps=400)
        assert (again - x).abs().max() < 0.05 < (noise - x).abs().max()

    def test_parts_of_separation_code(self):
        """Separators: grids and distributions of 0.0.x as callables, a Sampler without a net."""
        sigmas = KarrasSchedule(sigma_min=1e-4, sigma_max=1.0, rho=7.0)(10, torch.device("cpu"))
        assert sigmas.shape == (11,) and (sigmas.diff() < 0).all() and sigmas[-1] == 0
        drawn = LogNormalDistribution(mean=-3.0, std=1.0)(
            num_samples=2000, device=torch.device("cpu")
        )
        assert drawn.log().mean().item() == pytest.approx(-3.0, abs=0.1)
        assert drawn.log().std().item() == pytest.approx(1.0, abs=0.1)

        class Separator(Sampler):
            def __init__(self, mixture: Tensor) -> None:
                super().__init__()
                self.mixture = mixture

            def step(self, parts: Tensor, now: Tensor, then: Tensor, denoise: Callable) -> Tensor:
                score = (parts - denoise(parts, sigma=now)) / now
                score = score - score.mean(1, keepdim=True)
                return parts + score * (then - now)

        mixture, model = sound(1, 1, 16), Separator(sound(1, 1, 16))
        parts = torch.randn(1, 3, 16)
        parts = parts - parts.mean(1, keepdim=True) + mixture / 3
        for now, then in pairwise(sigmas[:-1]):
            parts = model.step(parts, now, then, lambda x, sigma: x / (1 + sigma**2))
        torch.testing.assert_close(parts.sum(1, keepdim=True), mixture, rtol=1e-4, atol=1e-4)

    def test_a_model_that_inpaints(self):
        """`sampler_t=VInpainter`: what is known and the mask go through `model.sample`."""
        model, x = model_of(sampler_t=VInpainter), sound()
        mask = torch.arange(32).expand(3, 2, 32) < 20
        made = model.sample(x, mask, num_steps=3, num_resamples=2)
        assert torch.equal(made[..., :20], x[..., :20])
        named = model.sample(source=x, mask=mask, num_steps=3, num_resamples=1)
        assert torch.equal(named[..., :20], x[..., :20])


class TestParts:
    def test_grids_and_distributions_of_its_own(self):
        """Own `Schedule` and `Distribution`, as upstream documents them, handed on by prefix."""

        class Slow(Schedule):
            def __init__(self, power: float) -> None:
                super().__init__()
                self.power = power

            def forward(self, num_steps: int, device: Any) -> Tensor:
                return torch.linspace(1, 0, num_steps, device=device) ** self.power

        class Few(Distribution):
            def __call__(self, num_samples: int, device: torch.device) -> Tensor:
                return torch.full((num_samples,), 0.25, device=device)

        model = model_of(sampler_schedule=Slow(2.0), diffusion_sigma_distribution=Few())
        learns(model(sound()), model)
        assert model.sample(sound(), num_steps=3).shape == (3, 2, 32)
        assert model.diffusion.sigma_distribution(4, torch.device("cpu")).tolist() == [0.25] * 4

    def test_a_distribution_put_into_a_finished_objective(self):
        """Assigned as an attribute, by a subclass or from outside; training draws from it."""

        class Late(VDiffusion):
            def __init__(self, net: nn.Module) -> None:
                super().__init__(net)
                self.sigma_distribution = UniformDistribution(vmin=0.5, vmax=0.6)

        seen: list[Tensor] = []
        model = model_of(diffusion_t=Late)
        model.net.register_forward_hook(lambda module, given, said: seen.append(given[1]))
        model(sound())
        model.diffusion.sigma_distribution = UniformDistribution(vmin=0.9, vmax=1.0)
        model(sound())
        assert ((seen[0] >= 0.5) & (seen[0] <= 0.6)).all() and (seen[1] >= 0.9).all()

    def test_a_network_inside_a_module_of_its_own(self):
        """UNetV0 held by another module, and every part of the method made from that."""

        class Net(nn.Module):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__()
                self._net = UNetV0(dim=1, **kwargs)

            def forward(self, *args: Any, **kwargs: Any) -> Tensor:
                return self._net(*args, **kwargs)

        net = Net(**SMALL)
        learns(VDiffusion(net)(sound()), net)
        assert VSampler(net)(sound(), 2).shape == (3, 2, 32)
        keep = torch.ones(3, 2, 32, dtype=torch.bool)
        assert torch.equal(VInpainter(net)(sound(), keep, 2, 1), sound())

    def test_a_network_of_its_own(self):
        """`net_t` is any callable that takes `dim` and its own arguments."""

        class Line(nn.Module):
            def __init__(self, dim: int, width: int) -> None:
                super().__init__()
                self.conv = nn.Conv1d(2, width, 3, padding=1)
                self.back = nn.Conv1d(width, 2, 3, padding=1)

            def forward(self, x: Tensor, time: Tensor, *, scale: float = 1.0) -> Tensor:
                return scale * self.back(self.conv(x).relu() * time[:, None, None].cos())

        model = DiffusionModel(net_t=Line, width=4)
        learns(model(sound(), scale=0.5), model)
        assert model.sample(sound(), num_steps=2, scale=0.5).shape == (3, 2, 32)

    def test_spectrograms_with_what_they_come_from_beside_them(self):
        """Two axes: `dim=2`, the input of a translation as more channels, `out_channels`."""

        class Beside(VDiffusion):
            def forward(self, x: Tensor, given: Tensor, **kwargs: Any) -> Tensor:
                times = self.sigma_distribution(num_samples=len(x), device=x.device)
                alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim))
                noise = torch.randn_like(x)
                seen = torch.cat([alpha * x + beta * noise, given], dim=1)
                return F.mse_loss(self.net(seen, times, **kwargs), alpha * noise - beta * x)

        class BesideSampler(VSampler):
            @torch.no_grad()
            def forward(self, x: Tensor, given: Tensor, num_steps: int, **kwargs: Any) -> Tensor:
                times = repeat(self.schedule(num_steps + 1, x.device), "i -> i b", b=len(x))
                alpha, beta = self.get_alpha_beta(extend_dim(times, dim=x.ndim + 1))
                for i in range(num_steps):
                    said = self.net(torch.cat([x, given], dim=1), times[i], **kwargs)
                    clean, rest = alpha[i] * x - beta[i] * said, beta[i] * x + alpha[i] * said
                    x = alpha[i + 1] * clean + beta[i + 1] * rest
                return x

        model = model_of(dim=2, out_channels=1, diffusion_t=Beside, sampler_t=BesideSampler)
        picture, given = sound(2, 1, 8, 12), sound(2, 1, 8, 12, seed=1)
        learns(model(picture, given), model)
        assert model.sample(picture, given, num_steps=2).shape == picture.shape

    def test_embeddings_of_its_own_encoder(self):
        """No text: one embedding an item from another model, with guidance by its scale."""
        model = model_of(
            cross_attentions=[0, 1],
            attention_heads=2,
            attention_features=4,
            embedding_features=6,
            embedding_max_length=1,
            use_embedding_cfg=True,
        )
        known = sound(3, 1, 6)
        learns(model(sound(), embedding=known, embedding_mask_proba=0.1), model)
        made = [
            model.sample(sound(), num_steps=2, embedding=known, embedding_scale=scale)
            for scale in (1.0, 4.0)
        ]
        assert not torch.equal(*made)

    def test_context_put_in_by_hand(self):
        """Latents of a frozen codec as `channels`, nothing for the levels above them."""
        model = model_of(context_channels=[0, 3])
        context = [None, sound(3, 3, 16)]
        learns(model(sound(), channels=context), model)
        assert model.sample(sound(), num_steps=2, channels=context).shape == (3, 2, 32)

    def test_a_custom_loss_through_the_model(self):
        """`loss_fn` given to the model, as of the last commits of upstream."""
        model, x = model_of(loss_fn=F.l1_loss), sound()
        times, noise = torch.tensor([0.2, 0.5, 0.8]), sound(seed=1)
        alpha, beta = (level[:, None, None] for level in model.diffusion.get_alpha_beta(times))
        wanted = F.l1_loss(model.net(alpha * x + beta * noise, times), alpha * noise - beta * x)
        torch.testing.assert_close(model(x, times=times, noise=noise), wanted)

    def test_parts_named_in_a_configuration(self):
        """Configuration files name classes by their dotted path and bind arguments beforehand."""

        def found(path: str) -> Any:
            module, _, name = path.rpartition(".")
            return getattr(importlib.import_module(module), name)

        prefix = "audio_diffusion_pytorch."
        model_t = found(prefix + "models.DiffusionModel")
        model = model_t(
            net_t=partial(found(prefix + "components.UNetV0"), **SMALL),
            diffusion_t=found(prefix + "diffusion.VDiffusion"),
            sampler_t=partial(
                found(prefix + "VSampler"), schedule=found(prefix + "LinearSchedule")(end=0.0)
            ),
        )
        learns(model(sound()), model)


class StandIn(nn.Module):
    """What the trainers' base class is to a model: a module that is asked for steps."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, Tensor] = {}

    def log(self, name: str, value: Tensor, **kwargs: Any) -> None:
        self.logged[name] = value


class Trained(StandIn):
    """A training module that holds a model and an average of it, as the public trainers do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(list(self.model.parameters()), lr=1e-2)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.model(batch)
        self.log("train_loss", loss, sync_dist=True)
        return loss

    @torch.no_grad()
    def update(self, decay: float = 0.5) -> None:
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        for mean, new in pairs:
            mean.lerp_(new, 1 - decay)

    def validation_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.average(batch)
        self.log("valid_loss", loss)
        return loss


class Whole(StandIn):
    """A training module that is the model: the three parts by hand, arguments by prefix."""

    def __init__(
        self,
        net_t: Callable,
        diffusion_t: Callable = VDiffusion,
        sampler_t: Callable = VSampler,
        loss_fn: Callable = torch.nn.functional.mse_loss,
        dim: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        for_diffusion, kwargs = groupby("diffusion_", kwargs)
        for_sampler, kwargs = groupby("sampler_", kwargs)
        self.net = net_t(dim=dim, **kwargs)
        self.diffusion = diffusion_t(net=self.net, loss_fn=loss_fn, **for_diffusion)
        self.sampler = sampler_t(net=self.net, **for_sampler)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.diffusion(*args, **kwargs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self(batch)
        self.log("train_loss", loss)
        return loss


class TestTrainers:
    def test_a_module_that_holds_a_model_and_its_average(self):
        """Two steps of AdamW, the average follows, is what is validated and what samples."""
        module, x = Trained(model_of()), sound()
        optimizer = module.configure_optimizers()
        before = [mean.clone() for mean in module.average.parameters()]
        for step in range(2):
            optimizer.zero_grad()
            module.training_step(x, step).backward()
            optimizer.step()
            module.update()
        assert any(
            not torch.equal(old, new)
            for old, new in zip(before, module.average.parameters(), strict=True)
        )
        assert module.validation_step(x, 0).isfinite() and set(module.logged) == {
            "train_loss",
            "valid_loss",
        }
        made = [part.sample(sound(), num_steps=2) for part in (module.model, module.average)]
        assert not torch.equal(*made)  # upstream's copy sampled with the model's weights
        assert module.training and module.model.training

    def test_a_module_that_is_the_model(self):
        module = Whole(UNetV0, sampler_schedule=LinearSchedule(), **SMALL)
        learns(module.training_step(sound(), 0), module)
        assert module.sampler(sound(), num_steps=2).shape == (3, 2, 32)

    def test_the_real_trainer(self, tmp_path):
        """The same with Lightning itself, where it is installed."""
        lightning = pytest.importorskip("lightning")

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.model = model_of()

            def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
                return self.model(batch)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.AdamW(self.parameters(), lr=1e-3)

        trainer = lightning.Trainer(
            max_steps=2, accelerator="cpu", logger=False, default_root_dir=tmp_path
        )
        trainer.fit(Module(), torch.utils.data.DataLoader(list(sound()), batch_size=1))
        assert trainer.global_step == 2

    def test_weights_saved_by_an_old_training_are_read(self, tmp_path):
        """A checkpoint of a training module: the model's keys three times, under `model.`."""
        module = Trained(model_of())
        weights = {
            f"model.{part}{key}": value + 1
            for key, value in module.model.net.state_dict().items()
            for part in ("net.", "diffusion.net.", "sampler.net.")
        }
        torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "last.ckpt")
        loaded = torch.load(tmp_path / "last.ckpt")["state_dict"]
        other = StandIn()
        other.model = model_of()
        other.load_state_dict(loaded)
        key = next(iter(other.model.net.state_dict()))
        assert torch.equal(other.model.net.state_dict()[key], weights[f"model.net.{key}"])
