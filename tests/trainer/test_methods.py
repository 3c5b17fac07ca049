"""Methods of distillation: golden numbers, and what holds of all of them."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import golden
from trainer import methods
from trainer.losses import LossWeights, distillation_loss, student_loss
from trainer.methods.own import own_method, try_on_noise
from trainer.options import METHODS
from trainer.trial import OwnFile

SEEDS = {"dkd": (7000, 8000), "dist": (7100, 8100)}


def normal(seed: int, shape: tuple[int, ...]) -> Tensor:
    """float64, as float32 has it."""
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape) * 4
    return torch.from_numpy(values.astype(np.float32)).double()


def labels_of(seed: int, batch: int, classes: int) -> Tensor:
    rng = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(rng.integers(0, classes, batch))


def options(case: dict[str, Any]) -> dict[str, float]:
    return {k: case[k] for k in ("temperature", "alpha", "beta", "gamma") if k in case}


@pytest.mark.parametrize("case", golden("methods_golden")["cases"])
def test_the_golden_loss_and_its_gradient(case: dict[str, Any]) -> None:
    method, seed, shape = case["method"], case["seed"], (case["n"], case["classes"])
    student, teacher = (normal(base + seed, shape) for base in SEEDS[method])
    student.requires_grad_()
    labels = labels_of(9000 + seed, *shape) if method == "dkd" else None
    loss = methods.loss(method, student, teacher, labels, **options(case))
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(case["loss"], rel=1e-10)
    assert gradient.abs().sum().item() == pytest.approx(case["grad_abs_sum"], rel=1e-9)
    assert gradient.flatten()[:3].tolist() == pytest.approx(case["grad_first3"], rel=1e-6)


logits = st.tuples(st.integers(0, 2**31), st.integers(2, 9), st.integers(3, 12))
temperatures = st.floats(0.5, 8)


def drawn(seed: int, batch: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    student, teacher = normal(seed, (2, batch, classes))
    return student, teacher, labels_of(seed, batch, classes)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=10)
@given(logits, temperatures)
def test_the_gradient_is_that_of_finite_differences(
    name: str, of: tuple[int, int, int], temperature: float
) -> None:
    student, teacher, labels = drawn(*of)
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: methods.loss(name, s, teacher, labels, temperature=temperature),
        student,
        atol=1e-4,
        rtol=1e-3,
    )


@pytest.mark.parametrize("name", ["kd", "dkd"])
@given(logits, temperatures)
def test_a_divergence_is_nought_for_who_says_the_same_and_above_it_for_others(
    name: str, of: tuple[int, int, int], temperature: float
) -> None:
    student, teacher, labels = drawn(*of)
    same = methods.loss(name, teacher, teacher, labels, temperature=temperature)
    assert same.item() == pytest.approx(0, abs=1e-9)
    assert methods.loss(name, student, teacher, labels, temperature=temperature).item() > 0


@given(logits, temperatures, st.floats(0, 3), st.floats(0, 3))
def test_dist_lies_between_full_and_opposite_correlation(
    of: tuple[int, int, int], temperature: float, beta: float, gamma: float
) -> None:
    student, teacher, _ = drawn(*of)
    weighted = {"temperature": temperature, "beta": beta, "gamma": gamma}
    value = methods.loss("dist", student, teacher, None, **weighted).item()
    assert -1e-9 <= value <= 2 * (beta + gamma) + 1e-9


def test_dist_is_nought_for_who_says_the_same() -> None:
    _, teacher, _ = drawn(0, 8, 5)
    value = methods.loss("dist", teacher, teacher, None, temperature=4.0).item()
    assert value == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", METHODS)
@given(logits, temperatures, st.floats(-9, 9))
def test_adding_one_number_to_all_logits_of_an_image_changes_nothing(
    name: str, of: tuple[int, int, int], temperature: float, by: float
) -> None:
    student, teacher, labels = drawn(*of)
    one = methods.loss(name, student, teacher, labels, temperature=temperature)
    other = methods.loss(name, student + by, teacher, labels, temperature=temperature)
    assert other.item() == pytest.approx(one.item(), rel=1e-6, abs=1e-9)


@given(logits, temperatures)
def test_dkd_with_the_teacher_s_own_weight_of_the_rest_is_kd(
    of: tuple[int, int, int], temperature: float
) -> None:
    """KD = TCKD + (1 - p_target of the teacher) * NCKD, image by image."""
    student, teacher, labels = drawn(of[0], 1, of[2])
    rest = 1 - (teacher / temperature).softmax(1)[0, labels[0]].item()
    made = methods.loss(
        "dkd", student, teacher, labels, temperature=temperature, alpha=1.0, beta=rest
    )
    expected = distillation_loss(student, teacher, temperature)
    assert made.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)


@given(logits, temperatures)
def test_dkd_of_images_without_labels_targets_the_teacher_s_likeliest_class(
    of: tuple[int, int, int], temperature: float
) -> None:
    student, teacher, _ = drawn(*of)
    told = methods.loss("dkd", student, teacher, teacher.argmax(1), temperature=temperature)
    assert methods.loss("dkd", student, teacher, None, temperature=temperature).equal(told)


def test_dkd_of_a_student_that_is_sure_of_itself_is_finite() -> None:
    """The probabilities of float32 are 0 and 1 here; their logarithms are not needed."""
    student = torch.tensor([[900.0, 0, 0], [0, 900.0, 0]], requires_grad=True)
    teacher = torch.tensor([[0, 5.0, 1], [0, 5.0, 1]])
    loss = methods.loss("dkd", student, teacher, torch.tensor([0, 0]), temperature=1.0)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@given(logits, temperatures, st.floats(0.1, 5), st.floats(0.1, 5), st.floats(0.1, 9))
def test_the_options_of_dist_and_dkd_are_weights(
    of: tuple[int, int, int], temperature: float, one: float, other: float, by: float
) -> None:
    student, teacher, labels = drawn(*of)
    for name, (first, second) in (("dkd", ("alpha", "beta")), ("dist", ("beta", "gamma"))):

        def value(a: float, b: float, name: str = name, names: tuple = (first, second)) -> float:
            given = dict(zip(names, (a, b), strict=True))
            made = methods.loss(name, student, teacher, labels, temperature=temperature, **given)
            return made.item()

        parts = value(one, 0) + value(0, other)
        assert value(one, other) == pytest.approx(parts, rel=1e-9)
        assert value(by * one, by * other) == pytest.approx(by * parts, rel=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_has_the_dtype_of_the_logits(name: str) -> None:
    student, teacher, labels = drawn(3, 5, 7)
    near = methods.loss(name, student.float(), teacher.float(), labels)
    assert near.dtype == torch.float32
    exact = methods.loss(name, student, teacher, labels).item()
    assert near.item() == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("dkt", {}, "unknown method 'dkt'; did you mean 'dkd'"),
        ("dkd", {"bta": 2}, "unknown option 'bta' of dkd; did you mean 'beta'"),
        ("kd", {"beta": 2}, "unknown option 'beta' of kd; it has none"),
        ("dist", {"beta": -1}, "beta of dist: expected 0 or more, not -1"),
        ("dist", {"beta": "2"}, "beta of dist: expected a value like its default, beta = 1.0"),
        ("kd", {"temperature": 0}, "temperature: expected more than 0, not 0"),
    ],
)
def test_what_is_no_method_is_told(name: str, given: dict[str, Any], told: str) -> None:
    student, teacher, labels = drawn(0, 4, 5)
    with pytest.raises(ValueError, match=told):
        methods.loss(name, student, teacher, labels, **given)


def test_the_whole_loss_has_a_term_of_the_method_for_each_kind_of_image() -> None:
    student, teacher, labels = drawn(1, 6, 5)
    mixed = (normal(2, (8, 5)), normal(3, (8, 5)))
    seen = []

    def squared(s: Tensor, t: Tensor, of: Tensor | None, temperature: float) -> Tensor:
        seen.append((of, temperature))
        return (s - t).square().mean()

    whole = student_loss(
        *(student, teacher, labels, mixed, 3.0, LossWeights(0.2, 0.7, 0.5, 2.0)),
        method=squared,
        label_smoothing=0.1,
        warmth=torch.tensor(0.25, dtype=torch.float64),
    )
    terms = ((student - teacher).square().mean(), (mixed[0] - mixed[1]).square().mean())
    label_term = F.cross_entropy(student, labels, label_smoothing=0.1)
    expected = 0.2 * label_term + 0.25 * 0.7 * (0.5 * terms[0] + 2.0 * terms[1])
    assert whole.item() == pytest.approx(expected.item(), rel=1e-12)
    assert seen == [(labels, 3.0), (None, 3.0)]


HEAD = "import torch\nfrom trainer.methods import register\n@register('mine')\n"


def mine(body: str) -> OwnFile:
    signature = "def mine(s, t, labels, temperature, *, power=2.0):\n    "
    return OwnFile(path="mine.py", source=f"{HEAD}{signature}{body}\n")


def test_a_method_of_one_s_own_gets_its_options() -> None:
    method = own_method(mine("return (s - t).abs().pow(power).sum()"), "mine", {"power": 3.0})
    student, teacher, labels = drawn(5, 4, 5)
    expected = (student - teacher).abs().pow(3).sum()
    assert method(student.requires_grad_(), teacher, labels, 4.0).item() == expected.item()


@pytest.mark.parametrize("name", ["kd", "dkd", "dist"])
def test_logits_and_labels_of_other_shapes_are_refused(name: str) -> None:
    student, teacher, labels = drawn(5, 4, 5)
    for mistaken in (teacher[:1], teacher[:, :3], teacher[0]):
        with pytest.raises(ValueError, match=r"logits: expected \[B, C\] .* not \[4, 5\] and \["):
            methods.loss(name, student, mistaken, labels)
    for wrong in (labels.float(), labels[:2], labels[:, None]):
        with pytest.raises(ValueError, match=r"labels: expected int64 \[4\], not torch\."):
            methods.loss(name, student, teacher, wrong)
    for strange in (-1, 5):
        with pytest.raises(ValueError, match=r"labels: expected 0 to 4, not "):
            methods.loss(name, student, teacher, torch.tensor([0, 1, 2, strange]))
    with pytest.raises(ValueError, match="one image or more"):
        methods.loss(name, student[:0], teacher[:0], None)


def test_what_a_method_of_one_s_own_changes_is_its_own() -> None:
    method = own_method(mine("t.zero_(); labels.zero_(); s.mul_(0); return s.sum()"), "mine", {})
    student, teacher, labels = drawn(5, 4, 5)
    before = [value.clone() for value in (student, teacher, labels)]
    method(student.requires_grad_(), teacher, labels, 4.0)
    assert all(map(torch.equal, (student, teacher, labels), before))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return (s - t).square().mean(1)", r"must return a scalar .* not torch.float32 \[8\]"),
        ("return 1.0", "must return a scalar with a gradient, not float"),
        ("return s.detach().mean()", r"not torch.float32 \[\] without one"),
        ("return s.mean() * float('nan')", "is nan on noise, for images with labels"),
        ("return (s - s).abs().sqrt().sum()", "a gradient that is not finite on noise"),
        ("return (s - s.detach()).square().sum()", "a gradient of nought on noise"),
        ("return s.mean() + s.mean() / len(labels)", "object of type 'NoneType' has no len"),
        ("return s.std() * (labels is not None)", "nought on noise, where labels are None"),
        ("raise SystemExit", "mine.py: mine would end the whole process"),
    ],
)
def test_a_method_of_one_s_own_that_teaches_nothing_is_found_on_noise(body: str, told: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=told):
        try_on_noise(own_method(mine(body), "mine", {}), num_classes=10, temperature=4.0)
