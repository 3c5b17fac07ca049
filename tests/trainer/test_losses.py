import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import golden
from trainer.augmentations.picking import divergence, entropy, pick
from trainer.losses import LossWeights, distillation_loss, student_loss

GOLDEN = golden("loss_golden")


def logits(seed: int, batch: int, classes: int) -> Tensor:
    """float64 [4, B, C]: student(x), teacher(x), student(m), teacher(m)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    values = rng.standard_normal((4, batch, classes)) * np.array([3, 5, 3, 5])[:, None, None]
    return torch.from_numpy(values.astype(np.float32)).double()


def labels(seed: int, batch: int, classes: int) -> Tensor:
    rng = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(rng.integers(0, classes, batch))


@pytest.mark.parametrize("case", GOLDEN["DistillKL"])
def test_distillation_loss(case: dict) -> None:
    student, teacher, *_ = logits(case["seed"], case["B"], case["C"])
    student.requires_grad_()
    loss = distillation_loss(student, teacher, case["T"])
    loss.backward()
    assert loss.item() == pytest.approx(case["float64"], rel=1e-9)
    assert student.grad is not None
    gradient = case["grad_student_float64"]
    assert student.grad.norm().item() == pytest.approx(gradient["l2"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["train_step"])
def test_the_loss_of_a_whole_step(case: dict) -> None:
    student, teacher, mixed_student, mixed_teacher = logits(case["seed"], case["B"], case["C"])
    student.requires_grad_()
    mixed_student.requires_grad_()
    options = case["options"]
    original, _, augmented = options["lw_mix"] or (1.0, 0.0, 0.0)
    loss = student_loss(
        student,
        teacher,
        labels(case["tseed"], case["B"], case["C"]),
        (mixed_student, mixed_teacher) if augmented else None,
        options["kd_T"],
        LossWeights(options["gamma"], options["alpha"], original, augmented),
    )
    loss.backward()
    assert loss.item() == pytest.approx(case["total_loss_float64"], rel=1e-9)
    for tensor, name in ((student, "student_orig_logits"), (mixed_student, "student_mix_logits")):
        norm = 0.0 if tensor.grad is None else tensor.grad.norm().item()
        assert norm == pytest.approx(case["grad_l2"][name] or 0.0, rel=1e-6)


def test_each_term_is_averaged_over_its_own_batch() -> None:
    student, teacher, *_ = logits(11, 16, 100)
    *_, mixed_student, mixed_teacher = logits(13, 32, 100)
    mixed = (mixed_student, mixed_teacher)
    loss = student_loss(student, teacher, labels(12, 16, 100), mixed, temperature=4)
    expected = GOLDEN["train_step_uneven_last_batch"]["total_loss_float64"]
    assert loss.item() == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 2**32), st.floats(0.5, 20))
def test_distillation_loss_is_zero_for_equals_and_positive_otherwise(seed: int, t: float) -> None:
    one, other, *_ = logits(seed, 4, 5)
    assert distillation_loss(one, one, t).item() == pytest.approx(0, abs=1e-12)
    assert distillation_loss(one, other, t).item() > 0


def test_entropy() -> None:
    *_, student, teacher = logits(7, 64, 100)
    expected = GOLDEN["entropy_T1"]
    for values, name in ((student, "student"), (teacher, "teacher")):
        first5 = entropy(values)[:5].numpy()
        np.testing.assert_allclose(first5, expected[f"{name}_mix_float64_first5"], rtol=1e-6)


@pytest.mark.parametrize("case", GOLDEN["picking"]["cases"])
def test_picking(case: dict) -> None:
    rng = np.random.Generator(np.random.PCG64(case["seed"]))
    values = rng.standard_normal((2, case["pool"], 100)) * np.array([3, 5])[:, None, None]
    student, teacher = torch.from_numpy(values.astype(np.float32))
    scores = {
        "student_entropy": entropy(student),
        "teacher_entropy": entropy(teacher),
        "kld": divergence(student, teacher, temperature=4.0),
    }[case["criterion"]]
    assert pick(scores, case["n_pick"]).tolist() == case["picked_in_order"]


def test_a_probability_that_underflows_is_picked_as_the_highest() -> None:
    rng = np.random.Generator(np.random.PCG64(21))
    values = rng.standard_normal((2, 128, 100)) * np.array([3, 5])[:, None, None]
    teacher = torch.from_numpy(values.astype(np.float32))[1]
    teacher[5] = 0
    teacher[5, 0] = 500
    scores = entropy(teacher)
    assert scores[5].isnan()
    assert (
        pick(scores, 64).tolist().index(5)
        == GOLDEN["picking"]["nan_case"]["position_of_5_in_picked"]
    )
