"""In which settings a panel is not the paper's (PAPER.md, sections 3 to 7, whose values are the trials' defaults).

Of imported runs the options are compared whose values in the paper are known. Which weights a published
teacher's checkpoint holds is not known here, and not compared.
"""

import json
from collections.abc import Iterator, Mapping

from analysis.points import Panel
from analysis.settings import IMPORTED, SECTIONS, hyperparameters, shortened
from trainer.catalog import DATASETS, default_learning_rate
from trainer.trial import Data, StddevTrial, StudentTrial, TeacherTrial

PUBLISHED_ON = ("cifar100", "tinyimagenet")
_ANY = "0" * 64
"""A fingerprint, where it does not matter which."""

_OPTIONS = {
    "student.epochs": "240",
    "student.batch_size": "64",
    "student.kd_T": "4",
    "student.gamma": "0.1",
    "student.alpha": "0.9",
    "student.lw_mix": "[1.0, 0.0, 1.0]",
    "student.lr_decay_epochs": "[150, 180, 210]",
    "student.lr_decay_rate": "0.1",
    "student.momentum": "0.9",
    "student.weight_decay": "0.0005",
    "student.distill": "kd",
    "student.beta": "0.0",
    "student.amp": "False",
    "student.no_DA": "False",
    "student.t_output_as_target_for_input_mix": "True",
    "student.ratio_CE_loss": "1",
    "student.model_s_pretrained": "None",
    "student.finetune_student": "",
    "student.resume_student": "",
    "student.reinit_student": "False",
    "student.test_loader_in_train": "False",
    "stddev.epochs": "10",
    "stddev.batch_size": "64",
    "stddev.amp": "False",
    "stddev.no_DA": "False",
    "student.n_pick": "64",
    "stddev.n_pick": "64",
    "student.cutmix_pick_scheme": "sort",
    "stddev.cutmix_pick_scheme": "sort",
}
"""Of the authors' code, as logs of the paper's command have them."""


def differing_settings(panel: Panel) -> Iterator[str]:
    """`student.epochs 2, the paper's 240`, for each setting of a panel that is not the paper's."""
    papers = _of_options(panel) if panel.source == IMPORTED else _of_trials(panel)
    for name, value in sorted(panel.hyperparameters.items()):
        # Of picks that students and measurements have alike, the name has no section.
        usual = papers.get(name, papers.get(f"student.{name}"))
        if usual is not None and not _are_equal(value, usual):
            yield f"{name} {shortened(value)}, the paper's {shortened(usual)}"


def _are_equal(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def _of_options(panel: Panel) -> Mapping[str, str]:
    return {**_OPTIONS, "student.learning_rate": repr(default_learning_rate(panel.student))}


def _of_trials(panel: Panel) -> Mapping[str, str]:
    data = Data.official(panel.dataset)
    # The scheme in which every setting acts.
    scheme = {"augmentation": "cutmixpick_s", "seed": 0}
    shared = {"data": data, "teacher": panel.teacher, "student": panel.student}
    student = StudentTrial(
        **shared,
        **scheme,
        teacher_fingerprint=_ANY,
        learning_rate=default_learning_rate(panel.student),
    )
    stddev = StddevTrial(
        **shared, **scheme, teacher_fingerprint=_ANY, student_fingerprint=_ANY, student_cell=_ANY
    )
    teacher = TeacherTrial(
        data=data,
        teacher=panel.teacher,
        seed=0,
        learning_rate=default_learning_rate(panel.teacher),
    )
    named: dict[str, str] = {}
    for trial in (teacher, student, stddev):
        named |= hyperparameters(trial.settings)
    for name in ("teacher_fingerprint", "stddev.student_cell"):
        named.pop(name, None)
    facts = DATASETS[panel.dataset]
    for section in SECTIONS.values():
        # Trials that are normalised as the paper's do not say so.
        named |= {
            f"{section}.data.mean": json.dumps(facts.mean),
            f"{section}.data.std": json.dumps(facts.std),
        }
    return named
