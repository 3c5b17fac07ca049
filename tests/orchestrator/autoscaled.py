"""Ray's own autoscaler with the fake provider of its wheel: nodes are raylets that it starts on this machine.

The provider has a port and the names of its nodes hard-coded, and Ray's own helper for such clusters ends every Ray
of the machine. So all happens in a namespace of processes and of the network, and is gone with it.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.orchestrator.commands import fresh_environment
from tests.orchestrator.raylets import BIN, OBJECT_STORE, WITH_TOKEN

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--net", "--kill-child")
PORT = 6379
ADDRESS = f"127.0.0.1:{PORT}"
HEAD = "f" * 51 + "00000"
IN_IT = 'ip link set lo up && "$RAY" start "$@" > "$LOG" 2>&1 && exec sh -c "$COMMANDS"'


def can_have_namespaces() -> bool:
    """Whether processes here may have a network of their own, as root may."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    command = [*NAMESPACE, "ip", "link", "set", "lo", "up"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def on_an_autoscaled_cluster(
    home: Path,
    commands: str,
    node: Mapping[str, float],
    most_nodes: int,
    surroundings: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str]:
    """Run commands of a shell beside a head without CPUs: exit code and output.

    Args:
        home: of the user.
        commands: in them, `kdsweep` is the command.
        node: the resources of each node that the autoscaler may start.
        most_nodes: how many of them.
        surroundings: environment variables of head, nodes and commands.
    """
    with tempfile.TemporaryDirectory(prefix="kda-") as folder:
        configuration = Path(folder) / "cluster.yaml"
        configuration.write_text(json.dumps(_configuration(node, most_nodes)))
        head: Sequence[object] = (
            *("--head", f"--port={PORT}", "--node-ip-address=127.0.0.1", "--num-cpus=0"),
            *(f"--autoscaling-config={configuration}", f"--temp-dir={folder}/ray"),
            *(f"--object-store-memory={OBJECT_STORE}", "--disable-usage-stats"),
            "--include-dashboard=false",
        )
        environment = fresh_environment(home) | {
            **WITH_TOKEN,
            **surroundings,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY": str(BIN / "ray"),
            "LOG": f"{folder}/start.log",
            "COMMANDS": commands,
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        }
        answer = subprocess.run(
            [*NAMESPACE, "sh", "-c", IN_IT, "sh", *map(str, head)],
            env=environment,
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return answer.returncode, answer.stdout or Path(f"{folder}/start.log").read_text()


def _configuration(node: Mapping[str, float], most_nodes: int) -> dict[str, Any]:
    """What the autoscaler is told; its schema wants every key."""
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray")
    return {
        "cluster_name": "fake",
        "max_workers": most_nodes,
        "idle_timeout_minutes": 5,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "launch_multiple": True,
            "head_node_id": HEAD,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "max_workers": 0, "node_config": {}},
            "worker": {
                "resources": dict(node),
                "min_workers": 0,
                "max_workers": most_nodes,
                "node_config": {},
            },
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        **{f"{name}_commands": [] for name in (*commands, "worker_start_ray")},
    }
