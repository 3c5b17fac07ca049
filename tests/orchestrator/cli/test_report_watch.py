"""`report --watch`: a page that follows a store, with a real signal and a file that is whole at any time."""

import os
import signal
import threading
from pathlib import Path

from orchestrator.cli.watching import keep_writing, replace_file
from orchestrator.cluster.interruption import STOPPING, listen
from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.analysis.stores import fill
from tests.orchestrator.cli.conftest import Command
from tests.orchestrator.commands import finish, start, wait_until
from tests.orchestrator.sweeps import write_sweep
from trainer.trial import Trial

FEW = ("--bootstrap", "100")
WATCHED = '<div id="watched" data-every="1" hidden=""></div>'


def sweep_of_four(folder: Path) -> tuple[Path, list[Trial]]:
    sweep = write_sweep(folder, augmentations=["identity", "flip", "mixup", "cutmix"])
    return sweep, expand(load_sweep(sweep))


def num_points(page: str) -> int:
    return page.count('class="point ')


def test_it_follows_a_store_and_ends_in_order_by_ctrl_c(tmp_path: Path) -> None:
    sweep, trials = sweep_of_four(tmp_path)
    store, page = Store(tmp_path / "store"), tmp_path / "report.html"
    last = [trial for trial in trials if trial.augmentation == "cutmix"]
    assert last
    fill(store, [trial for trial in trials if trial not in last])
    watch = start(tmp_path, "report", sweep, "--store", store.root, "--watch", "--every", 1, *FEW)
    wait_until(page.exists)
    first = page.read_text()
    assert (num_points(first), WATCHED in first) == (3, True)

    fill(store, last[:-1])
    seen = {first}

    def tells_of_more() -> bool:
        seen.add(page.read_text())
        return any(f"{len(trials) - 1} of {len(trials)} trials" in text for text in seen)

    wait_until(tells_of_more)
    watch.send_signal(signal.SIGINT)
    code, output = finish(watch)
    assert (code, output) == (0, "report.html\n")
    seen.add(page.read_text())
    assert 'id="watched"' not in page.read_text()
    assert all(text.endswith("</html>\n") for text in seen)
    assert sorted(path.name for path in tmp_path.glob(".*.tmp")) == []


def test_it_ends_by_itself_when_nothing_is_left_to_run(kd: Command, tmp_path: Path) -> None:
    sweep, trials = sweep_of_four(tmp_path)
    store = Store(tmp_path / "store")
    fill(store, trials)
    store.save_sweep("x", load_sweep(sweep).model_dump(mode="json"))
    for source in ((sweep, "--store", store.root), (store.root,)):
        assert kd("report", *source, "--watch", *FEW) == (0, "report.html\n", "")
        page = (tmp_path / "report.html").read_text()
        assert (num_points(page), 'id="watched"' in page) == (4, False)


def test_how_often_goes_with_watch(kd: Command, tmp_path: Path) -> None:
    code, _, err = kd("report", tmp_path, "--every", 5)
    assert (code, err) == (2, "--every 5: goes with --watch\n")


def test_what_is_written_last_knows_it() -> None:
    told: list[bool] = []

    def write(is_last: bool) -> bool:
        told.append(is_last)
        return len(told) < 3

    keep_writing(write, every_s=0.0)
    assert told == [False, False, False, True]


def test_a_signal_lets_what_is_being_written_be_finished() -> None:
    told: list[str] = []

    def write(is_last: bool) -> bool:
        if not is_last:
            os.kill(os.getpid(), signal.SIGTERM)
        told.append("last" if is_last else "whole")
        return True

    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        listen()
        keep_writing(write, every_s=60.0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert told == ["whole", "last"]


def test_a_link_stays_and_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    replace_file(tmp_path / "link.html", b"new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    replace_file(pipe, b"through")
    reader.join(timeout=10)
    assert read == ["through"]
    assert pipe.is_fifo()


def test_a_file_is_replaced_and_never_written_over(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("old")
    with page.open() as opened:
        replace_file(page, b"new")
        assert opened.read() == "old"
    assert page.read_text() == "new"
