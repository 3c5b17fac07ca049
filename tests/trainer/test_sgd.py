"""Our SGD beside torch's: the same bits."""

import copy

import pytest
import torch
from torch import nn

from trainer.models import build_model
from trainer.sgd import MomentumSGD


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
@pytest.mark.parametrize("architecture", ["resnet8", "ShuffleV2_0_3"])
def test_the_bits_of_torch_at_any_rate(
    momentum: float, weight_decay: float, architecture: str
) -> None:
    torch.manual_seed(0)
    ours = build_model(architecture, 10, 32)
    theirs = copy.deepcopy(ours)
    mine = MomentumSGD(ours.named_parameters(), momentum, weight_decay)
    torchs = torch.optim.SGD(
        theirs.parameters(), lr=1.0, momentum=momentum, weight_decay=weight_decay
    )
    for rate in (0.05, 0.05, 0.1 * 0.05, 1 / 3, 1e-8):
        gradients = tuple(torch.randn_like(p) for p in ours.parameters())
        mine.set_rate(rate)
        mine.step(gradients)
        torchs.param_groups[0]["lr"] = rate
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        torchs.step()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)


def test_the_momenta_are_there_before_the_first_step_and_stay_where_they_are() -> None:
    model = nn.Linear(2, 2)
    optimiser = MomentumSGD(model.named_parameters(), 0.9, 0.0)
    places = {name: v.data_ptr() for name, v in optimiser.momenta.items()}
    optimiser.set_rate(0.1)
    optimiser.step(tuple(torch.ones_like(p) for p in model.parameters()))
    assert {name: v.data_ptr() for name, v in optimiser.momenta.items()} == places
    assert optimiser.momenta["weight"].eq(1).all()
