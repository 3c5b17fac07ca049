"""Panels and teachers stand as the sweep or the paper lists them."""

from analysis.order import PAPER, Order, arranged
from analysis.points import Panel


def panel(dataset: str, pair: str, variant: str = "") -> Panel:
    teacher, student = pair.split("/")
    return Panel(dataset, teacher, student, variant, "own", "f", ())


def test_what_an_order_names_comes_first_and_the_rest_as_it_stood() -> None:
    given = [
        panel("zoo", "vgg13/vgg8"),
        panel("cifar100", "ResNet50/vgg8"),
        panel("cifar100", "own/vgg8"),
        panel("cifar100", "a/b"),
        panel("cifar100", "vgg13/vgg8", "2"),
        panel("cifar100", "vgg13/vgg8", "10"),
    ]
    assert [p.title for p in arranged(given, PAPER)] == [
        "cifar100 vgg13/vgg8 (2)",
        "cifar100 vgg13/vgg8 (10)",
        "cifar100 ResNet50/vgg8",
        "cifar100 own/vgg8",
        "cifar100 a/b",
        "zoo vgg13/vgg8",
    ]
    own = Order(("zoo", "cifar100"), ("a/b", "ResNet50/vgg8"))
    assert [p.title for p in arranged(given, own)][:3] == [
        "zoo vgg13/vgg8",
        "cifar100 a/b",
        "cifar100 ResNet50/vgg8",
    ]


def test_teachers_stand_where_their_first_pair_does() -> None:
    names = ["ResNet50", "resnet56", "other", "vgg13"]
    places = sorted(names, key=lambda name: PAPER.of_teacher("cifar100", name))
    assert places == ["vgg13", "resnet56", "ResNet50", "other"]
