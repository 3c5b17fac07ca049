"""What breaks a rule of Kubernetes, or cannot work, is told in one line before anything is printed."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.kubernetes.asked import Asked, request_of
from orchestrator.cluster.kubernetes.names import (
    check_job_name,
    check_label,
    check_quantity,
    check_subdomain,
    job_name_of,
)
from orchestrator.cluster.kubernetes.sizes import size_for
from orchestrator.language.resources import AllResources, Resources
from orchestrator.language.sweep import load_sweep
from tests.orchestrator.commands import run
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

PAPER = load_sweep("paper_cifar100")
ASKED = Asked(image="registry.example/kdsweep:0.1.0", claim="kdsweep", gpus=8)


@pytest.mark.parametrize(
    "image",
    [
        *("kdsweep", "kdsweep:0.1.0", "me/kdsweep", "ghcr.io/me/kdsweep:Latest_1"),
        *("localhost/x", "registry:5000/lab/x", "Registry.Example:443/x", "x@sha256:" + "0" * 64),
    ],
)
def test_what_is_an_image_is_taken(image: str) -> None:
    assert request_of(PAPER, replace(ASKED, image=image)).pods.image == image


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"claim": "My_Claim"},
            "--claim: 'My_Claim': expected lower-case letters, digits, '-' and",
        ),
        ({"claim": "My_Claim"}, "did you mean 'my-claim'?"),
        ({"claim": None}, "--claim: expected the name of a claim that all pods share, as /shared/"),
        ({"claim": ""}, "--claim: '': expected lower-case"),
        ({"name": "9lives"}, "--name: '9lives': expected .* the first a letter; .* 's-9lives'"),
        ({"name": "a" * 48}, "47 at most"),
        ({"namespace": "a.b"}, "--namespace: 'a.b': .* did you mean 'a-b'?"),
        ({"namespace": ""}, "--namespace: ''"),
        ({"queue": "Lab"}, "--queue: 'Lab': .* did you mean 'lab'?"),
        ({"token_secret": "-x-"}, "--token-secret: '-x-': .* did you mean 'x'?"),
        ({"pull_secret": "a b"}, "--pull-secret: 'a b': .* 'a-b'?"),
        ({"service_account": "A"}, "--service-account: 'A'"),
        ({"env_secrets": ("ok", "n$t")}, "--env-secret: 'n$t': .* 'n-t'?"),
        ({"storage_class": "é"}, "--storage-class: 'é': expected"),
        ({"image": "Registry/KD:1"}, "--image: 'Registry/KD:1': expected an image, as in registry"),
        ({"image": "a b"}, "--image: 'a b'"),
        ({"image": "Lab/kdsweep"}, "--image: 'Lab/kdsweep'"),
        ({"image": "x:"}, "--image: 'x:'"),
        ({"memory": "32"}, "--memory: '32': expected an amount with its unit, .* '32Gi'?"),
        ({"memory": "32GB"}, "--memory: '32GB': .* did you mean '32Gi'?"),
        ({"claim_size": "0Gi"}, "--claim-size: '0Gi'"),
        ({"shared_memory": "1Kb"}, "--shared-memory: '1Kb'"),
        ({"gpus": 10, "gpus_per_worker": 4}, "--gpus 10: .* multiple .* 4; did you mean 8?"),
        ({"gpus": 2, "gpus_per_worker": 4}, "did you mean 4?"),
        ({"gpus": 0}, "--gpus 0: expected --workers"),
        ({"workers": 3}, "--workers goes with --gpus 0"),
        ({"node_selectors": ("x",)}, "--node-selector: 'x': expected KEY=VALUE"),
        ({"node_selectors": ("a/b/c=d",)}, "--node-selector: 'a/b/c=d'"),
        ({"tolerate": ("a:NoShedule",)}, "unknown effect 'NoShedule'; did you mean 'NoSchedule'?"),
        ({"tolerate": ("=b",)}, "--tolerate: '=b': expected KEY"),
        ({"claim_exists": True, "claim_size": "1Ti"}, "--claim-exists: a claim that is there has"),
        ({"data": "data/sets"}, "--data: 'data/sets': .* did you mean '/shared/data/sets'?"),
        ({"store": "/shared/../etc"}, "--store: '/shared/../etc': .* below /shared"),
        ({"store": "/shared"}, "--store: '/shared': .* below /shared"),
        ({"store": "ftp://x"}, "--store: ftp://x: unknown kind of address"),
        ({"store": "s3://key:secret@bucket/x"}, r"s3://***@bucket/x: no credentials in an address"),
        ({"store": ""}, "--store: ''"),
    ],
)
def test_a_mistake_is_one_line_with_what_was_expected(
    changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError) as told:
        request_of(PAPER, replace(ASKED, **changes))
    pattern = ".*".join(re.escape(part.strip()) for part in expected.split(".*"))
    assert re.search(pattern, str(told.value)), told.value
    assert "\n" not in str(told.value)


def test_what_the_sweep_names_must_be_where_pods_see_it(tmp_path: Path) -> None:
    mine = {"name": "mine", "path": "images", "format": "imagefolder", "image_size": 32}
    sweep = load_sweep(write_sweep(tmp_path, dataset=mine))
    with pytest.raises(UserError, match=r"dataset mine: path: 'images': .* '/shared/images'"):
        request_of(sweep, ASKED)
    there = load_sweep(write_sweep(tmp_path, dataset=mine | {"path": "/shared/images"}))
    assert request_of(there, ASKED).data is None
    remote = load_sweep(write_sweep(tmp_path, dataset=mine | {"path": "s3://bucket/images"}))
    elsewhere = request_of(remote, replace(ASKED, claim=None, store="s3://bucket/store"))
    assert (elsewhere.claim, elsewhere.data) == (None, None)
    odd = load_sweep(write_sweep(tmp_path, dataset=mine | {"path": "s3://bucket/$HOME"}))
    with pytest.raises(UserError, match=r"dataset mine: path: .* expected no '\$'"):
        request_of(odd, ASKED)
    published = {"checkpoint": "/home/me/teacher.pt"}
    sweep = load_sweep(write_sweep(tmp_path, teachers=published))
    with pytest.raises(UserError, match=r"teachers.checkpoint .*: '/home/me/teacher.pt'"):
        request_of(sweep, ASKED)


def test_addresses_that_the_sweep_names_are_used(tmp_path: Path) -> None:
    there = {"store": "s3://bucket/store", "data": "gs://bucket/data"}
    sweep = load_sweep(write_sweep(tmp_path, dataset="cifar100", **there))
    request = request_of(sweep, replace(ASKED, claim=None))
    assert (request.store, request.data, request.claim) == (*there.values(), None)
    here = load_sweep(write_sweep(tmp_path, dataset="cifar100", data="/home/me/data"))
    assert request_of(here, ASKED).data == "/shared/data"


def test_what_could_never_start_is_told(tmp_path: Path) -> None:
    whole = load_sweep(write_sweep(tmp_path, resources={"student": {"cpu": 8}}))
    with pytest.raises(UserError, match=r"resources\.student: no node has 8 CPU and 1 GPU"):
        request_of(whole, replace(ASKED, cpus_per_worker=4))
    wanted = load_sweep(write_sweep(tmp_path, resources={"student": {"gpu": 1}}))
    with pytest.raises(UserError, match=r"resources\.student: no node has 1 CPU and 1 GPU"):
        request_of(wanted, replace(ASKED, gpus=0, workers=2))
    special = load_sweep(write_sweep(tmp_path, resources={"student": {"accelerator": "A100"}}))
    with pytest.raises(UserError, match="accelerator A100: expected --node-selector"):
        request_of(special, ASKED)
    chosen = request_of(special, replace(ASKED, node_selectors=("gpu=a100",)))
    assert chosen.workers.custom == {"accelerator_type:A100": 1}


def test_a_worker_holds_the_jobs_that_its_gpus_hold() -> None:
    resources = AllResources(
        teacher=Resources(cpu=3),
        student=Resources(gpu=0.25, cpu=2, custom={"bigmem": 0.5}),
        stddev=Resources(gpu=0),
    )
    assert size_for(resources, 2).jobs == 8
    assert size_for(resources, 2).cpus == 16
    assert size_for(resources, 2).custom == {"bigmem": 4}
    assert size_for(resources, 2).memory == "36Gi"
    assert size_for(AllResources(), 1).cpus == 1
    assert size_for(AllResources(student=Resources(cpu=4)), 0).cpus == 4
    assert size_for(AllResources(student=Resources(gpu=1 / 3)), 1).jobs == 3


@given(st.text(max_size=80))
def test_the_nearest_name_is_always_a_valid_one(text: str) -> None:
    if near := job_name_of(text):
        assert check_job_name(near, "--name") == near
    for check in (check_label, check_subdomain, check_job_name):
        try:
            check(text, "--x")
        except UserError as error:
            if near := re.search(r"did you mean '(.*)'\?$", str(error)):
                assert check(near[1], "--x") == near[1]


@given(st.text("0123456789.KMGTPEeikm+-n ", max_size=8))
def test_a_quantity_is_one_to_kubernetes(text: str) -> None:
    """The pattern is Kubernetes' own."""
    theirs = r"(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?"
    try:
        assert re.fullmatch(theirs, check_quantity(text, "--memory"))
    except UserError:
        return


def test_the_command_prints_or_writes_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    words = ("kubernetes", "paper_cifar100", "--image", "kdsweep:1", "--claim", "kdsweep")
    code, output = run(tmp_path, *words, "--gpus", 8)
    assert code == 0, output
    assert output.count("\n---\n") == 2
    code, told = run(tmp_path, *words, "--gpus", 8, "-o", "job.yaml")
    assert (code, told) == (0, "job.yaml\n")
    assert (tmp_path / "job.yaml").read_text() == output
    code, told = run(tmp_path, *words, "--gpus", 8, "--name", "No Name", "-o", "other.yaml")
    assert (code, told.count("\n")) == (2, 1)
    assert "did you mean 'no-name'?" in told
    code, told = run(tmp_path, *words, "--gpus", 8, "--time-limit", "soon")
    assert (code, told.count("\n")) == (2, 1)
    assert "--time-limit: 'soon': expected hours" in told
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]
