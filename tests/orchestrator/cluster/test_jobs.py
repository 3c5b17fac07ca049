"""A real cluster: a head and two worker raylets, token authentication on, sweeps through Ray Jobs."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start, wait_until
from tests.orchestrator.raylets import WITH_TOKEN, Raylets, can_hide_folders
from tests.orchestrator.results import assert_same_results, is_clean
from tests.orchestrator.sweeps import write_sweep
from tests.trainer.data_files import write_image_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.xdist_group("jobs"),
]

SMOKE = Path(__file__).parents[3] / "sweeps" / "paper_smoke.yaml"
NO_GPU: dict[str, Any] = {kind: {"gpu": 0} for kind in ("teacher", "student", "stddev")}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of which the second worker sees others: `hidden` is empty there, `data` a copy."""
    top = tmp_path_factory.mktemp("shared")
    found = {name: top / name for name in ("hidden", "nothing", "data", "copy", "cache")}
    for name in ("hidden", "nothing", "data"):
        found[name].mkdir()
    write_image_folder(found["data"] / "mine", each=40)
    shutil.copytree(found["data"], found["copy"])
    return found


@pytest.fixture(scope="module")
def cluster(home: Path, places: dict[str, Path]) -> Iterator[Raylets]:
    raylets = Raylets(home)
    try:
        raylets.start_head()
        raylets.add_node("--num-cpus=1", "--num-gpus=1")
        mounts = {places["hidden"]: places["nothing"], places["data"]: places["copy"]}
        raylets.add_node(
            *("--num-cpus=1", "--num-gpus=2", '--resources={"bigmem": 1}'),
            environment={"KDSWEEP_CACHE": str(places["cache"])},
            mounts=mounts if can_hide_folders() else {},
        )
        yield raylets
    finally:
        raylets.stop()


hides_folders = pytest.mark.skipif(
    not can_hide_folders(), reason="no process here may have its own view of the file system"
)


def jobs_of(home: Path, cluster: Raylets) -> dict[str, Any]:
    there = {**WITH_TOKEN, "RAY_API_SERVER_ADDRESS": cluster.dashboard}
    code, output = run(home, "jobs", "--json", environment=there)
    assert code == 0, output
    return {job["job_id"]: job for job in json.loads(output)}


def submit(home: Path, cluster: Raylets, sweep: Path, store: Store, *options: object) -> str:
    """Submit a sweep that will begin; returns the job's id."""
    arguments = ("submit", sweep, "--store", store.root, "--address", cluster.dashboard, *options)
    code, output = run(home, *arguments, environment=WITH_TOKEN)
    assert code == 0, output
    assert "every node has what it needs (" in output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("submitted: ")]
    return line.removeprefix("submitted: ")


def test_a_sweep_begun_on_a_laptop_is_finished_by_a_cluster(
    home: Path, cluster: Raylets, tmp_path: Path, undisturbed: Store, sweep: Path
) -> None:
    """Submitted, stopped in order, submitted again, followed to its end: the rows of an undisturbed run."""
    content = yaml.safe_load(sweep.read_text()) | {"resources": NO_GPU}
    here = write_sweep(tmp_path, **content)
    store = Store(tmp_path / "store")
    first = submit(home, cluster, here, store)
    wait_until(
        lambda: any(sign.epochs == 8 and sign.step for sign in store.signs.running().values())
    )
    code, output = run(home, "stop", first, "--address", cluster.dashboard, environment=WITH_TOKEN)
    assert code == 0, output
    assert f"{first}: stopped; submitted again, it goes on" in output
    assert not store.signs.running()
    assert 0 < len(store.finished()) < 7
    assert store.failures().num_rows == 0

    second = submit(home, cluster, here, store)
    follow = ("logs", "-f", second, "--address", cluster.dashboard)
    code, output = run(home, *follow, environment=WITH_TOKEN)
    assert code == 0, output
    assert "Pearson" in output
    assert_same_results(store, undisturbed)
    assert is_clean(store)
    jobs = jobs_of(home, cluster)
    assert [jobs[job]["status"] for job in (first, second)] == ["STOPPED", "SUCCEEDED"]
    assert jobs[second]["store"] == str(store.root)
    assert jobs[second]["exit_code"] == 0
    assert not list(store.root.glob("marks/*"))
    (row, *_) = store.results().to_pylist()
    assert "run tiny.yaml --address auto" in row["command"]
    assert row["git_commit"]


def test_the_papers_smoke_sweep_begun_here_and_submitted(
    home: Path, cluster: Raylets, tmp_path: Path
) -> None:
    """Every pair, scheme and dependency of the paper: a third through a Ray of our own, then Ctrl-C, then the
    rest through Ray Jobs, on the GPUs that the nodes say they have."""
    store = Store(tmp_path / "store")
    process = start(home, "run", SMOKE, "--store", store.root, "--cpus", 2)
    wait_until(lambda: len(store.finished()) >= 45, timeout=300)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 3, output
    begun = len(store.finished())
    job = submit(home, cluster, SMOKE, store, "--yes")
    follow = ("logs", "-f", job, "--address", cluster.dashboard)
    code, output = run(home, *follow, environment=WITH_TOKEN, timeout=400)
    assert code == 0, output
    assert f"{135 - begun} finished" in output
    assert len(store.finished()) == 135
    assert store.failures().num_rows == 0
    assert is_clean(store)
    code, output = run(home, "status", SMOKE, "--store", store.root)
    assert "● 135 done" in output


def test_the_address_and_the_token(home: Path, cluster: Raylets, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    there = ("submit", sweep, "--store", tmp_path / "store", "--address")
    code, output = run(home, *there, cluster.dashboard, environment={"RAY_AUTH_MODE": "disabled"})
    assert (code, output.count("\n")) == (2, 1), output
    assert f"{cluster.dashboard}: the cluster asks for a token" in output
    wrong = {**WITH_TOKEN, "RAY_AUTH_TOKEN": "f" * 64}
    code, output = run(home, *there, cluster.dashboard, environment=wrong)
    assert (code, output.count("\n")) == (2, 1), output
    assert "RAY_AUTH_TOKEN (or ~/.ray/auth_token) is not it" in output
    code, output = run(home, *there, "127.0.0.1:1", environment=WITH_TOKEN)
    assert (code, output.count("\n")) == (2, 1), output
    assert "127.0.0.1:1: no Ray dashboard to connect to" in output
    directly = ("run", sweep, "--store", tmp_path / "store", "--address", cluster.address)
    code, output = run(home, *directly, environment=wrong)
    assert code == 2, output
    assert output.count("InvalidAuthToken") <= 1, "it is asked once"
    assert "RAY_AUTH_TOKEN (or ~/.ray/auth_token) is not it" in output
    assert "Traceback" not in output
    code, output = run(
        home, "stop", "kdsweep-none", "--address", cluster.dashboard, environment=WITH_TOKEN
    )
    assert code == 2
    assert "'kdsweep-none': no sweep of" in output


def test_a_request_that_no_node_can_meet(home: Path, cluster: Raylets, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, resources={"student": {"gpu": 1, "custom": {"hugemem": 1}}})
    there = ("submit", sweep, "--store", tmp_path / "store", "--address", cluster.dashboard)
    code, output = run(home, *there, environment=WITH_TOKEN)
    assert code == 2, output
    assert "resources.student: no node has 1 CPU and 1 GPU and 1 hugemem" in output
    assert not (tmp_path / "store").exists()
    code, output = run(home, *there, "--json", "--retry-failed", environment=WITH_TOKEN)
    assert code == 2, output
    assert "resources.student: no node has" in output, "told on stderr"
    handed_over = json.loads(output[output.index("{\n") :])
    assert handed_over["store"] == str(tmp_path / "store")
    assert jobs_of(home, cluster)[handed_over["job_id"]]["exit_code"] == 2
    there = ("plan", sweep, "--address", cluster.address)
    code, output = run(home, *there, environment=WITH_TOKEN)
    assert code == 0, output
    assert "WARNING: resources.student: no node has 1 CPU and 1 GPU and 1 hugemem" in output
    assert "order of work on 3 GPUs" in output


@hides_folders
def test_a_store_that_the_nodes_do_not_share(
    home: Path, cluster: Raylets, places: dict[str, Path], tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path, resources=NO_GPU)
    store = places["hidden"] / "store"
    there = ("submit", sweep, "--store", store, "--address", cluster.dashboard)
    code, output = run(home, *there, environment=WITH_TOKEN)
    assert code == 2, output
    assert output.count("what the driver wrote there is not seen here") == 1
    assert "give a place that all nodes share, such as NFS or s3://" in output
    assert "Traceback" not in output
    assert not list(store.rglob("*.json"))


def own_images(folder: Path, where: Path, **changes: Any) -> Path:
    mine = {"name": "mine", "path": str(where), "format": "imagefolder", "image_size": 16}
    settings = {"stddev": {"epochs": 10}} | changes
    return write_sweep(folder, dataset=mine, resources=NO_GPU, **settings)


@hides_folders
def test_data_that_are_missing_on_one_node(
    home: Path, cluster: Raylets, places: dict[str, Path], tmp_path: Path
) -> None:
    write_image_folder(places["hidden"] / "mine", each=40)
    sweep = own_images(tmp_path, places["hidden"] / "mine")
    directly = ("run", sweep, "--store", tmp_path / "store", "--address", cluster.address)
    code, output = run(home, *directly, environment=WITH_TOKEN)
    assert code == 2, output
    (line,) = [line for line in output.splitlines() if line.startswith("node ")]
    assert str(places["hidden"] / "mine") in line
    assert not Store(tmp_path / "store").finished()


@hides_folders
def test_data_that_become_unreadable_on_one_node(
    home: Path, cluster: Raylets, places: dict[str, Path], tmp_path: Path
) -> None:
    """Every node prepared its data once. Then one loses them, decoded ones too: its trials go elsewhere."""
    schemes = ["identity", "cutmix"]
    sweep = own_images(tmp_path, places["data"] / "mine", seeds=[0, 1], augmentations=schemes)
    store = Store(tmp_path / "store")
    directly = ("run", sweep, "--store", store.root, "--address", cluster.address)
    process = start(home, *directly, environment=WITH_TOKEN)
    wait_until(store.finished)
    assert len(list(places["cache"].glob("data/*/about.json"))) == 1
    shutil.rmtree(places["cache"])
    shutil.rmtree(places["copy"] / "mine")
    code, output = finish(process)
    assert code == 0, output
    assert len(store.finished()) == 9
    assert is_clean(store)
    failures = store.failures().to_pylist()
    assert {row["cause"] for row in failures} == {"data unreadable"}
    assert all(row["by_machine"] for row in failures)


def test_a_cluster_of_another_version(home: Path, cluster: Raylets, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path)
    directly = ("run", sweep, "--store", tmp_path / "store", "--address", cluster.address)
    with cluster.pretending(ray_version="2.59.0"):
        code, output = run(home, *directly, environment=WITH_TOKEN)
    assert (code, output.count("\n")) == (2, 1), output
    assert "made with other versions than those here" in output
    assert "Ray: 2.59.0" in output
