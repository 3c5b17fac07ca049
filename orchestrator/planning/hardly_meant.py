"""Settings that are allowed and do nothing, or not what they seem to: told in a line each, before a run."""

from collections.abc import Iterator, Sequence

from orchestrator.language.resources import SECTIONS, Kind
from orchestrator.language.sweep import Sweep
from orchestrator.language.variations import KEYS
from trainer.catalog import pick_of
from trainer.trial import AugmentedTrial, StudentTrial, TeacherTrial, Trial, is_published

EVALUATED_BY = frozenset({"teachers.precision", "teachers.seed"})
"""Settings of teachers that say nothing of training."""


def hardly_meant(sweep: Sweep, trials: Sequence[Trial]) -> tuple[str, ...]:
    """A line for each, once."""
    said = _said(sweep)
    lines: dict[str, None] = {}
    for trial in trials:
        if isinstance(trial, TeacherTrial | StudentTrial) and not is_published(trial):
            lines |= dict.fromkeys(_milestones(trial, said))
            lines |= dict.fromkeys(_training(trial, said))
        if isinstance(trial, StudentTrial):
            lines |= dict.fromkeys(_methods(trial, said))
        if isinstance(trial, AugmentedTrial):
            lines |= dict.fromkeys(_picks(trial))
    if any(map(is_published, trials)) and all(map(_is_untrained, trials)):
        lines |= dict.fromkeys(_of_training(said))
    return tuple(lines)


def _said(sweep: Sweep) -> frozenset[str]:
    """The hyper-parameters that the sweep names, as `student.epochs`."""
    named = {f"{section}.{key}" for section in SECTIONS.values() for key in _fields(sweep, section)}
    return frozenset(named.union(sweep.varied))


def _fields(sweep: Sweep, section: str) -> set[str]:
    fields: set[str] = getattr(sweep, section).model_fields_set
    return fields


def _milestones(trial: TeacherTrial | StudentTrial, said: frozenset[str]) -> Iterator[str]:
    """Those that no epoch passes, and those out of order; the paper's are nobody's mistake."""
    kind: Kind = trial.kind
    key = f"{SECTIONS[kind]}.milestones"
    if key not in said or trial.decay == 1 or trial.schedule != "steps":
        return
    idle = sorted(m for m in trial.milestones if m >= trial.epochs)
    if idle:
        yield (
            f"{key}: {_listed(idle)}: training ends with epoch {trial.epochs}, "
            "so the learning rate does not change there"
        )
    if list(trial.milestones) != sorted(trial.milestones):
        yield f"{key}: {_listed(trial.milestones)}: out of order, taken as {_listed(sorted(trial.milestones))}"


def _training(trial: TeacherTrial | StudentTrial, said: frozenset[str]) -> Iterator[str]:
    """What the optimiser or the schedule never looks at, and a rate that was meant for the other optimiser."""
    section = SECTIONS[trial.kind]
    if trial.schedule == "cosine":
        for name in ("milestones", "decay"):
            if f"{section}.{name}" in said:
                yield f"{section}.{name}: of no effect with schedule: cosine"
    if trial.optimiser == "adamw":
        if f"{section}.momentum" in said:
            yield f"{section}.momentum: of no effect with optimiser: adamw"
        if f"{section}.learning_rate" not in said:
            yield (
                f"{section}.optimiser: adamw learns at {trial.learning_rate}, the rate for sgd: "
                f"name {section}.learning_rate, such as 0.001"
            )
    if isinstance(trial, StudentTrial) and trial.label_smoothing and not trial.label_weight:
        yield "student.label_smoothing: of no effect with a label_weight of 0"


def _methods(trial: StudentTrial, said: frozenset[str]) -> Iterator[str]:
    """Methods where nothing is distilled, and warm-ups that never begin or never end."""
    keys = sorted(key for key in said if key.startswith("student.method"))
    if not trial.is_distilled:
        if keys:
            yield f"{', '.join(keys)}: of no effect, as nothing is distilled: see the weights"
        return
    warmup, epochs = trial.method_warmup_epochs, trial.epochs
    if warmup == 1:
        yield "student.method_warmup_epochs: 1: of no effect, the first epoch has the whole weight"
    if warmup > epochs:
        yield (
            f"student.method_warmup_epochs: {warmup}: training ends with epoch {epochs}, "
            f"at {epochs / warmup:.3g} of the weight"
        )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _picks(trial: AugmentedTrial) -> Iterator[str]:
    """A pick that keeps all there is."""
    pick = pick_of(trial.augmentation)
    if pick is not None and trial.pick_size >= pick.runs * trial.batch_size:
        yield (
            f"{trial.kind} {trial.augmentation}: a pick_size of {trial.pick_size} keeps the "
            f"whole pool of {pick.runs} x {trial.batch_size} images: nothing is picked"
        )


def _is_untrained(trial: Trial) -> bool:
    return trial.kind != "teacher" or is_published(trial)


def _of_training(said: frozenset[str]) -> Iterator[str]:
    """What says how teachers are trained, where none is."""
    idle = [
        key
        for key in KEYS
        if key.startswith("teachers.") and key in said and key not in EVALUATED_BY
    ]
    if idle:
        yield f"{', '.join(idle)}: of no effect, as teachers.checkpoint names teachers that are trained already"
