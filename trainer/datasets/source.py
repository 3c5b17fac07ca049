"""From what a trial says of its data to the decoded arrays, without torch."""

from pathlib import Path

from trainer.catalog import DATASETS
from trainer.datasets.arrays import Arrays
from trainer.datasets.cache import cached
from trainer.datasets.errors import DataError, readable
from trainer.datasets.official import read_official, unverified_folder
from trainer.datasets.own_images import listing, open_own
from trainer.trial import Data

EMBEDDED = "fashion_mini"
"""Comes with the package, and is smaller than a cache of it."""


def open_arrays(data: Data, data_folder: Path) -> Arrays:
    """The whole data set that a trial names, decoded and verified; the first time this takes a while.

    Raises:
        DataError: it is missing, damaged, or not what was planned.
    """
    if data.path is not None:
        return open_own(data.checksum, str(data.format), Path(data.path), data.image_size)
    if data.checksum != DATASETS[data.name].checksum:
        raise DataError(
            f"{data.name}: its checksum is {DATASETS[data.name].checksum}, not {data.checksum}"
        )
    if data.name == EMBEDDED:
        return read_official(data.name, data_folder)
    with readable(data_folder):
        unverified = unverified_folder(data.name, data_folder)
        name = data.checksum
        if unverified is not None:
            name = f"{name}-unpacked-{listing(unverified)}"
        return cached(name, lambda: read_official(data.name, data_folder))
