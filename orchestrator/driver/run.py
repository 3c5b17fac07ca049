"""The driver: runs what a sweep is missing through Ray Tune.

Tune places jobs and reports. What is done and where to go on is decided by the store alone, so Tune's
experiment is thrown away; what is tried again, when and where, by `orchestrator.driver.retries`. One run carries
the whole DAG.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from orchestrator.cluster.connection import (
    ExistingCluster,
    LocalCluster,
    Place,
    connected,
)
from orchestrator.cluster.nodes import decided_resources
from orchestrator.cluster.probe import asking
from orchestrator.cluster.submission import watched
from orchestrator.driver.deadline import Deadline
from orchestrator.driver.gauges import Gauges, through_ray
from orchestrator.driver.newcomers import Newcomers
from orchestrator.driver.sweep_run import Summary, SweepRun
from orchestrator.driver.view import View, unbroken
from orchestrator.planning.plan import Plan
from orchestrator.store.addresses import is_memory
from orchestrator.store.store import Store
from orchestrator.worker.data_places import announced
from orchestrator.worker.job import RunJob
from orchestrator.worker.preparation import prepare
from orchestrator.worker.run import run_job
from trainer.datasets.cache import is_cached
from trainer.datasets.errors import DataError
from trainer.positions import FINAL
from trainer.problems import UserError
from trainer.trial import Data, Trial


def run_plan(
    plan: Plan,
    store: Store,
    data_folder: str,
    place: Place,
    view: View,
    deadline_s: float | None = None,
    afresh: Sequence[Trial] = (),
    run_job: RunJob = run_job,
    *,
    has_metrics: bool = False,
) -> Summary:
    """Run all that a plan is missing. Blocks until everything ended, or was stopped.

    A signal stops it (`orchestrator.cluster.interruption`), and so does the deadline, in seconds from now: nothing
    more is launched, and what runs is saved. `data_folder` may be an address. The checkpoints of what is to run `afresh` are dropped once nothing can be refused any
    more. `run_job` is what a worker does; a benchmark of the driver puts its own there. With `has_metrics` the run
    tells its numbers to whoever scrapes Ray's metrics.

    Raises:
        UserError: data or published checkpoints are missing or wrong, a job asks for more than any node
            has, no cluster answers, the store cannot be used, or no worker could see it; nothing was started.
        MachineFailedError: the store could not be used for too long, or the disk for temporary files.
        KeyboardInterrupt: it was to stop at once, by a second signal.
        RayLostError: the Ray that it uses has died.
    """
    if is_memory(store.address):
        raise UserError(f"{store.address}: no worker can see this process's memory; give a folder")
    view = unbroken(Gauges(view, through_ray()) if has_metrics else view)
    deadline = Deadline.after(deadline_s)
    needed = list(dict.fromkeys(trial.data for trial in plan.missing))
    if isinstance(place, LocalCluster):
        lacking = [data for data in needed if not is_cached(data.checksum)]
        _tell_what_is_fetched(lacking, data_folder, view)
        prepare(plan.missing, data_folder)
    else:
        _tell_what_is_fetched(needed, data_folder, view)
    with connected(place, view.note) as cluster:
        # Before anything is written: what no node can carry leaves no store behind.
        resources = decided_resources(plan, cluster.nodes(), cluster.most)
        with ExitStack() as at_the_end:
            tell_that_it_begins = at_the_end.enter_context(watched(store))
            newcomers = None
            if isinstance(place, ExistingCluster):
                probe = at_the_end.enter_context(
                    asking(cluster, plan, resources, store, data_folder, view.note)
                )
                newcomers = Newcomers(probe, probe.ask_all(), view.note)
            with _used(store):
                store.save_sweep(plan.sweep.name, plan.sweep.model_dump(mode="json"))
            tell_that_it_begins()
            store = Store(store.address, is_made=True)
            with _used(store):
                if afresh or plan.lost:
                    store.signs.until_known(view.note)
                make_again(plan, store)
                num_afresh = start_over(afresh, store)
            run = SweepRun(
                plan, store, data_folder, resources, cluster, view, deadline, run_job, newcomers
            )
            if has_metrics:
                view.note(f"metrics: {cluster.metrics_address()}")
            view.begin(plan, logs=cluster.log_folder)
            if afresh:
                view.note(f"{num_afresh} trials start over, without their checkpoints")
            try:
                run.fit()
            finally:
                view.end(run.state)
            with suppress(OSError, UserError):
                # A courtesy to readers; whoever comes next may do it as well.
                store.rows.compact_where_many()
            summary = run.summary()
            if summary.failed:
                cluster.folder.is_wanted = True
                view.note(f"Ray's own logs are kept: {cluster.log_folder}")
    return summary


def _tell_what_is_fetched(needed: Sequence[Data], data_folder: str, view: View) -> None:
    """What cannot be seen from here may be seen by those who need it; else they say so."""
    with suppress(DataError):
        for line in announced(needed, data_folder):
            view.note(line)


@contextmanager
def _used(store: Store) -> Iterator[None]:
    """Before anything runs, a store that cannot be used is the user's to mend; later it is waited for."""
    try:
        yield
    except OSError as error:
        raise store.unusable(error) from error


def make_again(plan: Plan, store: Store) -> None:
    """Forget what is finished without the weights that others need, unless another run is at it already.

    Where another run has forgotten the row since it was planned, its checkpoints and failures are that run's.
    """
    wanted = {trial.fingerprint for trial in plan.trials}
    left = (wanted & plan.lost).difference(store.signs.running()) & store.finished()
    store.forget(
        [fingerprint for fingerprint in sorted(left) if not store.has_weights(fingerprint)]
    )


def start_over(trials: Iterable[Trial], store: Store) -> int:
    """Forget the checkpoints of trials that nobody works on; how many had any.

    Whoever has finished one meanwhile keeps it; and final weights are never touched.
    """
    kept = store.in_use()
    folders = [store.checkpoint_folder(t.fingerprint) for t in trials if t.fingerprint not in kept]
    num_dropped = 0
    for folder in folders:
        names = [name for name in folder.names() if name != FINAL]
        for name in names:
            folder.remove(name)
        folder.tidy()
        num_dropped += bool(names)
    return num_dropped
