from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import golden
from tests.trainer.recipes import fill_by_name, golden_input
from trainer.catalog import ARCHITECTURES, MODELS, ModelFacts, multiply_adds
from trainer.models import NAMES, build_model
from trainer.randomness import addressed_generator

STATE_DICTS = golden("state_dicts")["models"]
FORWARD = golden("forward_golden")["models"]


def test_the_catalog_knows_exactly_the_models_that_can_be_built() -> None:
    assert ARCHITECTURES == NAMES
    assert set(NAMES) >= set(STATE_DICTS)


@pytest.mark.parametrize("name", STATE_DICTS)
def test_keys_order_shapes_and_counts(name: str) -> None:
    reference = STATE_DICTS[name]
    for classes in (100, 200):
        model = build_model(name, classes, 32)
        parameters = sum(p.numel() for p in model.parameters())
        assert parameters == reference.get(f"params_{classes}", parameters)
        if classes == 100:
            shapes = [[key, list(value.shape)] for key, value in model.state_dict().items()]
            assert shapes == reference["state_dict_100"]


def counted(model: nn.Module, size: int) -> int:
    """Multiply-adds of a built model's convolutions and linear layers."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        places = output[0, 0].numel() if output.ndim == 4 else 1
        total += module.weight.numel() * places

    for module in model.eval().modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)  # type: ignore[arg-type]
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    return total


def facts_of(model: nn.Module) -> ModelFacts:
    """What the catalog has to say of a built model with 100 classes."""
    weights: Counter[int] = Counter()
    linear: list[nn.Linear] = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            weights[64 // output.shape[-1]] += module.weight.numel()
        elif isinstance(module, nn.Linear):
            linear.append(module)

    for module in model.eval().modules():
        module.register_forward_hook(count)  # type: ignore[arg-type]
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    *others, last = linear
    return ModelFacts(
        sum(p.numel() for p in model.parameters()),
        tuple(weights[1 << i] for i in range(max(weights).bit_length())),
        last.in_features,
        sum(layer.weight.numel() for layer in others),
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_catalog_has_the_facts_of_the_built_model(name: str) -> None:
    assert MODELS[name] == facts_of(build_model(name, 100, 64))


@pytest.mark.parametrize("name", NAMES)
def test_multiply_adds_are_those_of_the_built_model(name: str) -> None:
    for size, classes in ((32, 100), (64, 200), (16, 10), (28, 10), (33, 7)):
        built = counted(build_model(name, classes, size), size)
        assert multiply_adds(name, size, classes) == built, size


@pytest.mark.parametrize("name", STATE_DICTS)
def test_multiply_adds_are_those_of_the_reference(name: str) -> None:
    reference = STATE_DICTS[name]
    assert multiply_adds(name, 32, 100) == reference["macs_32x32_100"]
    assert MODELS[name].parameters == reference["params_100"]
    if "macs_64x64_200" in reference:
        assert multiply_adds(name, 64, 200) == reference["macs_64x64_200"]


@pytest.mark.parametrize("case", FORWARD)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_forward_values(case: str, mode: str) -> None:
    name, shape = case.split("/")
    classes, size = (int(part[1:]) for part in shape.split("_"))
    model = fill_by_name(build_model(name, classes, size)).train(mode == "train")
    with torch.no_grad():
        logits = model(golden_input(size)).numpy()
    expected = FORWARD[case][f"{mode}_float64"]
    np.testing.assert_allclose(logits[0, :10], expected["sample0_first10"], rtol=1e-9)
    np.testing.assert_allclose(np.abs(logits).sum(), expected["abs_sum"], rtol=1e-9)
    norms = np.sqrt((logits**2).sum(1))
    np.testing.assert_allclose(norms, expected["per_sample_l2"], rtol=1e-9)
    assert logits.argmax(1).tolist() == expected["argmax"]
    if mode == "train":
        buffers = FORWARD[case]["after_train_forward"]
        norm_layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        means = sum(m.running_mean.sum().item() for m in norm_layers)  # type: ignore[union-attr]
        assert len(norm_layers) == buffers["n_batchnorm"]
        np.testing.assert_allclose(means, buffers["sum_running_mean"], rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [16, 48])
def test_any_image_size(name: str, size: int) -> None:
    model = build_model(name, 7, size).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_initial_weights_depend_on_the_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        rng = addressed_generator(seed, "initial weights", "student", "vgg8")
        return nn.utils.parameters_to_vector(build_model("vgg8", 10, 16, rng).parameters())

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize(
    ("name", "layer", "std"),
    [
        ("resnet20", "layer3.0.conv2.weight", (2 / (9 * 64)) ** 0.5),
        ("vgg8", "block3.0.weight", (2 / (9 * 512)) ** 0.5),
        ("vgg8", "classifier.weight", 0.01),
        ("MobileNetV2", "blocks.6.0.conv.3.weight", (2 / (9 * 480)) ** 0.5),
        ("ShuffleV2", "layer3.1.conv1.weight", (1 / 232 / 3) ** 0.5),
    ],
)
def test_initial_weights_follow_the_familys_rule(name: str, layer: str, std: float) -> None:
    state = build_model(name, 100, 32).state_dict()
    assert state[layer].std().item() == pytest.approx(std, rel=0.05)


def test_the_wide_networks_linear_layer_starts_without_bias() -> None:
    assert not build_model("wrn_16_1", 10, 16).state_dict()["fc.bias"].any()


def test_unknown_names_and_tiny_images_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown model 'resnet21'"):
        build_model("resnet21", 10, 32)
    with pytest.raises(ValueError, match="too small"):
        build_model("resnet20", 10, 4)
