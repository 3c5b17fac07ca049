"""The rows of a store as one table: own results, and imported ones, which `source` tells apart.

read_rows(store, parse_filters(["dataset=cifar100", "augmentation!=mixup,cutmix*"]))
"""

from collections.abc import Collection, Sequence

import pandas as pd

from analysis.filters import Filter, filtered
from analysis.settings import OWN
from orchestrator.store.store import Store


def read_rows(
    store: Store, filters: Sequence[Filter] = (), fingerprints: Collection[str] | None = None
) -> pd.DataFrame:
    """One row per finished or imported trial; with the columns `source` and `pair` beside the store's.

    With `fingerprints`, rows of these trials alone.

    Raises:
        UserError: a filter names something that no row has.
    """
    own = store.results(fingerprints).to_pandas().assign(source=OWN)
    imported = store.imported().to_pandas()
    is_mixed = fingerprints is None and len(imported)
    rows = pd.concat([own, imported], ignore_index=True) if is_mixed else own
    rows["pair"] = rows["teacher"].astype(object) + "/" + rows["student"].astype(object)
    return filtered(rows, filters) if filters else rows
