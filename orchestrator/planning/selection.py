"""A part of a plan, by the words a user names it with: a fingerprint, a pair, an augmentation."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.planning.plan import Plan
from orchestrator.store.store import Store
from trainer.positions import FINAL
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
