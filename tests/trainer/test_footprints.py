"""What a plan is priced by, counted again from the built models."""

import pytest

from tests.trainer.kernels import BATCH, footprint_of, passes_of
from trainer.catalog import ARCHITECTURES
from trainer.footprints import FOOTPRINTS, WEIGHTS_MOVED, Way, floats_per_image
from trainer.models import build_model

WAYS: tuple[Way, Way] = ("look", "training")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_footprints_are_those_of_the_built_model(name: str) -> None:
    assert FOOTPRINTS[name] == footprint_of(build_model(name, 100, 64))


@pytest.mark.parametrize(
    "name", ["wrn_16_2", "vgg8", "vgg13", "MobileNetV2", "ShuffleV2", "ResNet50"]
)
@pytest.mark.parametrize("size", [32, 64, 28])
def test_what_a_pass_moves_is_what_the_built_model_moves(name: str, size: int) -> None:
    """At other sizes vgg has another pool, and logits are left out."""
    model = build_model(name, 200, size)
    parameters = sum(p.numel() for p in model.parameters())
    for way, counted in zip(WAYS, passes_of(model, size), strict=True):
        activations = sum(BATCH * c * s**2 for s, c in counted.channels.items())
        told = BATCH * floats_per_image(name, size, way)
        assert told == pytest.approx(activations, rel=0.05)
        weights = WEIGHTS_MOVED[way] * parameters
        assert told + weights == pytest.approx(activations + counted.others, rel=0.06)
