"""A part of a plan: what a user's words name (a fingerprint, a pair, an augmentation), or what needs no student."""

import re
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.planning.plan import Plan
from trainer.problems import UserError, did_you_mean
from trainer.trial import Trial

_FINGERPRINT = re.compile(r"[0-9a-f]{6,64}")


def only(plan: Plan, words: Sequence[str]) -> Plan:
    """The trials that any of the words names, and what they depend on.

    Raises:
        UserError: a word names nothing of this sweep.
    """
    wanted: set[str] = set()
    for word in words:
        named = {trial.fingerprint for trial in plan.trials if _is_named(trial, word)}
        if not named:
            raise UserError(f"--only {word}: nothing of {plan.sweep.name}{_known(plan, word)}")
        wanted |= named
    for trial in reversed(plan.trials):
        if trial.fingerprint in wanted:
            wanted.update(trial.depends_on)
    return replace(plan, trials=tuple(t for t in plan.trials if t.fingerprint in wanted))


def _is_named(trial: Trial, word: str) -> bool:
    if _FINGERPRINT.fullmatch(word) and trial.fingerprint.startswith(word):
        return True
    return word in (f"{trial.teacher}/{trial.student}", trial.augmentation)


def _known(plan: Plan, word: str) -> str:
    names = [*map(str, plan.sweep.pairs), *plan.sweep.augmentations]
    return "" if _FINGERPRINT.fullmatch(word) else did_you_mean(word, names)


def to_start_over(plan: Plan, words: Sequence[str]) -> tuple[Trial, ...]:
    """What is missing of all that the words name, without what that depends on; of all, without words."""
    missing = plan.missing
    return tuple(t for t in missing if not words or any(_is_named(t, word) for word in words))


def without_students(plan: Plan) -> Plan:
    """What needs no student: the teachers, T. stddev and own predictors of all but the student's pick."""
    kept = tuple(trial for trial in plan.trials if _needs_no_student(trial))
    wanted = {trial.fingerprint for trial in kept}
    failed = {fp: error for fp, error in plan.failed.items() if fp in wanted}
    return replace(plan, trials=kept, done=plan.done & wanted, failed=failed)


def _needs_no_student(trial: Trial) -> bool:
    return trial.kind == "teacher" or (trial.kind != "student" and trial.student is None)
