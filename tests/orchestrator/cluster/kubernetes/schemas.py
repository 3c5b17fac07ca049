"""Kubernetes' own schemas, as an API server holds objects against them: unknown keys are mistakes."""

import lzma
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

TOP = Path(__file__).parents[4]
CRD = Path(
    os.environ.get(
        "KUBERAY_CRD", TOP.parent / "shared" / "reference" / "kuberay-rayjob-crd.yaml.xz"
    )
)
"""KubeRay's definition of a RayJob; of release 1.7.0."""

needs_crd = pytest.mark.skipif(not CRD.exists(), reason=f"KubeRay's CRD is not there: {CRD}")


@cache
def _definition() -> dict[str, Any]:
    with lzma.open(CRD) as file:
        crd = yaml.load(file, yaml.CSafeLoader)
    (version,) = [v for v in crd["spec"]["versions"] if v["name"] == "v1"]
    whole = _strict(version["schema"]["openAPIV3Schema"])
    whole["properties"]["metadata"] = {"type": "object"}  # that of every object
    return whole


def _strict(schema: Any) -> Any:
    """What OpenAPI of a CRD means, in JSON Schema."""
    if not isinstance(schema, dict):
        return schema
    told = {
        key: {name: _strict(part) for name, part in value.items()}
        if key == "properties"
        else [_strict(part) for part in value]
        if key in ("anyOf", "oneOf", "allOf")
        else _strict(value)
        for key, value in schema.items()
        if key not in ("format", "default", "description")
    }
    if told.get("x-kubernetes-int-or-string"):
        told.pop("type", None)
    filled_in = {n for n, part in schema.get("properties", {}).items() if "default" in part}
    if "required" in told:
        told["required"] = [name for name in told["required"] if name not in filled_in]
    is_open = told.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in told
    if "properties" in told and not is_open:
        told["additionalProperties"] = False
    return told


def mistakes_of_a_ray_job(manifest: Any) -> list[str]:
    """A line for each thing that KubeRay's CRD refuses."""
    found = jsonschema.Draft202012Validator(_definition()).iter_errors(manifest)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]
