"""docs/kubernetes.md: its pod is one to Kubernetes, its commands print what is told of them."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.orchestrator.cluster.kubernetes.schemas import TOP, mistakes_of_a_ray_job, needs_crd
from tests.orchestrator.commands import run

PAGE = (TOP / "docs" / "kubernetes.md").read_text()
(PRINTED,) = re.findall(r"^kdsweep (kubernetes .*?[^\\])$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_desk_is_a_pod() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    kubernetes_validate.validate(yaml.safe_load(text), "1.37", strict=True)


@needs_crd
def test_the_shown_command_writes_what_is_applied_by_name(tmp_path: Path) -> None:
    words = shlex.split(PRINTED.replace("\\\n", " "))
    code, output = run(tmp_path, *words)
    assert (code, output) == (0, "paper.yaml\n")
    claim, config, job = yaml.safe_load_all((tmp_path / "paper.yaml").read_text())
    for made in (claim, config):
        kubernetes_validate.validate(made, "1.37", strict=True)
    assert not mistakes_of_a_ray_job(job)
    assert claim["metadata"]["labels"]["app.kubernetes.io/component"] == "claim"
    assert f"job={job['spec']['jobId']}\n" in PAGE
    assert f"kubectl delete rayjob {job['metadata']['name']}\n" in PAGE
    desk = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    assert (
        desk["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        == (claim["metadata"]["name"])
    )
    assert desk["spec"]["containers"][0]["image"] in words


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_secret_is_made_without_a_token_in_a_command_line() -> None:
    (line,) = re.findall(r"^openssl .*$", PAGE, re.MULTILINE)
    answer = subprocess.run(
        ["bash", "-c", f"{line} --dry-run=client -o yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    secret = yaml.safe_load(answer.stdout)
    kubernetes_validate.validate(secret, "1.37", strict=True)
    assert len(secret["data"]["auth_token"]) == 88, "64 digits in base64, and no end of line"
