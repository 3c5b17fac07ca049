"""The part of a sweep that needs no student: its teachers, and T. stddev of all but the student's pick."""

from dataclasses import replace
from pathlib import Path

from orchestrator.planning.plan import Plan, make_plan
from orchestrator.store.store import Store
from trainer.trial import Trial


def needs_no_student(trial: Trial) -> bool:
    return trial.kind == "teacher" or (trial.kind == "stddev" and trial.student is None)


def open_teacher_plan(sweep_file: Path, store: str | Path | None) -> tuple[Plan, Store]:
    """A sweep's plan, cut down to what needs no student, against its store."""
    from orchestrator.cli.console import open_sweep

    sweep, opened = open_sweep(sweep_file, store)
    plan = make_plan(sweep, opened, retry_failed=False)
    kept = tuple(trial for trial in plan.trials if needs_no_student(trial))
    wanted = {trial.fingerprint for trial in kept}
    failed = {fp: error for fp, error in plan.failed.items() if fp in wanted}
    return replace(plan, trials=kept, done=plan.done & wanted, failed=failed), opened


def run_teacher_plan(plan: Plan, store: Store, data: Path | None) -> None:
    """Run what is missing of it, here."""
    from orchestrator.cli.console import data_folder, stderr
    from orchestrator.cluster.connection import LocalCluster
    from orchestrator.driver.run import run_plan
    from orchestrator.driver.view import make_view

    folder = data_folder(plan.sweep, data)
    run_plan(plan, store, folder, LocalCluster(None, None), make_view(stderr()))
