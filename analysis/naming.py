"""The names of settings: what panels differ in, and which of them can be pooled."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from analysis.combinations import MATCHED, Unit
from analysis.settings import flat, shortened
from trainer.catalog import ARCHITECTURES, default_learning_rate

OF_THE_PAIR = frozenset(
    {
        *("student.teacher", "student.student", "stddev.teacher", "stddev.student"),
        *("teachers.teacher", "teachers.checkpoint", "student.dataset", "stddev.dataset"),
        "stddev.predictor",
    }
)
"""What the name of a panel says already; of a published teacher, what its fingerprint does."""

START = "student.checkpoint"
"""The weights that a student begins with: a file of its own for each architecture."""

METHOD = "student.method"

_GUESTS = frozenset({"student.student_model", "stddev.student_model", "teachers.teacher_model"})
"""Which model it is that a name stands for, where it is not kdsweep's: told where it differs within a pair."""

USUAL = "the architecture's own"
"""Stands for a learning rate that is."""


def setting_of(student: Unit | None, measured: Unit | None) -> dict[str, str]:
    """Everything that is set in a panel, by name; what both have alike once, and without a section."""
    sides = {"student": student, "stddev": measured}
    common = {section: json.loads(unit.common) for section, unit in sides.items() if unit}
    named = dict(flat(common))
    for section, unit in sides.items():
        for name, value in unit.whole.settings.items() if unit else ():
            others = {
                other.matched[name]
                for other in sides.values()
                if other and name in MATCHED and name in other.matched
            }
            if len(others) <= 1 and f"student.{name}" not in named:
                named[name] = value
            elif len(others) > 1:
                named[f"{section}.{name}"] = value
    return named


def names_of(settings: Sequence[Mapping[str, str]], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Names for the settings of several panels: what is not the same in all that have it.

    Within a pair what only some have is told, too, and which teacher it was, where nothing else tells. A
    learning rate is told where it is not the architecture's own; data are told apart within a data set, options
    within a method.

    Args:
        settings: by name (`setting_of`).
        pairs: the data set and the models of each.
    """
    compared = [comparable_settings(values) for values in settings]
    keys = sorted({key for values in compared for key in values})
    apart = {*_DATA, *_GUESTS, START}
    telling_anywhere = {k for k in keys if k not in apart and _differs(compared, k)}
    names = []
    for values, pair in zip(compared, pairs, strict=True):
        of_dataset = [v for v, p in zip(compared, pairs, strict=True) if p[0] == pair[0]]
        of_pair = [v for v, p in zip(compared, pairs, strict=True) if p == pair]
        telling = telling_anywhere | {k for k in _DATA if _differs(of_dataset, k)}
        telling |= {k for k in keys if len({v.get(k) for v in of_pair}) > 1}
        of_method = [v for v in compared if v.get(METHOD) == values.get(METHOD)]
        telling -= {k for k in keys if _is_of_a_method(k) and not _differs(of_method, k)}
        telling.discard("teacher_fingerprint")
        names.append(
            ", ".join(
                f"{k}={shortened(values[k])}"
                for k in keys
                if k in telling & values.keys() and values[k] != USUAL
            )
        )
    twice = Counter(zip(pairs, names, strict=True))
    return [
        ", ".join(filter(None, (name, _teacher_told(values)))) if twice[pair, name] > 1 else name
        for name, pair, values in zip(names, pairs, compared, strict=True)
    ]


def _differs(settings: Sequence[Mapping[str, str]], key: str) -> bool:
    return len({values[key] for values in settings if key in values}) > 1


def _is_of_a_method(key: str) -> bool:
    return key.startswith(f"{METHOD}_options.") or key == "student.own_method"


def _teacher_told(values: Mapping[str, str]) -> str:
    fingerprint = values.get("teacher_fingerprint")
    return f"teacher_fingerprint={shortened(fingerprint)}" if fingerprint else ""


_DATA = frozenset(
    f"student.data.{name}" for name in ("checksum", "train_images", "test_images", "mean", "std")
)


def comparable_settings(setting: Mapping[str, str]) -> dict[str, str]:
    """A setting without what the name of a panel says, and what it says twice; usual learning rates as such."""
    told = {k: v for k, v in setting.items() if k not in OF_THE_PAIR}
    for section, model in (("student", "student"), ("teachers", "teacher")):
        architecture = setting.get(f"{section}.{model}", "")
        rate = f"{section}.learning_rate"
        is_known = architecture in ARCHITECTURES or f"{section}.{model}_model" in setting
        if is_known and rate in told:
            usual = json.dumps(default_learning_rate(architecture))
            told[rate] = USUAL if told[rate] == usual else told[rate]
    return {
        k: v
        for k, v in told.items()
        if not (
            ".data." in k
            and not k.startswith(("student.", "own_scheme."))
            and told.get(f"student.{k.partition('.')[2]}", v) == v
        )
    }


def can_be_pooled(one: Mapping[str, str], other: Mapping[str, str], *, same_data: bool) -> bool:
    """Whether two settings agree in all that both have, but for teacher, architectures and, if they differ, data.

    Students that begin with given weights are like others that do, not like those whose weights are drawn.
    """
    own, others = comparable_settings(one), comparable_settings(other)
    keys = (own.keys() & others.keys()) - {"teacher_fingerprint", START, *_GUESTS}
    begin_alike = (START in own) == (START in others)
    return begin_alike and all(own[k] == others[k] for k in keys if same_data or k not in _DATA)


def in_number_order(setting: Mapping[str, str]) -> list[tuple[str, bool, float, str]]:
    """A key by which settings are sorted, hyper-parameter by hyper-parameter: 2 before 10, numbers before words."""
    return [
        (name, *_number_first(value))
        for name, value in sorted(setting.items())
        if name != "teacher_fingerprint"
    ]


def _number_first(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value
