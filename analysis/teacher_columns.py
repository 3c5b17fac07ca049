"""T. stddev once per teacher: a teacher's pairs share it, but for what a student picks by its own entropies.

Of `vgg13/vgg8` and `vgg13/MobileNetV2` eight of nine cells are the very same trials. A table of pairs would show
each twice, as if it were another measurement. So such pairs are one column, named by the teacher, and a scheme
that needs a student has a row per student: `cutmixpick_s of vgg8`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.points import Mean, Panel, Point, names_shown
from trainer.catalog import pick_of


@dataclass(frozen=True)
class TeacherRow:
    """A row of the table: an augmentation and, where it needs one, the student that picks."""

    augmentation: str
    student: str | None

    @property
    def heading(self) -> str:
        return f"{self.augmentation} of {self.student}" if self.student else self.augmentation


def by_teacher(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Panels that share T. stddev together, in the order of the first of each; no two of one student."""
    columns: list[list[Panel]] = []
    for panel in panels:
        for column in columns:
            students = {other.student for other in column}
            if panel.student not in students and _shared(panel) == _shared(column[0]):
                column.append(panel)
                break
        else:
            columns.append([panel])
    return columns


def _shared(panel: Panel) -> object:
    """What panels of one column have in common: teacher, setting, and the cells that need no student."""
    cells = {
        point.augmentation: point.t_stddev and (point.t_stddev.address, repr(point.t_stddev.mean))
        for point in panel.points
        if not needs_student(point.augmentation)
    }
    return panel.dataset, panel.source, panel.teacher_fingerprint, panel.variant, cells


def needs_student(augmentation: str) -> bool:
    """Whether a student picks."""
    pick = pick_of(augmentation)
    return pick is not None and pick.needs_student


def teacher_rows(panels: Sequence[Panel]) -> list[TeacherRow]:
    """The rows of a table of some panels: in order, students as their panels come."""
    students = list(dict.fromkeys(panel.student for panel in panels))
    return [
        TeacherRow(name, student)
        for name in names_shown(panels)
        for student in (students if needs_student(name) else [None])
    ]


def is_absent(row: TeacherRow, column: Sequence[Panel]) -> bool:
    """Whether there is no such cell: the teacher has no pair with that student."""
    return row.student is not None and row.student not in {panel.student for panel in column}


def t_stddev_of(row: TeacherRow, column: Sequence[Panel]) -> Mean | None:
    """The cell of a row in a column."""
    panel = next((p for p in column if row.student in (None, p.student)), None)
    points: Sequence[Point] = panel.points if panel else ()
    return next((p.t_stddev for p in points if p.augmentation == row.augmentation), None)
