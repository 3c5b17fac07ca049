"""T. stddev as it was measured, teacher by teacher: what is known before any student has finished."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.combinations import NOT_TOLD, units
from analysis.filters import Filter
from analysis.naming import in_number_order, names_of, setting_of
from analysis.points import Mean, Panel, comparable, in_order, mean_of
from analysis.predictors import T_STDDEV, VALUE, Predictor, rows_of
from analysis.settings import IMPORTED, OWN, of_teachers, with_settings, with_source
from trainer.catalog import AUGMENTATIONS


@dataclass(frozen=True)
class Measured:
    """The stddev rows of one teacher, measured in one way. `variant` says in which settings teachers differ."""

    dataset: str
    teacher: str
    variant: str
    source: str
    rows: pd.DataFrame
    order: tuple[str, ...] = AUGMENTATIONS
    """In which augmentations are shown."""
    predictor: Predictor = T_STDDEV

    @property
    def column(self) -> str:
        """The teacher, with its variant."""
        return self.teacher + (f" ({self.variant})" if self.variant else "")

    @property
    def title(self) -> str:
        return f"{self.dataset} {self.column}"

    @property
    def alone(self) -> pd.DataFrame:
        """The rows that needed no student."""
        return self.rows[self.rows["student"].isna()]

    def picked_by_student(self) -> tuple[tuple[str, Mean], ...]:
        """The cells of schemes that need a student, such as `cutmixpick_s of vgg8`."""
        picked = self.rows[self.rows["student"].notna()]
        cells = (
            (f"{augmentation} of {student}", mean_of(group, VALUE))
            for (augmentation, student), group in picked.groupby(["augmentation", "student"])
        )
        return tuple((name, cell) for name, cell in cells if cell)

    def cells(self) -> Mapping[str, Mean]:
        """T. stddev, or the predictor, by augmentation, in order; then what students picked."""
        alone = self.alone
        own = (
            (name, mean_of(alone[alone["augmentation"] == name], VALUE))
            for name in in_order(alone["augmentation"])
        )
        cells = {**{name: cell for name, cell in own if cell}, **dict(self.picked_by_student())}
        means = comparable(list(cells.values()))
        return {name: cell for name, cell in zip(cells, means, strict=True) if cell}


def measured_teachers(rows: pd.DataFrame, predictor: Predictor = T_STDDEV) -> Iterator[Measured]:
    """Every teacher, and every way of measuring, of a store's rows (`analysis.rows.read_rows`)."""
    rows = rows_of(rows, predictor)
    trained = of_teachers(rows)
    stddevs = with_settings(rows[rows["kind"] == "stddev"])
    drafts: list[tuple[str, str, str, pd.DataFrame, dict[str, str]]] = []
    keys = ["dataset", "source", "teacher", "teacher_fingerprint"]
    for (dataset, source, teacher, fingerprint), group in stddevs.groupby(keys):
        for unit in units(group, NOT_TOLD):
            setting = {"teacher_fingerprint": str(fingerprint), **setting_of(None, unit)}
            setting = trained.get(str(fingerprint), {}) | setting
            drafts.append((str(dataset), str(source), str(teacher), unit.rows, setting))
    for wanted in (OWN, IMPORTED):
        mine = sorted(
            (draft for draft in drafts if draft[1] == wanted),
            key=lambda draft: (draft[0], draft[2], in_number_order(draft[4])),
        )
        names = names_of([setting for *_, setting in mine], [(d[0], d[2]) for d in mine])
        for (dataset, source, teacher, measured, _), variant in zip(mine, names, strict=True):
            told = with_source(variant, source)
            yield Measured(dataset, teacher, told, source, measured, predictor=predictor)


def teachers_alone(
    rows: pd.DataFrame,
    panels: Sequence[Panel],
    filters: Sequence[Filter] = (),
    predictor: Predictor = T_STDDEV,
) -> list[Measured]:
    """The measured teachers of which no student has finished; none where filters ask for students."""
    if any(wanted.key in ("student", "pair") for wanted in filters):
        return []
    known = {panel.teacher_fingerprint for panel in panels}
    return list(measured_teachers(rows[~rows["teacher_fingerprint"].isin(known)], predictor))
