"""AdamW, clipping and the cosine beside torch's own."""

import copy

import pytest
import torch
from torch import nn

from trainer.adamw import SteadyAdamW
from trainer.models import build_model
from trainer.optimisers import clipped
from trainer.schedules import cosine_learning_rate


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_adamw_has_the_bits_of_torch_s_at_any_rate(weight_decay: float) -> None:
    torch.manual_seed(0)
    ours = build_model("resnet8", 10, 32)
    theirs = copy.deepcopy(ours)
    mine = SteadyAdamW(ours.named_parameters(), weight_decay)
    torchs = torch.optim.AdamW(theirs.parameters(), lr=1.0, weight_decay=weight_decay)
    for rate in (0.05, 0.05, 1 / 3, 1e-8):
        gradients = tuple(torch.randn_like(p) for p in ours.parameters())
        mine.set_rate(rate)
        mine.step(gradients)
        torchs.param_groups[0]["lr"] = rate
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        torchs.step()
        assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_all_that_adamw_has_from_step_to_step_is_there_from_the_start_and_stays() -> None:
    model = nn.Linear(2, 2)
    optimiser = SteadyAdamW(model.named_parameters(), 0.1)
    places = {name: v.data_ptr() for name, v in optimiser.state.items()}
    kinds = ("step", "exp_avg", "exp_avg_sq")
    assert set(places) == {f"adamw.{kind}.{name}" for kind in kinds for name in ("weight", "bias")}
    optimiser.set_rate(0.1)
    optimiser.step(tuple(torch.ones_like(p) for p in model.parameters()))
    assert {name: v.data_ptr() for name, v in optimiser.state.items()} == places
    assert optimiser.state["adamw.step.weight"] == 1
    assert optimiser.state["adamw.exp_avg.weight"].ne(0).all()


@pytest.mark.parametrize("norm", [0.01, 1.0, 30.0, 1e6])
def test_clipping_has_the_bits_of_torch_s(norm: float) -> None:
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((7, 3, 3, 3), (7,), (2, 7))]
    gradients = tuple(torch.randn_like(p) for p in parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, norm)
    made = clipped(gradients, norm)
    for parameter, gradient in zip(parameters, made, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)
    total = torch.cat([gradient.flatten() for gradient in made]).norm()
    assert total <= norm * 1.000001


@pytest.mark.parametrize(("epochs", "base"), [(1, 0.1), (2, 0.05), (240, 0.05), (7, 1e-3)])
def test_the_cosine_is_torch_s(epochs: int, base: float) -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=base)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=epochs)
    for epoch in range(1, epochs + 1):
        expected = optimiser.param_groups[0]["lr"]
        assert cosine_learning_rate(epoch, base, epochs) == pytest.approx(expected, rel=1e-9)
        optimiser.step()
        schedule.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
