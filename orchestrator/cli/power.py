"""The part of `plan` that tells what a sweep would show: options, assumptions, and keeping what was stated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.planned_power import Assumptions, PlannedPower
    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store


@dataclass(frozen=True)
class Asked:
    """What the command line says of power."""

    power: bool
    rho: float | None
    noise: float | None
    keep: bool

    def check(self) -> None:
        """Raises UserError where something that belongs to --power stands without it."""
        from trainer.problems import UserError

        given = {"--rho": self.rho, "--noise": self.noise, "--keep": self.keep or None}
        lonely = [name for name, value in given.items() if value is not None]
        if lonely and not self.power:
            raise UserError(f"{lonely[0]} says something of --power: add that, or leave it out")


def power_of(asked: Asked, planned: "Plan", store: "Store") -> "PlannedPower":
    """Power of a sweep.

    Raises:
        UserError: it has no correlation, or neither store nor user tells what to assume.
    """
    from analysis.coefficients import NAMES
    from analysis.planned_power import planned_power
    from orchestrator.planning.studied import study_of

    study = study_of(planned.sweep)
    return planned_power(
        _assumed(asked, planned, store),
        n=study.num_augmentations,
        num_seeds=study.num_seeds,
        num_tests=study.num_panels * len(NAMES),
    )


def _assumed(asked: Asked, planned: "Plan", store: "Store") -> "Assumptions":
    from analysis.planned_power import Assumptions
    from analysis.power import Noise

    stated = None if asked.noise is None else Noise(asked.noise, asked.noise)
    if asked.rho is not None and stated is not None:
        return Assumptions(asked.rho, stated, "as stated")
    found = _told_by(store, planned)
    if asked.rho is not None:
        return Assumptions(asked.rho, found.noise, f"correlation as stated, noise: {found.source}")
    if stated is not None:
        return Assumptions(found.rho, stated, f"noise as stated, correlation: {found.source}")
    return found


def _told_by(store: "Store", planned: "Plan") -> "Assumptions":
    """Of the sweep's own trials where they tell of noise, else of all in the store."""
    from analysis.combinations import Planned
    from analysis.planned_power import assumptions_of
    from analysis.points import panels
    from analysis.rows import read_rows
    from orchestrator.planning.kept_sweeps import of_sweeps, planned_together
    from trainer.problems import UserError

    own = of_sweeps([(planned.sweep, planned.trials)])
    rows = read_rows(store, trials=planned.trials)
    found = assumptions_of(panels(rows, Planned(*own)), "this sweep")
    if found is None:
        rows = read_rows(store)
        found = assumptions_of(panels(rows, Planned(*planned_together(store))), store.name)
    if found is None:
        raise UserError(
            f"--power: {store.address} has no pair with three augmentations of two seeds, so it tells no noise: "
            "state both, as in --rho 0.8 --noise 0.3"
        )
    return found


def keep(power: "PlannedPower", planned: "Plan", store: "Store") -> str:
    """Keep what was stated in the store, with the sweep as it is resolved; where it is."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    from orchestrator.cli.opening import check_writable
    from orchestrator.reports.power import power_as_json

    check_writable(store)
    students = [trial.fingerprint for trial in planned.trials if trial.kind == "student"]
    return store.save_power(
        planned.sweep.name,
        {
            "stated_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "num_students": len(students),
            "num_students_finished": len(planned.done.intersection(students)),
            "kdsweep_version": version("kdsweep"),
            "power": power_as_json(power),
            "sweep": planned.sweep.model_dump(mode="json"),
        },
    )
