"""Models that are not kdsweep's: what is found out of them, what is refused, and what is remembered."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.guest_models import BEGIN, DROPS, wanted
from tests.trainer.kernels import passes_of
from trainer import descriptions
from trainer.catalog import ARCHITECTURES, MODELS, multiply_adds
from trainer.describe import UnfitError, describe
from trainer.descriptions import TOP, Wanted, described
from trainer.footprints import FOOTPRINTS
from trainer.models import build_model
from trainer.models.guests import make
from trainer.problems import UserError

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm, an extra, is not installed"
)

BUILT_IN = f"""{BEGIN}
from trainer.models import build_model
from trainer.models.guests import make

@register("same")
def same(num_classes, image_size):
    return build_model("NAME", num_classes, image_size)
"""


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "MobileNetV2_0_25"])
def test_a_model_of_kdsweep_s_is_described_as_the_catalog_has_it(name: str) -> None:
    size = 32
    found = describe(wanted(BUILT_IN.replace("NAME", name), "same", 100, size))
    assert found.parameters == MODELS[name].parameters
    assert found.multiply_adds == multiply_adds(name, size, 100)
    assert found.tensors == FOOTPRINTS[name].tensors
    assert (found.look.launches, found.training.launches) == (
        FOOTPRINTS[name].look.launches,
        pytest.approx(FOOTPRINTS[name].training.launches, abs=2),
    )
    for counted, told in zip(
        passes_of(build_model(name, 100, size), size), (found.look, found.training), strict=True
    ):
        per_image = sum(c * s**2 for s, c in counted.channels.items())
        assert told.floats == pytest.approx(per_image, rel=0.05)


@pytest.mark.parametrize(("size", "needs"), [(16, True), (32, False)])
def test_whether_one_image_is_enough_is_tried(size: int, needs: bool) -> None:
    found = describe(wanted(BUILT_IN.replace("NAME", "MobileNetV2_0_25"), "same", 10, size))
    assert found.needs_two_images is needs


MODULE = """
class Net(nn.Module):
    def __init__(self, num_classes, image_size):
        super().__init__()
        self.head = nn.Linear(3 * image_size**2, num_classes)
        {more}

    def forward(self, images):
        {act}
        return self.head(images.flatten(1)){end}

@register("net")
def net(num_classes, image_size):
    {begin}
    return Net({arguments})
"""


def net(
    more: str = "pass",
    act: str = "pass",
    end: str = "",
    begin: str = "pass",
    arguments: str = "num_classes, image_size",
) -> str:
    parts = {"more": more, "act": act, "end": end, "begin": begin, "arguments": arguments}
    return BEGIN + MODULE.format(**parts)


def test_the_least_that_a_model_may_be() -> None:
    assert describe(wanted(net(), "net")).multiply_adds == 3 * 16**2 * 10


def test_attention_is_counted_which_torch_fuses_in_eval_mode() -> None:
    """The example's transformer, of 16 patches: embedding, q, k and v, both products, output, two layers, head."""
    source = (TOP / "examples" / "own_models.py").read_text()
    found = describe(wanted(source, "patches")).multiply_adds
    tokens, width = 16, 32
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    assert found == tokens * 48 * width + attention + 2 * tokens * width * 2 * width + width * 10


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (net(begin="return 1 / 0"), "cannot be built: ZeroDivisionError: division by zero"),
        (net(begin="raise SystemExit"), "would end the whole process"),
        (net(begin="return print"), "is a builtin_function_or_method, not a torch.nn.Module"),
        (net(arguments="num_classes, 8"), "cannot take images of 3x16x16: RuntimeError: mat1 and"),
        (net(arguments="7, image_size"), "answers with torch.float32 [8, 7]; expected"),
        (net(end=".double()"), "answers with torch.float64 [8, 10]; expected torch.float32 [8, 10]"),
        (net(end=".unbind()"), "answers with a tuple; expected torch.float32 [8, 10]"),
        (net(end=".detach()"), "no gradient comes out of it"),
        (net(more="self.idle = nn.Linear(1, 1)"), "no gradient reaches idle.weight"),
        (net(more="self.head.weight.requires_grad = False"), "head.weight takes no gradient"),
        (net(begin="return Net(num_classes, image_size).double()"), "is torch.float64; expected"),
        (net(begin="return nn.Flatten()"), "has no parameters"),
        (
            net(more="type(self).get_extra_state = lambda self: {}"),
            "_extra_state of its state_dict is a dict; expected tensors alone",
        ),
        (
            net(begin="import os; torch.manual_seed(int.from_bytes(os.urandom(4)))"),
            "begins with other weights each time",
        ),
        (net(act="images = images + torch.rand(1)"), "answers otherwise each time"),
        (
            net(more="self.count = 0", act="self.count += self.training; images = images + self.count"),
            "goes on otherwise after its state_dict was loaded",
        ),
        (
            net(
                more="self.register_buffer('n', torch.zeros(()), persistent=False)",
                act="self.n += self.training; images = images + self.n",
            ),
            "must be in its state_dict",
        ),
        (
            net(act="import os; images = images + self.training * os.urandom(1)[0]"),
            "what it draws must come from torch's own generators",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_or_repeated_is_told(source: str, told: str) -> None:
    with pytest.raises(UnfitError) as caught:
        describe(wanted(source, "net"))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_subclass_is_not_registered_by_what_it_inherits_from() -> None:
    source = f"""{BEGIN}
@register("small")
class Small(nn.Linear):
    def __init__(self, num_classes, image_size):
        super().__init__(3 * image_size**2, num_classes)

    def forward(self, images):
        return super().forward(images.flatten(1))

class Large(Small):
    def __init__(self, num_classes, image_size):
        raise NotImplementedError
"""
    assert describe(wanted(source, "small")).parameters == (3 * 16**2 + 1) * 10


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_a_description_is_asked_of_another_process_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file prints is no part of the answer; another size is another question."""
    one = wanted(DROPS + "print('[]')\n", "drops")
    (first,) = described([one])
    assert first.file == one.file
    assert first.description == describe(one)
    monkeypatch.setattr(subprocess, "run", None)
    assert described([one, one]) == [first, first]
    monkeypatch.setattr(descriptions, "library_version", lambda name: "another")
    with pytest.raises(TypeError):
        described([one])
    monkeypatch.undo()
    for file in cache.iterdir():
        file.write_text("damaged")
    monkeypatch.setenv("KDSWEEP_CACHE", str(cache.parent))
    assert described([one]) == [first]


@pytest.mark.usefixtures("cache")
def test_what_is_wrong_is_told_with_file_and_name_a_line_each() -> None:
    fine, few, many = (
        wanted(DROPS, "drops"),
        wanted(net(arguments="7, image_size"), "net"),
        wanted(net(begin="raise ValueError('first\\nsecond')"), "net"),
    )
    with pytest.raises(UserError) as caught:
        described([few, fine, many])
    assert str(caught.value).splitlines() == [
        "mine.py: net answers with torch.float32 [8, 7]; expected torch.float32 [8, 10]",
        "mine.py: net cannot be built: ValueError: first second",
    ]


@pytest.mark.usefixtures("cache")
def test_a_process_that_ends_or_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = wanted(net(begin="import os; os._exit(7)"), "net")
    with pytest.raises(UserError, match=r"^mine.py: net: .* ended with code 7$"):
        described([ends])
    monkeypatch.setattr(descriptions, "SECONDS_PER_MODEL", 0.1)
    with pytest.raises(UserError, match=r"^mine.py: net: not built and tried within 0.1 seconds$"):
        described([wanted(net(), "net")])


def test_it_is_found_wherever_one_stands(tmp_path: Path) -> None:
    """A folder of that name in the working directory is not run instead."""
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    script = (
        "import sys; sys.path.remove(''); from trainer.descriptions import Wanted, described\n"
        "found = described([Wanted(name='torchvision:squeezenet1_1', num_classes=10, image_size=32)])\n"
        "assert 'torch' not in sys.modules\nprint(found[0].model_dump_json())"
    )
    paths = os.pathsep.join(filter(None, [str(descriptions.TOP), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KDSWEEP_CACHE": str(tmp_path), "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["file"] is None


def library(name: str, size: int = 32) -> Wanted:
    return Wanted(name=name, num_classes=10, image_size=size)


def test_torchvision_s_models_get_the_image_size_where_they_take_one() -> None:
    rng = np.random.default_rng(0)
    assert (
        sum(p.numel() for p in make("torchvision:resnet18", None, 10, 16, rng).parameters())
        == 11_181_642
    )
    patches = make("torchvision:vit_b_16", None, 10, 32, rng).state_dict()["encoder.pos_embedding"]
    assert patches.shape == (1, 1 + 2 * 2, 768)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("torchvision:resnet19", "is unknown to torchvision; did you mean 'resnet18'?"),
        ("torchvision:alexnet", "cannot take images of 3x32x32"),
        ("torchvision:zzzzzzz", "is unknown to torchvision"),
        pytest.param("timm:resnet19", "to timm; did you mean 'resnet18'?", marks=needs_timm),
    ],
)
def test_a_library_s_models_that_are_none_or_take_no_such_images(name: str, told: str) -> None:
    with pytest.raises(UnfitError) as caught:
        describe(library(name))
    assert told in str(caught.value)


@needs_timm
def test_timm_s_models_get_the_image_size_where_they_take_one() -> None:
    small, large = (describe(library("timm:vit_tiny_patch16_224", size)) for size in (32, 64))
    assert small.shapes != large.shapes
    assert small.parameters < large.parameters
    assert describe(library("timm:resnet18")).parameters == 11_181_642


def test_a_library_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "library_version", lambda name: None)
    with pytest.raises(UserError) as caught:
        described([library("timm:resnet18"), library("timm:resnet34")])
    assert str(caught.value).splitlines() == [
        f"timm:resnet{depth}: timm is not installed; it comes with kdsweep[timm]"
        for depth in (18, 34)
    ]


def test_no_name_of_kdsweep_s_is_that_of_a_library() -> None:
    assert not [name for name in ARCHITECTURES if ":" in name]
