"""A trial's precision: what it reaches, and what stays IEEE fp32 whatever it is."""

import pytest
import torch
from torch import nn

from trainer.device import NoGpuError, check_precision
from trainer.precision import (
    at_least_fp32,
    backward_in,
    forward_in,
    has_tf32,
    use_ieee,
)

CPU = torch.device("cpu")


def flags() -> set[str]:
    backends = torch.backends
    return {
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        backends.cudnn.rnn.fp32_precision,  # type: ignore[attr-defined]
    }


def test_tf32_holds_where_it_is_asked_for_and_nowhere_else() -> None:
    use_ieee()
    assert flags() == {"ieee"}
    for context in (forward_in("tf32", CPU), backward_in("tf32")):
        with context:
            assert flags() == {"tf32"}
        assert flags() == {"ieee"}
    with pytest.raises(ZeroDivisionError), backward_in("tf32"):
        1 / 0  # noqa: B018
    assert flags() == {"ieee"}


def test_a_library_that_allows_tf32_for_everything_changes_nothing() -> None:
    use_ieee()
    torch.backends.fp32_precision = "tf32"  # type: ignore[attr-defined]
    try:
        assert flags() == {"ieee"}
    finally:
        torch.backends.fp32_precision = "none"  # type: ignore[attr-defined]


def test_what_a_library_leaves_is_set_right_before_the_next_pass() -> None:
    """Leaving `cudnn.flags` sets the flags of its operators to none, and torch then takes TF32."""
    use_ieee()
    for precision, expected in (("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")):
        assert not torch.backends.cudnn.allow_tf32
        with torch.backends.cudnn.flags(enabled=True):
            pass
        with forward_in(precision, CPU):
            assert flags() == {expected}
        assert flags() == {"ieee"}


def test_bf16_multiplies_in_bf16_and_keeps_weights_and_gradients_in_fp32() -> None:
    model = nn.Linear(3, 2)
    with forward_in("bf16", CPU):
        answer = model(torch.ones(1, 3))
    assert answer.dtype == torch.bfloat16
    (gradient,) = torch.autograd.grad(at_least_fp32(answer).sum(), [model.weight])
    assert gradient.dtype == model.weight.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_what_follows_is_computed_in_fp32_or_better(dtype: torch.dtype) -> None:
    widened = at_least_fp32(torch.ones(1, dtype=dtype)).dtype
    assert widened == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_a_cpu_has_no_tf32_and_nothing_else_is_taken_for_it() -> None:
    assert not has_tf32(CPU)
    check_precision(CPU, "bf16")
    with pytest.raises(
        NoGpuError, match=r"tf32 needs an NVIDIA GPU from Ampere on; cpu on .* has none"
    ):
        check_precision(CPU, "tf32")
