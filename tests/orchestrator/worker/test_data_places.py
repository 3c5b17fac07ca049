"""Data at an address: found, told, fetched, verified, and not asked for again once they are decoded."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.language.settings import DatasetChoice
from orchestrator.planning.data import identified
from orchestrator.store.addresses import open_folder
from orchestrator.store.fetched import folder_for
from orchestrator.worker.data_places import announced, here
from tests.orchestrator.commands import run
from tests.orchestrator.store.object_servers import ObjectServer, object_server
from tests.orchestrator.store.test_fetched import put
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.data_files import write_cifar100, write_image_folder
from trainer.datasets import official
from trainer.datasets.errors import DataError
from trainer.datasets.source import open_arrays
from trainer.problems import UserError
from trainer.trial import Data

CIFAR = Data.official("cifar100")
ARCHIVE = official.ARCHIVES["cifar100"].file


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with object_server("s3") as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put_folder(address: str, folder: Path) -> None:
    files = (path for path in folder.rglob("*") if path.is_file())
    put(address, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


def pretend_official(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    entry = replace(official.ARCHIVES["cifar100"], md5=md5)
    monkeypatch.setitem(official.ARCHIVES, "cifar100", entry)  # type: ignore[arg-type]


def test_an_official_archive_is_fetched_and_verified(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar100(tmp_path / "cifar-100-python")
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as tar:
        tar.add(tmp_path / "cifar-100-python", "cifar-100-python")
    content = (tmp_path / ARCHIVE).read_bytes()
    address = server.address("official")
    put(address, {ARCHIVE: content, "cifar-100-python/test": b"second choice"})
    (line,) = announced([CIFAR, CIFAR, Data.official("fashion_mini")], address)
    assert line == (
        f"cifar100: each node without it fetches 1 file, {len(content) / 1e6:,.1f} MB, "
        "from s3://bucket/official"
    )
    with pytest.raises(DataError, match=r"s3://bucket/official/cifar-100-python\.tar\.gz: damaged"):
        here(CIFAR, address)
    assert not (folder_for(address) / ARCHIVE).exists(), "it is fetched again, when it is mended"
    pretend_official(content, monkeypatch)
    data, folder = here(CIFAR, address)
    assert (data, (folder / ARCHIVE).read_bytes()) == (CIFAR, content)


def test_what_is_not_there_is_told_with_the_names_that_were_looked_for(
    server: ObjectServer,
) -> None:
    expected = (
        r"s3://bucket/empty: cifar100: expected cifar-100-python\.tar\.gz or cifar-100-python there"
    )
    with pytest.raises(DataError, match=expected):
        here(CIFAR, server.address("empty"))
    with pytest.raises(DataError, match=r"expected tiny-imagenet-200\.zip there"):
        here(Data.official("tinyimagenet"), server.address("empty"))
    with pytest.raises(DataError, match="expected fashion-mnist or FashionMNIST/raw there"):
        here(Data.official("fashion_mnist"), server.address("empty"))
    choice = DatasetChoice(
        name="mine", path=server.address("empty"), format="imagefolder", image_size=16
    )
    with pytest.raises(UserError, match="s3://bucket/empty: there is nothing"):
        identified(choice, lambda _: None)


def test_images_of_one_s_own_are_identified_by_what_they_are_wherever_they_lie(
    server: ObjectServer, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_image_folder(tmp_path / "mine")
    address = server.address("mine")
    put_folder(address, folder)

    def choice(path: str) -> DatasetChoice:
        return DatasetChoice(name="mine", path=path, format="imagefolder", image_size=16)

    far = identified(choice(address), lambda _: None)
    near = identified(choice(str(folder)), lambda _: None)
    assert far.checksum == near.checksum
    assert far.path == address

    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "another node"))
    data, data_folder = here(far, "data")
    assert data.path == str(folder_for(address))
    assert open_arrays(data, data_folder).image_size == 16
    open_folder(address).folder("train").folder("kind 0").remove("0.png")
    assert open_arrays(*here(far, "data")).image_size == 16, "decoded, so nobody asks"
    changed = identified(choice(address), lambda _: None)
    assert changed.checksum != far.checksum
    assert changed.train_images == far.train_images - 1

    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "a third"))
    with pytest.raises(DataError, match="not the images that were planned"):
        open_arrays(*here(far, "data"))


def test_a_plan_tells_what_is_fetched_or_why_it_cannot_be_seen(
    home: Path, server: ObjectServer, tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path, dataset="cifar10", stddev={"epochs": 4})
    code, output = run(home, "plan", sweep, "--data", server.address("empty"))
    assert code == 0, output
    assert "WARNING: the data cannot be seen from here: s3://bucket/empty: cifar10:" in output
    put(server.address("ten"), {"cifar-10-python.tar.gz": b"0" * 1_500_000})
    code, output = run(home, "plan", sweep, "--data", server.address("ten"))
    assert code == 0, output
    assert "cifar10: each node without it fetches 1 file, 1.5 MB, from s3://bucket/ten" in output


def test_who_plans_images_in_an_object_store_is_told_that_they_come(
    home: Path, server: ObjectServer, tmp_path: Path, cache: Path
) -> None:
    images = write_image_folder(tmp_path / "mine", each=40)
    put_folder(server.address("seen"), images)
    mine: dict[str, object] = {"name": "mine", "format": "imagefolder", "image_size": 16}
    mine["path"] = server.address("seen")
    sweep = write_sweep(tmp_path, dataset=mine, stddev={"epochs": 10})
    plan = ("plan", sweep, "--store", tmp_path / "store")
    sizes = [path.stat().st_size for path in images.rglob("*") if path.is_file()]
    first = f"s3://bucket/seen: fetching {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"
    code, output = run(home, *plan, environment={"KDSWEEP_CACHE": str(cache)})
    assert (code, output.splitlines()[0]) == (0, first), output
    code, output = run(home, *plan, environment={"KDSWEEP_CACHE": str(cache)})
    assert (code, "fetching" in output) == (0, False), output


@pytest.mark.slow
def test_a_sweep_of_images_in_an_object_store(
    home: Path, server: ObjectServer, tmp_path: Path, cache: Path
) -> None:
    put_folder(server.address("run"), write_image_folder(tmp_path / "mine", each=40))
    mine = {"name": "mine", "format": "imagefolder", "image_size": 16}
    sweep = write_sweep(
        tmp_path,
        dataset={**mine, "path": server.address("run")},
        augmentations=["identity", "cutmix"],
        stddev={"epochs": 10},
    )
    there = ("run", sweep, "--store", tmp_path / "store", "--cpus", 2)
    code, output = run(home, *there, environment={"KDSWEEP_CACHE": str(cache)})
    assert code == 0, output
    assert "each node without it fetches" not in output, "this node has fetched them to know them"
    assert "5 finished" in output
