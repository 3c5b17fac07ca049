"""The rows of a store as one table: own results, and imported ones, which `source` tells apart.

read_rows(store, parse_filters(["dataset=cifar100", "augmentation!=mixup,cutmix*"]))
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.filters import Filter, filtered
from analysis.settings import OWN
from orchestrator.store.columns import RESULTS
from orchestrator.store.store import Store
from trainer.problems import printable
from trainer.trial import Trial

NAMES = ("dataset", "teacher", "student", "augmentation")
"""Columns of names: they become headings and titles wherever rows are shown."""


def read_rows(
    store: Store, filters: Sequence[Filter] = (), trials: Iterable[Trial] | None = None
) -> pd.DataFrame:
    """One row per finished or imported trial; with the columns `source` and `pair` beside the store's.

    With `trials`, their rows alone, under the names that they have for data and augmentation. Equal images
    under several names have the one that came first.

    Raises:
        UserError: a filter names something that no row has.
    """
    named = None if trials is None else {trial.fingerprint: trial for trial in trials}
    own = store.results(named).to_pandas().assign(source=OWN)
    if named is not None:
        rows = _as_named(own, named)
    else:
        imported = store.imported().to_pandas()
        own = _with_one_name_per_data(own)
        rows = pd.concat([own, imported], ignore_index=True) if len(imported) else own
    rows = _with_pairs(rows)
    return filtered(rows, filters) if filters else rows


def rows_without_a_store(imported: pa.Table) -> pd.DataFrame:
    """The same of imported rows (`orchestrator.store.columns.IMPORTED`) that are in no store."""
    nothing = RESULTS.empty_table().to_pandas().assign(source=OWN)
    return _with_pairs(pd.concat([nothing, imported.to_pandas()], ignore_index=True))


def _with_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(**{name: _printable(rows[name]) for name in NAMES})
    rows["pair"] = rows["teacher"].astype(object) + "/" + rows["student"].astype(object)
    return rows


def _printable(names: pd.Series) -> pd.Series:
    """The same names, fit to be shown."""
    told = {name: name for name in names.unique()}
    told |= {
        name: printable(name) for name in told if isinstance(name, str) and not name.isprintable()
    }
    is_plain = all(name is shown for name, shown in told.items())
    return names if is_plain else names.map(lambda name: told.get(name, name)).astype(names.dtype)


def _as_named(rows: pd.DataFrame, trials: Mapping[str, Trial]) -> pd.DataFrame:
    mine = [trials[fingerprint] for fingerprint in rows["fingerprint"]]
    return rows.assign(
        dataset=pd.Series([trial.dataset for trial in mine], index=rows.index, dtype=object),
        augmentation=pd.Series([t.augmentation for t in mine], index=rows.index, dtype=object),
    )


def _with_one_name_per_data(rows: pd.DataFrame) -> pd.DataFrame:
    if rows["dataset"].nunique() < 2:
        return rows
    data = [_data(row) for row in rows["trial"]]
    order = rows["started_at"].argsort().to_numpy()
    first: dict[str, str] = {}
    for i in order:
        first.setdefault(data[i], str(rows["dataset"].iloc[i]))
    return rows.assign(dataset=[first[of_row] for of_row in data])


def _data(trial: Any) -> str:
    """What identifies the images of a stored trial; a damaged one is told by whoever reads it whole."""
    try:
        data = json.loads(trial)["data"]
        return f"{data['checksum']} {data['train_images']} {data['test_images']}"
    except (TypeError, ValueError, KeyError):
        return repr(trial)
