"""What does not fit into memory is refused with the numbers, before anything is decoded."""

from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.test_data_formats import WRITERS
from trainer.datasets import memory
from trainer.datasets.errors import DataError
from trainer.datasets.memory import available_bytes, check_images_fit
from trainer.datasets.own_images import identify


def machine(folder: Path, free: int) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {free} kB\n")
    (folder / "self" / "cgroup").write_text("0::/job/step\n")
    return folder


def group(folder: Path, most: str, used: int, inactive: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


def test_the_machine_and_every_group_that_holds_the_process_are_asked(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path / "proc", free=1000), tmp_path / "cgroup"
    assert available_bytes(proc, groups) == 1_024_000
    group(groups / "job" / "step", "max", 10, 0)
    assert available_bytes(proc, groups) == 1_024_000
    group(groups / "job", "900000", 500_000, 100_000)
    assert available_bytes(proc, groups) == 500_000
    group(groups / "job" / "step", "20000", 30_000, 0)
    assert available_bytes(proc, groups) == 0
    assert available_bytes(tmp_path / "nowhere", tmp_path / "nowhere") is None


def test_this_machine_has_some() -> None:
    free = available_bytes()
    assert free is not None
    assert free > 2**20


@pytest.mark.parametrize("form", WRITERS)
def test_every_kind_of_ones_own_data_is_refused_before_it_is_decoded(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, size = WRITERS[form]
    folder = write(tmp_path / "images")

    def nothing(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(memory, "available_bytes", lambda: 20_000)
    for module in ("image_folder", "parquet_images", "tiny_imagenet"):
        monkeypatch.setattr(f"trainer.datasets.{module}.decode", nothing)
    monkeypatch.setattr("trainer.datasets.cifar.read", nothing)
    monkeypatch.setattr("trainer.datasets.idx.read", nothing)
    with pytest.raises(DataError, match=r"takes [\d,]+ bytes of memory, and 20,000 are available"):
        identify(form, folder, size)


def test_the_size_that_would_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 3_100_000)
    with pytest.raises(DataError) as told:
        check_images_fit(1000, 64, "images")
    assert str(told.value) == (
        "images (1,000 images of 64x64): decoding it takes 12,296,000 bytes of memory, "
        "and 3,100,000 are available here; image_size: 32 would fit"
    )
    check_images_fit(1000, 32, "images")
    with pytest.raises(DataError, match="a machine with more memory could"):
        check_images_fit(1_000_000, 64, "images")


def test_a_sweep_of_such_data_is_refused_in_one_line(tmp_path: Path) -> None:
    """Of two images of a size that no machine has memory for."""
    from PIL import Image

    for half in ("train", "test"):
        for kind in ("a", "b"):
            (tmp_path / "images" / half / kind).mkdir(parents=True)
            Image.new("L", (1, 1)).save(tmp_path / "images" / half / kind / "0.png")
    template = tmp_path / "images" / "train" / "a" / "0.png"
    for number in range(1, 20_000):
        (template.parent / f"{number}.png").hardlink_to(template)
    own = {"name": "own", "format": "imagefolder", "path": str(tmp_path / "images")}
    sweep = write_sweep(tmp_path, dataset={**own, "image_size": 1024})
    free = available_bytes()
    if free is None or free > 20_000 * 3 * 1024**2:
        pytest.skip("this machine has memory for it")
    code, out = run(tmp_path, "plan", sweep)
    assert code == 2
    (line,) = out.splitlines()
    needed = f"{memory.bytes_of(20_003, 1024):,}"
    assert f"(20,003 images of 1024x1024): decoding it takes {needed} bytes of memory" in line
