"""A real Slurm on this machine, of several nodes: all its processes live, and die, in a namespace of their own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.orchestrator.commands import wait_until

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = (
    *DAEMONS,
    "sbatch",
    "squeue",
    "scontrol",
    "scancel",
    "srun",
    "sinfo",
    "setpriv",
    "unshare",
)
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
NAMESPACE = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)
CONFIGURATION = """
ClusterName=tried
SlurmctldHost={host}({address})
SlurmctldPort={control_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
EnforcePartLimits=ALL
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
GresTypes=gpu
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr={address} Port=[{ports}] CPUs={cpus} RealMemory=8000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=10 State=UP
"""

GPUS = """
AutoDetect=off
Name=gpu Flags=nvidia_gpu_env File={folder}/gpu[0-{last}]
"""
NULL_DEVICE = os.makedev(1, 3)


def why_not() -> str | None:
    """Why no Slurm can be started here."""
    missing = [name for name in COMMANDS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"no Slurm here: {', '.join(missing)} not found"
    if os.getuid() != 0:
        return "Slurm's daemons are started by root only"
    allowed = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return "no namespace of processes can be made here" if allowed.returncode else None


class Slurm:
    """Its daemons, with nodes that are this machine several times over."""

    def __init__(self, nodes: int = 3, cpus: int = 2, gpus: int = 2) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kdslurm-"))
        self._nodes = nodes
        (self.folder / "munge").mkdir(mode=0o711)
        self.folder.chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for number in range(gpus):
            os.mknod(self.folder / f"gpu{number}", 0o20666, NULL_DEVICE)
        control, *others = _free_ports(nodes + 1)
        values = {
            "folder": self.folder,
            "host": socket.gethostname().partition(".")[0],
            "address": _own_address(),
            "user": "root",
            "control_port": control,
            "ports": ",".join(map(str, others)),
            "nodes": nodes,
            "cpus": cpus,
            "gpus": gpus,
            "last": gpus - 1,
        }
        self.configuration = self.folder / "slurm.conf"
        self.configuration.write_text(CONFIGURATION.format_map(values))
        (self.folder / "gres.conf").write_text(GPUS.format_map(values))
        self.environment = {"SLURM_CONF": str(self.configuration), "PATH": PATH}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once all nodes wait for jobs."""
        munge = self.folder / "munge"
        lines = [
            f"munged --key-file={munge}/key --socket={munge}/socket --pid-file={munge}/pid "
            f"--log-file={munge}/log --seed-file={munge}/seed",
            "slurmctld -i",
            *(f"slurmd -N n{number + 1}" for number in range(self._nodes)),
            "exec sleep infinity",
        ]
        with (self.folder / "start.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*NAMESPACE, "sh", "-ec", "\n".join(lines)],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._is_idle)

    def _is_idle(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError((self.folder / "start.log").read_text())
        answer = self.call(
            "sinfo", "--noheader", "--partition=main", "--states=idle", "--format=%D", check=False
        )
        return answer.strip() == str(self._nodes)

    def call(self, *words: str, check: bool = True) -> str:
        """What one of Slurm's commands prints."""
        answer = subprocess.run(
            words,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=check,
        )
        return answer.stdout

    def wait_for(self, job: str, state: str) -> None:
        """Wait until a job, by kdsweep's name, is in a state of Slurm's."""
        number = job.removeprefix("slurm-")
        asked = ("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T")
        wait_until(lambda: self.call(*asked).strip() == state)

    def start_at_once(self, job: str) -> None:
        """Of a job that was queued again: Slurm would let it wait for two minutes."""
        self.call("scontrol", "update", f"JobId={job.removeprefix('slurm-')}", "StartTime=now")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _own_address() -> str:
    """The one that other machines would reach this one by; the loopback interface's where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(way.getsockname()[0])


def _free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
