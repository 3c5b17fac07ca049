"""What is asked of Kubernetes: a frozen value, checked, from which the objects follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CLAIM_IS_AT = "/shared"
"""Where pods see the claim."""


@dataclass(frozen=True)
class Workers:
    """At most `most` pods, each a Ray node of this size; `custom` are amounts of Ray's own resources."""

    most: int
    gpus: int
    cpus: int
    memory: str
    custom: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """The volume that all pods share; without a size it is there already, and no object is written for it."""

    name: str
    size: str | None = None
    storage_class: str | None = None


@dataclass(frozen=True)
class Pods:
    """What holds for every pod; selector and tolerations are of the workers alone."""

    image: str
    user: int = 1000
    group: int = 1000
    shared_memory: str = "1Gi"
    service_account: str | None = None
    pull_secret: str | None = None
    env_secrets: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Request:
    """One sweep on a Ray cluster of its own. Times are in seconds."""

    name: str
    sweep_name: str
    sweep_text: str
    store: str
    data: str | None
    workers: Workers
    pods: Pods
    claim: Claim | None
    ray_version: str
    kdsweep_version: str
    token_secret: str = "kdsweep-token"  # noqa: S105 - the name of a secret, not one
    namespace: str | None = None
    queue: str | None = None
    retries: int = 3
    keep_s: int = 600
    time_limit_s: int | None = None
    verb: Literal["run", "resume"] = "run"
