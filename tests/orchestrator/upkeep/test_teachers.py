"""Published teachers: fetched over real sockets, unpacked without trust, pinned, listed, used."""

import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.upkeep.teachers import archive, download
from orchestrator.upkeep.teachers.archive import architecture_in, unpack
from orchestrator.upkeep.teachers.download import fetch
from orchestrator.upkeep.teachers.fetching import ARCHIVES, RELEASE, Fetched, fetch_teachers
from orchestrator.upkeep.teachers.listing import listed_teachers
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from tests.orchestrator.upkeep.file_server import FileServer, serving
from trainer.models import build_model
from trainer.pins import LOCK, read_lock
from trainer.problems import UserError
from trainer.trial_file import read_trial

CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8))


def checkpoint(architecture: str, classes: int = 100, seed: int = 0, **more: object) -> bytes:
    weights = build_model(architecture, classes, 32, np.random.default_rng(seed)).state_dict()
    buffer = io.BytesIO()
    torch.save({"epoch": 240, "model": weights, **more}, buffer)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def published() -> bytes:
    """As the authors' archive may be: folders named after architectures, below others."""
    return zipped(
        {
            "save/models/resnet8_vanilla/ckpt_epoch_240.pth": checkpoint(
                "resnet8", accuracy=torch.tensor(61.25)
            ),
            "save/models/resnet8x4_vanilla/ckpt_epoch_240.pth": checkpoint(
                "resnet8x4", best_acc=72.5
            ),
            "save/models/README.md": b"hello",
            "__MACOSX/save/models/resnet8_vanilla/._ckpt_epoch_240.pth": b"x",
        }
    )


def quiet(done: int, total: int | None) -> None:
    """Nobody is told."""


def have(server: FileServer, folder: Path, *, again: bool = False) -> Fetched:
    return fetch_teachers("cifar100", folder, quiet, source=server.url, again=again)


# The download


def test_a_file_comes_whole_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serving(CONTENT) as server:
        fetch(server.url, tmp_path / "a.zip", lambda *now: told.append(now))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_broken_download_goes_on_where_it_was(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        server.breaks = [1_000_000, 0, 500_000]
        fetch(server.url, tmp_path / "a.zip", quiet)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-", "bytes=1000000-", "bytes=1500000-"]


def test_the_next_command_goes_on_where_the_last_one_broke(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        server.breaks = [400_000, *[0] * download.FRUITLESS]
        with pytest.raises(UserError, match="400,000 bytes are here, and the next try goes on"):
            fetch(server.url, tmp_path / "a.zip", quiet)
        assert not (tmp_path / "a.zip").exists()
        server.requests.clear()
        fetch(server.url, tmp_path / "a.zip", quiet)
    assert server.requests == ["bytes=400000-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("how", ["knows no ranges", "has another version", "has no tag"])
def test_where_it_cannot_go_on_it_begins_anew(how: str, tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        if how == "has no tag":
            server.tag = None
        server.breaks = [1_000_000, *[0] * download.FRUITLESS]
        with pytest.raises(UserError):
            fetch(server.url, tmp_path / "a.zip", quiet)
        if how == "knows no ranges":
            server.knows_ranges = False
        elif how == "has another version":
            server.tag, server.content = '"two"', CONTENT[::-1]
        fetch(server.url, tmp_path / "a.zip", quiet)
    assert (tmp_path / "a.zip").read_bytes() == server.content


def test_a_part_that_is_longer_than_the_file_is_dropped(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        server.breaks = [2_000_000, *[0] * download.FRUITLESS]
        with pytest.raises(UserError):
            fetch(server.url, tmp_path / "a.zip", quiet)
        server.content = CONTENT[:1_000]
        fetch(server.url, tmp_path / "a.zip", quiet)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[:1_000]


def test_a_part_of_another_address_is_not_gone_on_with(tmp_path: Path) -> None:
    with serving(CONTENT) as server, serving(CONTENT[::-1]) as mirror:
        server.breaks = [1_000_000, *[0] * download.FRUITLESS]
        with pytest.raises(UserError):
            fetch(server.url, tmp_path / "a.zip", quiet)
        fetch(mirror.url, tmp_path / "a.zip", quiet)
    assert mirror.requests == [None]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_a_file_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST_BYTES", 1_000_000)
    with serving(CONTENT) as server:
        with pytest.raises(UserError, match="3,000,000 bytes; up to 1,000,000 are fetched"):
            fetch(server.url, tmp_path / "a.zip", quiet)
        server.tells_length = False
        with pytest.raises(UserError, match="more than 1,000,000 bytes"):
            fetch(server.url, tmp_path / "b.zip", quiet)


def test_addresses_that_cannot_be_are_told(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        missing = server.url.replace("teachers", "missing")
        with pytest.raises(UserError, match="the server says 404"):
            fetch(missing, tmp_path / "a.zip", quiet)
    with pytest.raises(UserError, match="expected an address https://"):
        fetch("file:///etc/passwd", tmp_path / "a.zip", quiet)
    with pytest.raises(UserError, match=r"cannot be fetched: .*refused"):
        fetch(server.url, tmp_path / "a.zip", quiet)


def test_what_was_asked_for_by_https_does_not_come_without_it() -> None:
    import urllib.error
    import urllib.request

    request = urllib.request.Request("https://example.org/a.zip")
    with pytest.raises(urllib.error.URLError, match="which is not encrypted"):
        download._NoDowngrade().redirect_request(
            request, io.BytesIO(), 302, "Found", {}, "http://example.org/a.zip"
        )


def test_a_redirection_is_followed(tmp_path: Path) -> None:
    with serving(CONTENT) as server, serving(b"") as front:
        front.redirect = server.url
        fetch(front.url, tmp_path / "a.zip", quiet)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


# The archive


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("save/models/vgg13_vanilla/ckpt_epoch_240.pth", "vgg13"),
        ("resnet8x4_vanilla/ckpt.pth", "resnet8x4"),
        ("wrn_40_2.pth", "wrn_40_2"),
        ("ResNet50-cifar.pt", "ResNet50"),
        ("MobileNetV2_0_25.pth", "MobileNetV2_0_25"),
        ("teachers/last.pth", None),
        ("resnet1101/last.pth", None),
    ],
)
def test_architectures_are_found_in_paths(path: str, expected: str | None) -> None:
    assert architecture_in(PurePosixPath(path)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "/etc/resnet8.pth",
        "../resnet8.pth",
        "a/../../resnet8.pth",
        "..\\resnet8.pth",
        "C:/resnet8.pth",
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"resnet20.pth": b"fine", name: b"x"}))
    with pytest.raises(UserError, match="would lead out of the folder; nothing was unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO])
def test_a_link_is_refused(kind: int, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("resnet8.pth")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=r"'resnet8\.pth' is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "to")


def test_bounds_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({f"resnet8/{i}.pth": bytes(1000) for i in range(5)}))
    for name, value, told in (
        ("MOST_MEMBERS", 4, "5 files; up to 4 are unpacked"),
        ("LARGEST_FILE", 999, "the largest file 1,000; up to"),
        ("LARGEST_IN_ALL", 4999, "5,000 bytes unpacked"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, value)
            with pytest.raises(UserError, match=told):
                unpack(path, tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no zip", "not a whole zip file"),
        (zipped({"a.txt": b"x"}), "no checkpoint in it: .* it holds a.txt"),
        (zipped({"a/resnet8.pth": b"x", "b/resnet8.pth": b"y"}), "two files that would be resnet8"),
        (zipped({"resnet8.pth": b"x", "resnet8.pth/a.pth": b"y"}), "would be a file and a folder"),
    ],
)
def test_what_is_no_archive_of_teachers_is_refused(
    content: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=told):
        unpack(tmp_path / "a.zip", tmp_path / "to")


def test_a_damaged_member_is_told(tmp_path: Path) -> None:
    whole = bytearray(zipped({"resnet8.pth": CONTENT[:10_000]}))
    whole[5_000] ^= 1
    (tmp_path / "a.zip").write_bytes(whole)
    with pytest.raises(UserError, match="not a whole zip file: Bad CRC-32"):
        unpack(tmp_path / "a.zip", tmp_path / "to")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_stream_is_told(method: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as opened:
        opened.writestr("resnet8.pth", bytes(range(256)) * 1_000)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(255 - byte for byte in content[60:90])
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a whole zip file: "):
        unpack(path, tmp_path / "to")


# The whole


def test_teachers_are_fetched_unpacked_and_pinned(published: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    with serving(published) as server:
        fetched = have(server, folder)
        assert sorted(fetched.files) == [
            "resnet8_vanilla/ckpt_epoch_240.pth",
            "resnet8x4_vanilla/ckpt_epoch_240.pth",
        ]
        assert fetched.pattern == f"{folder}/{{teacher}}_vanilla/ckpt_epoch_240.pth"
        assert fetched.left == (
            "save/models/README.md",
            "__MACOSX/save/models/resnet8_vanilla/._ckpt_epoch_240.pth",
        )
        lock = read_lock(folder)
        assert lock is not None
        assert (lock.source, lock.files) == (server.url, dict(fetched.files))
        assert not have(server, folder).is_new
        assert len(server.requests) == 1
        assert have(server, folder, again=True).is_new
        assert len(server.requests) == 2
    there = {p.name for p in folder.iterdir()}
    assert there == {"resnet8_vanilla", "resnet8x4_vanilla", LOCK, f".{LOCK}.lock"}


def test_a_later_download_that_differs_is_told_and_not_taken(
    published: bytes, tmp_path: Path
) -> None:
    name = "resnet8_vanilla/ckpt_epoch_240.pth"
    with serving(published) as server:
        have(server, tmp_path)
        before = (tmp_path / name).read_bytes()
        server.content, server.tag = zipped({name: checkpoint("resnet8", seed=1)}), '"two"'
        with pytest.raises(UserError, match=f"{name}: its SHA-256 is .* is pinned in"):
            have(server, tmp_path, again=True)
        assert (tmp_path / name).read_bytes() == before
        (tmp_path / name).unlink()
        with pytest.raises(UserError, match="is pinned in"):
            have(server, tmp_path)
        assert not (tmp_path / name).exists()
        server.content = published
        assert have(server, tmp_path).is_new
    assert (tmp_path / name).read_bytes() == before


def test_a_file_of_ones_own_is_not_written_over(published: bytes, tmp_path: Path) -> None:
    own = tmp_path / "resnet8_vanilla" / "ckpt_epoch_240.pth"
    own.parent.mkdir()
    own.write_bytes(b"trained for weeks")
    with serving(published) as server, pytest.raises(UserError, match="move it away first"):
        have(server, tmp_path)
    assert own.read_bytes() == b"trained for weeks"
    assert read_lock(tmp_path) is None


def test_folders_of_two_data_sets_are_kept_apart(published: bytes, tmp_path: Path) -> None:
    with serving(published) as server:
        have(server, tmp_path)
        with pytest.raises(UserError, match="pins teachers for cifar100; fetch tinyimagenet into"):
            fetch_teachers("tinyimagenet", tmp_path, quiet, source=server.url)
    with pytest.raises(UserError, match="cifar10: no teachers are published for it; did you mean"):
        fetch_teachers("cifar10", tmp_path, quiet)


def test_the_list_tells_what_files_say(published: bytes, tmp_path: Path) -> None:
    with serving(published) as server:
        have(server, tmp_path)
    (tmp_path / "vgg8.pth").write_bytes(checkpoint("vgg8", 10))
    (tmp_path / "vgg13.pth").write_bytes(b"damaged")
    changed = tmp_path / "resnet8x4_vanilla" / "ckpt_epoch_240.pth"
    changed.write_bytes(checkpoint("resnet8x4", seed=1))
    told = {teacher.architecture: teacher for teacher in listed_teachers(tmp_path)}
    assert sorted(told) == ["resnet8", "resnet8x4", "vgg13", "vgg8"]
    resnet8 = told["resnet8"]
    assert (resnet8.num_classes, resnet8.image_size, resnet8.accuracy) == (100, 32, 0.6125)
    assert [told[n].pinned for n in ("resnet8", "resnet8x4", "vgg8")] == ["yes", "differs", "no"]
    assert (told["vgg8"].num_classes, told["vgg8"].accuracy) == (10, None)
    assert told["vgg13"].problem is not None
    assert "not a checkpoint" in told["vgg13"].problem


def test_a_lock_of_unknown_data_hides_no_list(published: bytes, tmp_path: Path) -> None:
    with serving(published) as server:
        have(server, tmp_path)
    lock = tmp_path / LOCK
    lock.write_text(lock.read_text().replace('"cifar100"', '"elsewhere"'))
    assert {teacher.image_size for teacher in listed_teachers(tmp_path)} == {None}


def _as_sweep(folder: Path) -> None:
    sweep = write_sweep(
        folder,
        pairs=["resnet8/resnet8"],
        teachers={"checkpoint": f"{folder}/{{teacher}}_vanilla/ckpt_epoch_240.pth"},
    )
    expand(load_sweep(sweep))


def _as_trial(folder: Path) -> None:
    path = folder / "trial.yaml"
    file = folder / "resnet8_vanilla" / "ckpt_epoch_240.pth"
    path.write_text(
        f"kind: teacher\ndataset: cifar100\nteacher: resnet8\nseed: 0\ncheckpoint: {file}\n"
    )
    read_trial(path)


@pytest.mark.parametrize("use", [_as_sweep, _as_trial])
def test_a_use_of_a_file_that_is_not_what_was_pinned_is_refused(
    use: Callable[[Path], None], published: bytes, tmp_path: Path
) -> None:
    with serving(published) as server:
        have(server, tmp_path)
    use(tmp_path)
    file = tmp_path / "resnet8_vanilla" / "ckpt_epoch_240.pth"
    file.write_bytes(checkpoint("resnet8", seed=1))
    with pytest.raises(UserError, match=r"its SHA-256 is .* when it was fetched"):
        use(tmp_path)
    (tmp_path / LOCK).write_text("{}")
    with pytest.raises(UserError, match=f"{LOCK}: damaged"):
        use(tmp_path)


def test_the_authors_archives_are_meant() -> None:
    assert [f"{RELEASE}{name}" for name in ARCHIVES.values()] == [
        "https://github.com/MingSun-Tse/Good-DA-in-KD/releases/download/v0.1/teachers_cifar100.zip",
        "https://github.com/MingSun-Tse/Good-DA-in-KD/releases/download/v0.1/teachers_tinyimagenet.zip",
    ]


def test_whole_commands(published: bytes, tmp_path: Path) -> None:
    cache = {"KDSWEEP_CACHE": str(tmp_path / "cache")}
    with serving(published) as server:
        server.breaks = [1_000]
        code, out = run(
            tmp_path, "teachers", "fetch", "cifar100", "--from", server.url, environment=cache
        )
        assert code == 0, out
        assert "2 teachers fetched" in out
        assert "no checksums of these files are published" in out
        assert "without encryption" in out
        folder = tmp_path / "cache" / "teachers" / "cifar100"
        pattern = f"{folder}/{{teacher}}_vanilla/ckpt_epoch_240.pth"
        assert f'in a sweep: teachers: {{checkpoint: "{pattern}"}}' in out
        code, out = run(
            tmp_path, "teachers", "fetch", "cifar100", "--from", server.url, environment=cache
        )
        assert "2 teachers already there, as pinned" in out
    code, out = run(tmp_path, "teachers", "list", "--json", environment=cache)
    assert code == 0
    assert [(t["architecture"], t["accuracy"]) for t in json.loads(out)] == [
        ("resnet8", 0.6125),
        ("resnet8x4", 0.725),
    ]
    code, out = run(tmp_path, "teachers", "list", environment=cache)
    assert "72.50" in out
    code, out = run(tmp_path, "teachers", "fetch", "cifar10")
    assert code == 2
    assert out.startswith("cifar10: no teachers are published for it")
