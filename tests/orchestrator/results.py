"""Comparing the stores of two runs."""

import json
from typing import Any

import torch

from orchestrator.store.store import Store
from trainer.checkpoint import CheckpointFolder

TIMES = {
    *("started_at", "finished_at", "wall_seconds", "device_seconds", "group_size"),
    *("num_teacher_passes", "num_attempts", "command", "host", "git_commit", "git_dirty", "job_id"),
}
"""Columns that say how a row came about, not what it says."""


def comparable(store: Store) -> dict[str, dict[str, Any]]:
    """The rows by fingerprint; numbers as written, to the last bit, because nan equals no nan."""
    rows = {r["fingerprint"]: r for r in store.results().to_pylist()}
    return {fp: _without_the_job(written(r, TIMES)) for fp, r in rows.items()}


def _without_the_job(row: dict[str, Any]) -> dict[str, Any]:
    """Which job of Slurm's it was, as an environment tells, says how a row came about as well."""
    environment = json.loads(row["environment"])
    environment.pop("SLURM_JOB_ID", None)
    return {**row, "environment": environment}


def curves(store: Store) -> list[dict[str, Any]]:
    return [written(r, {"seconds", "group_size", "written_at"}) for r in store.epochs().to_pylist()]


def written(row: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k not in left_out}
    return {k: repr(v) if isinstance(v, float) else v for k, v in kept.items()}


def weights(store: Store) -> dict[str, dict[str, torch.Tensor]]:
    kinds = {r["fingerprint"]: r["kind"] for r in store.results().to_pylist()}
    return {
        fp: CheckpointFolder(store.checkpoint_folder(fp)).weights()
        for fp, kind in kinds.items()
        if kind not in ("stddev", "predictor")
    }


def assert_same_results(one: Store, other: Store) -> None:
    assert comparable(one) == comparable(other)
    assert curves(one) == curves(other)
    first, second = weights(one), weights(other)
    for fingerprint, tensors in first.items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, second[fingerprint][name]), (fingerprint, name)


def is_clean(store: Store) -> bool:
    """Nothing is left but results and final weights."""
    files = {path.name for path in store.root.glob("checkpoints/*/*")}
    hidden = list(store.root.rglob(".*.tmp"))
    signs = [*store.root.glob("running/*"), *store.root.glob("runs/*"), *store.root.glob("stops/*")]
    return files == {"final.safetensors"} and not hidden and not signs
