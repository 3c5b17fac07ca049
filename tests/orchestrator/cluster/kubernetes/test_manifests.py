"""The printed objects: Kubernetes and KubeRay take them, and whatever a user gives stays data in them."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from orchestrator.cli.main import app
from orchestrator.cluster.kubernetes.asked import Asked, request_of
from orchestrator.cluster.kubernetes.leaving import SAVED_WITHIN_S
from orchestrator.cluster.kubernetes.manifests import (
    ENTRY_POINT,
    LEAVING,
    as_list,
    as_yaml,
    documents,
    job_id_of,
)
from orchestrator.cluster.kubernetes.places import check_place
from orchestrator.language.sweep import Sweep, load_sweep
from tests.orchestrator.cluster.kubernetes.schemas import mistakes_of_a_ray_job, needs_crd
from tests.orchestrator.sweeps import write_sweep
from trainer.problems import UserError

PAPER = load_sweep("paper_cifar100")
ASKED = Asked(image="registry.example/kdsweep:0.1.0", claim="kdsweep", gpus=8)
ALL = replace(
    ASKED,
    gpus_per_worker=4,
    cpus_per_worker=16,
    memory="64Gi",
    claim_size="1Ti",
    storage_class="nfs-csi",
    data="/shared/sets",
    name="mine",
    namespace="lab",
    service_account="lab",
    pull_secret="registry",
    env_secrets=("s3", "more"),
    node_selectors=("cloud.google.com/gke-accelerator=nvidia-l4",),
    tolerate=("lab=gpu:NoSchedule", "any"),
    spot=True,
    user=1234,
    group=5678,
    time_limit_s=86_400,
    retry_failed=True,
)
WAYS = {
    "least": ASKED,
    "all": ALL,
    "queue": replace(ASKED, queue="lab"),
    "objects": replace(ASKED, claim=None, store="s3://b/store?region=eu", data="gs://b/data"),
    "cpus": replace(ASKED, gpus=0, workers=5),
    "claim is there": replace(ASKED, claim_exists=True),
}

ways = pytest.mark.parametrize("asked", WAYS.values(), ids=WAYS)


def objects_of(asked: Asked, sweep: Sweep = PAPER) -> dict[str, Any]:
    return {made["kind"]: made for made in documents(request_of(sweep, asked))}


def pods_of(ray_job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    cluster = ray_job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    return {
        "head": cluster["headGroupSpec"]["template"]["spec"],
        "worker": group["template"]["spec"],
        "submitter": ray_job["spec"]["submitterPodTemplate"]["spec"],
    }


@needs_crd
@ways
def test_kuberay_takes_the_job(asked: Asked) -> None:
    assert not mistakes_of_a_ray_job(objects_of(asked)["RayJob"])


@needs_crd
def test_a_key_that_kuberay_does_not_know_would_be_told() -> None:
    job = objects_of(ASKED)["RayJob"]
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volume"] = []
    job["spec"]["backoffLimit"] = "3"
    assert len(mistakes_of_a_ray_job(job)) == 2


@ways
def test_kubernetes_takes_everything_else(asked: Asked) -> None:
    objects = objects_of(asked)
    job = objects.pop("RayJob")
    for number, pod in enumerate(pods_of(job).values()):
        head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}}
        kubernetes_validate.validate(head | {"spec": pod}, "1.37", strict=True)
    for made in objects.values():
        kubernetes_validate.validate(made, "1.37", strict=True)
    assert ("PersistentVolumeClaim" in objects) is bool(asked.claim and not asked.claim_exists)


@ways
def test_pods_are_those_of_a_restricted_namespace(asked: Asked) -> None:
    """What the Pod Security Standard *restricted* asks for."""
    job = objects_of(asked)["RayJob"]
    cluster = job["spec"]["rayClusterSpec"]
    contexts = [pod["containers"][0]["securityContext"] for pod in pods_of(job).values()]
    if "autoscalerOptions" in cluster:
        contexts.append(cluster["autoscalerOptions"]["securityContext"])
    for context in contexts:
        assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    for pod in pods_of(job).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == asked.user
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_option_arrives() -> None:
    objects = objects_of(ALL)
    job, pods = objects["RayJob"], pods_of(objects["RayJob"])
    spec = job["spec"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert (group["minReplicas"], group["maxReplicas"]) == (0, 2)
    assert group["resources"] == {"CPU": "16", "GPU": "4"}
    assert pods["worker"]["containers"][0]["resources"]["limits"] == {
        "cpu": "17",
        "memory": "64Gi",
        "nvidia.com/gpu": "4",
    }
    assert pods["worker"]["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    keys = [toleration["key"] for toleration in pods["worker"]["tolerations"]]
    assert {"lab", "any", "cloud.google.com/gke-spot", "nvidia.com/gpu"} <= set(keys)
    assert "tolerations" not in pods["head"], "a head on a spot node takes the whole cluster along"
    for pod in pods.values():
        assert pod["serviceAccountName"] == "lab"
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["securityContext"]["fsGroup"] == 5678
    assert [e["secretRef"]["name"] for e in pods["head"]["containers"][0]["envFrom"]] == [
        "s3",
        "more",
    ]
    assert "envFrom" not in pods["submitter"]["containers"][0], "it only hands over"
    assert spec["activeDeadlineSeconds"] == 86_400
    assert {made["metadata"]["namespace"] for made in objects.values()} == {"lab"}
    assert objects["PersistentVolumeClaim"]["spec"]["storageClassName"] == "nfs-csi"
    assert objects["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    command = json.loads(objects["ConfigMap"]["data"]["command.json"])["command"]
    assert command == [
        *("resume", "/kdsweep/paper_cifar100.yaml", "--address", "auto"),
        *("--store", "/shared/store", "--yes", "--data", "/shared/sets", "--scale-to", "8,32"),
    ]


def test_the_cluster_is_one_that_asks_for_its_token_scales_and_ends_itself() -> None:
    job = objects_of(ASKED)["RayJob"]
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "kdsweep-token"}
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert (spec["shutdownAfterJobFinishes"], spec["ttlSecondsAfterFinished"]) == (True, 600)
    assert spec["backoffLimit"] == 3
    assert spec["entrypoint"] == ENTRY_POINT
    ports = [port["name"] for port in pods_of(job)["head"]["containers"][0]["ports"]]
    assert ports == ["gcs-server", "dashboard"]
    assert "auth_token" not in as_yaml(documents(request_of(PAPER, ASKED)))


def test_a_worker_that_is_taken_away_has_time_to_save_and_nobody_tidies_pods_away() -> None:
    job = objects_of(ASKED)["RayJob"]
    worker = pods_of(job)["worker"]
    (container,) = worker["containers"]
    assert container["lifecycle"] == {"preStop": {"exec": {"command": LEAVING}}}
    drained = {variable["name"]: variable["value"] for variable in container["env"]}
    drain_s = int(drained["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert SAVED_WITHIN_S < drain_s < worker["terminationGracePeriodSeconds"]
    cluster = job["spec"]["rayClusterSpec"]
    for template in (
        cluster["headGroupSpec"]["template"],
        cluster["workerGroupSpecs"][0]["template"],
        job["spec"]["submitterPodTemplate"],
    ):
        assert template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"


def test_in_a_queue_the_job_waits_and_has_all_its_workers_at_once() -> None:
    """Kueue admits what has a fixed size."""
    job = objects_of(replace(ASKED, queue="lab"))["RayJob"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert job["spec"]["suspend"] is True
    assert "enableInTreeAutoscaling" not in job["spec"]["rayClusterSpec"]
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == 8


@ways
def test_the_printed_sweep_is_read_back_as_the_same(asked: Asked, tmp_path: Path) -> None:
    printed = list(yaml.safe_load_all(as_yaml(documents(request_of(PAPER, asked)))))
    (config,) = [made for made in printed if made["kind"] == "ConfigMap"]
    (tmp_path / "sweep.yaml").write_text(config["data"]["paper_cifar100.yaml"])
    assert load_sweep(tmp_path / "sweep.yaml") == PAPER.model_copy(
        update={"store": None, "data": None}
    )


def test_schemes_of_ones_own_and_what_is_extended_travel_along(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from trainer.augmentations import register\n\n\n"
        '@register("dim")\ndef dim(images, labels, draw):\n    return images * 0.5, labels\n'
    )
    write_sweep(tmp_path)
    (tmp_path / "child.yaml").write_text(
        f"extends: sweep.yaml\nschemes: {tmp_path}/mine.py\naugmentations: [identity, dim]\n"
    )
    sweep = load_sweep(tmp_path / "child.yaml")
    text = objects_of(ASKED, sweep)["ConfigMap"]["data"]["tiny.yaml"]
    (tmp_path / "there.yaml").write_text(text)
    (tmp_path / "mine.py").unlink()
    assert load_sweep(tmp_path / "there.yaml").augmentations == ("identity", "dim")


def test_a_sweep_that_is_too_long_for_a_config_map_is_told(tmp_path: Path) -> None:
    lines = "\n".join(f"# {number:060}" for number in range(9000))
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(f'@register("{name}")\ndef {name}(): ...\n{lines}\n')
    sweep = load_sweep(write_sweep(tmp_path, schemes=[f"{tmp_path}/one.py", f"{tmp_path}/two.py"]))
    with pytest.raises(
        UserError, match=r"tiny: 1,\d{3},\d{3} bytes .* a ConfigMap takes 1,048,576"
    ):
        documents(request_of(sweep, ASKED))


def test_the_printed_command_is_one_of_kdsweep() -> None:
    """Each option that is printed is one that `run` and `resume` have."""
    for verb in ("run", "resume"):
        asked = replace(ASKED, retry_failed=verb == "resume")
        data = objects_of(asked)["ConfigMap"]["data"]
        words = json.loads(data["command.json"])["command"]
        command: Any = get_command(app)
        parameters = command.commands[verb].params
        known = {name for parameter in parameters for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


# What a user gives is data: to YAML, whoever reads it, and to the shells that KubeRay calls.

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    [
        "1e3",
        "0x1f",
        "1_000",
        "1:30",
        "y",
        "N",
        "on",
        "~",
        "null",
        "-",
        "",
        " a",
        "a\n b ",
        "#x",
        "{a: b}",
    ]
)


@given(st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans(), max_size=4))
def test_yaml_gives_back_what_was_put_in(content: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml([{"data": content}]))["data"] == content


@given(TEXTS)
def test_text_is_quoted_unless_it_is_text_to_every_reader(text: str) -> None:
    """Kubernetes reads YAML with Go, to which 1e3 is a number and y is true."""
    scalars = [
        event
        for event in yaml.parse(as_yaml([[text]]), yaml.SafeLoader)
        if isinstance(event, yaml.ScalarEvent)
    ]
    (scalar,) = scalars
    if scalar.style is None:
        assert re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]+", text)
        assert text.lower() not in ("yes", "no", "on", "off", "true", "false", "null")


def test_json_is_a_list_that_kubectl_takes() -> None:
    objects = documents(request_of(PAPER, ASKED))
    told = json.loads(json.dumps(as_list(objects)))
    assert (told["apiVersion"], told["kind"], len(told["items"])) == ("v1", "List", 3)
    assert told["items"] == list(yaml.safe_load_all(as_yaml(objects)))


def quoted_by_go(text: str) -> str:
    """As `strconv.Quote` writes a text that is printable."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def after_kuberays_shell(words: str) -> list[str]:
    """The words that a command has once the submitter's bash has read its line."""
    answer = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, text=True, check=True
    )
    return answer.stdout.split("\0")[:-1]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_no_place_of_a_store_is_expanded_by_a_shell(name: str) -> None:
    place = f"/shared/{name}"
    try:
        checked = check_place(place, "--store")
    except UserError:
        return
    metadata = json.dumps({"sweep": "paper", "store": checked}, ensure_ascii=False)
    (arrived,) = after_kuberays_shell(quoted_by_go(metadata))
    assert json.loads(arrived)["store"] == checked


@pytest.mark.parametrize("hostile", ["$(touch x)", "`id`", "${HOME}", "a\nb", "a\x7fb", "a\x1b[2J"])
def test_a_place_that_a_shell_would_expand_is_refused(hostile: str) -> None:
    with pytest.raises(UserError, match="expected no '\\$'"):
        check_place(f"/shared/{hostile}", "--store")


@settings(max_examples=30, deadline=None)
@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True))
def test_every_name_of_a_sweep_gives_ids_that_no_shell_touches(name: str) -> None:
    asked = request_of(PAPER.model_copy(update={"name": name}), ASKED)
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,46}", asked.name)
    assert not asked.name.endswith("-")
    job_id = job_id_of(asked.name)
    assert after_kuberays_shell(f"{job_id} {ENTRY_POINT}") == [job_id, *ENTRY_POINT.split()]
    job = documents(asked)[-1]
    assert re.fullmatch(r"[\w.-]+\.yaml", next(iter(documents(asked)[-2]["data"])))
    assert after_kuberays_shell(
        quoted_by_go(json.dumps(yaml.safe_load(job["spec"]["runtimeEnvYAML"])))
    )
