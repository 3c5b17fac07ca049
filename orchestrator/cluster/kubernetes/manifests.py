"""The objects of a request: a claim, a ConfigMap with the sweep and the command, a RayJob.

    text = as_yaml(documents(request))       # for kubectl apply --server-side -f -

Whatever a user gives stands in them as data. KubeRay hands the entry point, the job's id, its metadata and its runtime
environment through shells: the first is constant, ids are names by Kubernetes' rules, and the rest has nothing that a
shell would expand (`orchestrator.cluster.kubernetes.asked`). The command itself is read from the ConfigMap.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from orchestrator.cluster.connection import OBJECT_STORE_BYTES
from orchestrator.cluster.jobs import PORT, PREFIX, SETTINGS
from orchestrator.cluster.kubernetes.request import CLAIM_IS_AT, Claim, Request
from orchestrator.cluster.submission import SUBMITTED
from trainer.problems import UserError

Json = dict[str, Any]

LONGEST_CONFIG_MAP = 1 << 20
"""Bytes that Kubernetes takes in one ConfigMap."""

SWEEP_IS_AT = "/kdsweep"
COMMAND_FILE = "command.json"
HOME = "/home/kdsweep"
HOME_VOLUME: Json = {"name": "home", "emptyDir": {}}
HOME_MOUNT: Json = {"name": "home", "mountPath": HOME}
SHARED_MEMORY_IS_AT = "/dev/shm"  # noqa: S108 - where Ray and torch share memory
GCS_PORT = 6379
LEAVING = ["python3", "-P", "-m", "orchestrator.cluster.kubernetes.leaving"]
ENTRY_POINT = (
    f"exec python3 -P -m orchestrator.cluster.kubernetes.entrypoint {SWEEP_IS_AT}/{COMMAND_FILE}"
)
"""Constant: it is read by two shells on its way."""

CPUS_FOR_RAY = 1
"""A worker has them beside those of its jobs."""

HEAD_SIZE = {"cpu": "2", "memory": "8Gi"}
SUBMITTER_SIZE = {"cpu": "500m", "memory": "1Gi"}
AUTOSCALER_SIZE = {"cpu": "500m", "memory": "1Gi"}
IDLE_S = 300
TIME_TO_SAVE_S = 120
TIME_TO_DRAIN_S = 110
SUBMITTER_RETRIES = 2

GPU = "nvidia.com/gpu"
COMPONENT = "app.kubernetes.io/component"
"""`kubectl apply -l` takes one kind of object alone by it."""

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
NOT_MOVED = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
"""Whoever tidies up nodes that are half empty leaves these pods where they are: Ray's autoscaler takes the idle ones."""

NOT_PRIVILEGED: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def documents(request: Request) -> tuple[Json, ...]:
    """The objects, in the order in which they are applied.

    Raises:
        UserError: the sweep is too long for a ConfigMap.
    """
    claim = request.claim
    made = [_claim_of(request, claim)] if claim and claim.size else []
    return (*made, _config_map(request), _ray_job(request))


def job_id_of(name: str) -> str:
    """The id of the Ray job, by which `kdsweep logs` and `kdsweep stop` know it."""
    return name if name.startswith(PREFIX) else f"{PREFIX}{name}"


def command_of(request: Request) -> list[str]:
    """The words of kdsweep's command, as they are run on the head."""
    workers = request.workers
    words = [request.verb, f"{SWEEP_IS_AT}/{request.sweep_name}.yaml", "--address", "auto"]
    words += ["--store", request.store, "--yes"]
    words += ["--data", request.data] if request.data else []
    if request.queue is None:
        most = f"{workers.most * workers.gpus},{workers.most * workers.cpus}"
        words += ["--scale-to", most]
    return words


def _metadata(request: Request, name: str, labels: Mapping[str, str]) -> Json:
    where = {"namespace": request.namespace} if request.namespace else {}
    labels = {"app.kubernetes.io/name": "kdsweep", **labels}
    return {"name": name, **where, "labels": labels}


def _of_this_sweep(request: Request, component: str) -> Json:
    version = re.sub(r"[^\w.-]", "-", request.kdsweep_version)
    labels = {
        COMPONENT: component,
        "app.kubernetes.io/instance": request.name,
        "app.kubernetes.io/version": version,
    }
    return _metadata(request, request.name, labels)


def _claim_of(request: Request, claim: Claim) -> Json:
    """Sweeps may have it in common, so nothing in it is of this one."""
    by_class = {"storageClassName": claim.storage_class} if claim.storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(request, claim.name, {COMPONENT: "claim"}),
        "spec": {
            "accessModes": ["ReadWriteMany"],
            **by_class,
            "resources": {"requests": {"storage": claim.size}},
        },
    }


def _config_map(request: Request) -> Json:
    data = {
        f"{request.sweep_name}.yaml": request.sweep_text,
        COMMAND_FILE: json.dumps({"command": command_of(request)}, indent=1),
    }
    size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
    if size > LONGEST_CONFIG_MAP:
        raise UserError(
            f"{request.sweep_name}: {size:,} bytes with its schemes; a ConfigMap takes {LONGEST_CONFIG_MAP:,}: "
            "split the sweep, or shorten its schemes"
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _of_this_sweep(request, "sweep"),
        "data": data,
    }


def _ray_job(request: Request) -> Json:
    metadata = _of_this_sweep(request, "job")
    spec: Json = {
        "entrypoint": ENTRY_POINT,
        "jobId": job_id_of(request.name),
        "metadata": {"sweep": request.sweep_name, "store": request.store},
        "runtimeEnvYAML": yaml.safe_dump(
            {"env_vars": {**SETTINGS, SUBMITTED: job_id_of(request.name)}}
        ),
        "submissionMode": "K8sJobMode",
        "submitterConfig": {"backoffLimit": SUBMITTER_RETRIES},
        "submitterPodTemplate": {
            "metadata": {"annotations": NOT_MOVED},
            "spec": _submitter(request),
        },
        "backoffLimit": request.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": request.keep_s,
    }
    if request.time_limit_s is not None:
        spec["activeDeadlineSeconds"] = request.time_limit_s
    if request.queue is not None:
        metadata["labels"][QUEUE_LABEL] = request.queue
        spec["suspend"] = True
    spec["rayClusterSpec"] = _cluster(request)
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": spec}


def _cluster(request: Request) -> Json:
    """A head without CPUs for jobs, and workers that an autoscaler brings; in a queue all of them at once."""
    scaled: Json = {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": IDLE_S,
            "resources": _exactly(AUTOSCALER_SIZE),
            "securityContext": NOT_PRIVILEGED,
        },
    }
    return {
        "rayVersion": request.ray_version,
        "authOptions": {"mode": "token", "secretName": request.token_secret},
        **(scaled if request.queue is None else {}),
        "headGroupSpec": _head(request),
        "workerGroupSpecs": [_workers(request)],
    }


def _head(request: Request) -> Json:
    account = request.pods.service_account
    volumes = [*_volumes(request), {"name": "sweep", "configMap": {"name": request.name}}]
    container = _ray_container(request, "ray-head", HEAD_SIZE)
    container["volumeMounts"].append({"name": "sweep", "mountPath": SWEEP_IS_AT, "readOnly": True})
    container["ports"] = [
        {"name": "gcs-server", "containerPort": GCS_PORT},
        {"name": "dashboard", "containerPort": PORT},
    ]
    # Its account is left to KubeRay where none is named: the autoscaler beside it may change the number of pods.
    named = {"serviceAccountName": account} if account else {}
    return {
        "rayStartParams": {
            "num-cpus": "0",
            "dashboard-host": "0.0.0.0",  # noqa: S104 - the submitter's pod asks; the token guards it
            "object-store-memory": str(OBJECT_STORE_BYTES),
        },
        "template": {
            "metadata": {"annotations": NOT_MOVED},
            "spec": {**_pod(request), **named, "volumes": volumes, "containers": [container]},
        },
    }


def _workers(request: Request) -> Json:
    workers, pods = request.workers, request.pods
    fewest = 0 if request.queue is None else workers.most
    size = {"cpu": str(workers.cpus + CPUS_FOR_RAY), "memory": workers.memory}
    tolerations = [dict(toleration) for toleration in pods.tolerations]
    if workers.gpus:
        size[GPU] = str(workers.gpus)
        tolerations.append({"key": GPU, "operator": "Exists", "effect": "NoSchedule"})
    container = _ray_container(request, "ray-worker", size)
    container["env"].append(
        {"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": str(TIME_TO_DRAIN_S)}
    )
    container["lifecycle"] = {"preStop": {"exec": {"command": LEAVING}}}
    spec = {
        **_pod(request),
        **_account(request),
        "terminationGracePeriodSeconds": TIME_TO_SAVE_S,
        **({"nodeSelector": dict(pods.node_selector)} if pods.node_selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
        "volumes": _volumes(request),
        "containers": [container],
    }
    custom = {name: str(amount) for name, amount in workers.custom.items()}
    return {
        "groupName": "workers",
        "replicas": fewest,
        "minReplicas": fewest,
        "maxReplicas": workers.most,
        "rayStartParams": {"object-store-memory": str(OBJECT_STORE_BYTES)},
        # What Ray is to count: of CPUs those of jobs only.
        "resources": {"CPU": str(workers.cpus), "GPU": str(workers.gpus), **custom},
        "template": {"metadata": {"annotations": NOT_MOVED}, "spec": spec},
    }


def _submitter(request: Request) -> Json:
    """The pod that hands the job to the head and prints its log."""
    return {
        **_pod(request),
        **_account(request),
        "restartPolicy": "Never",
        "volumes": [HOME_VOLUME],
        "containers": [
            {
                **_container(request, "ray-job-submitter", SUBMITTER_SIZE),
                "volumeMounts": [HOME_MOUNT],
            }
        ],
    }


def _account(request: Request) -> Json:
    """Of pods that have nothing to ask of Kubernetes."""
    account = request.pods.service_account
    named = {"serviceAccountName": account} if account else {}
    return {**named, "automountServiceAccountToken": False}


def _pod(request: Request) -> Json:
    """Of every pod: it is not root's."""
    pods = request.pods
    pull = {"imagePullSecrets": [{"name": pods.pull_secret}]} if pods.pull_secret else {}
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pods.user,
            "runAsGroup": pods.group,
            "fsGroup": pods.group,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **pull,
    }


def _container(request: Request, name: str, size: Mapping[str, str]) -> Json:
    """Of every pod: no privileges, and a home that can be written, whoever it runs as."""
    return {
        "name": name,
        "image": request.pods.image,
        "env": [
            {"name": "HOME", "value": HOME},
            {"name": "USER", "value": "kdsweep"},
            {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
        ],
        "securityContext": NOT_PRIVILEGED,
        "resources": _exactly(size),
    }


def _ray_container(request: Request, name: str, size: Mapping[str, str]) -> Json:
    """Of a node of the cluster: it sees store and data."""
    mounts = [HOME_MOUNT, {"name": "shm", "mountPath": SHARED_MEMORY_IS_AT}]
    if request.claim is not None:
        mounts.append({"name": "shared", "mountPath": CLAIM_IS_AT})
    secrets = [{"secretRef": {"name": secret}} for secret in request.pods.env_secrets]
    container = _container(request, name, size) | {"volumeMounts": mounts}
    return container | ({"envFrom": secrets} if secrets else {})


def _volumes(request: Request) -> list[Json]:
    in_memory = {"medium": "Memory", "sizeLimit": request.pods.shared_memory}
    volumes: list[Json] = [HOME_VOLUME, {"name": "shm", "emptyDir": in_memory}]
    if request.claim is not None:
        claim = {"claimName": request.claim.name}
        volumes.append({"name": "shared", "persistentVolumeClaim": claim})
    return volumes


def _exactly(size: Mapping[str, str]) -> Json:
    return {"requests": dict(size), "limits": dict(size)}


_PLAIN = re.compile(r"[A-Za-z/][\w./-]+", re.ASCII)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever some reader might take for something else than text; several lines stand as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else '"'
    if "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(objects: Sequence[Json]) -> str:
    """One YAML document per object."""
    return yaml.dump_all(
        objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=float("inf")
    )


def as_list(objects: Sequence[Json]) -> Json:
    """One object that holds all, as kubectl takes it in JSON."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}
