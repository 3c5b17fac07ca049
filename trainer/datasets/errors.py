"""What can be wrong with data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataError(Exception):
    """Data that are missing, cannot be read, are damaged, or are not what their name promises."""


@contextmanager
def readable(place: Path) -> Iterator[None]:
    """Tell what the file system refuses as what is wrong with the data at `place`."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        raise DataError(f"{where}: {error.strerror or error}") from error
