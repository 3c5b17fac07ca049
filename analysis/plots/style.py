"""Nothing of where one stands reaches a plot: neither MPLBACKEND, as notebooks set it, nor a matplotlibrc."""

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from analysis.plots.sheet import SCREEN, Sheet
from trainer.private_folder import private_folder

T = TypeVar("T")


def in_our_style(draw: Callable[[T, Path, Sheet], None]) -> Callable[..., None]:
    """The same function, under matplotlib's own defaults and what a sheet sets of them; by default for a screen."""

    @functools.wraps(draw)
    def drawn(shown: T, path: Path, sheet: Sheet = SCREEN) -> None:
        with _settings(sheet):
            draw(shown, path, sheet)

    return drawn


@contextmanager
def _settings(sheet: Sheet) -> Iterator[None]:
    with _unseen_settings():
        import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sheet.settings)
        yield


@contextmanager
def _unseen_settings() -> Iterator[None]:
    """While matplotlib is imported, which reads them, and stumbles over a backend or a file that it cannot read.

    A matplotlibrc of the working folder comes before every other; so it is imported from an empty one.
    """
    if "matplotlib" in sys.modules:
        yield
        return
    _give_it_a_folder()
    names = [name for name in ("MPLBACKEND", "MATPLOTLIBRC") if name in os.environ]
    hidden = {name: os.environ.pop(name) for name in names}
    stood = _here()
    with tempfile.TemporaryDirectory(prefix="kdsweep-plots-") as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(stood or "/")
            os.environ.update(hidden)


def _give_it_a_folder() -> None:
    """Where there is no home to write in, matplotlib would make a new one each time, and say so at length."""
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(os.devnull)
    if not (home.is_dir() and os.access(home, os.W_OK)):
        os.environ.setdefault("MPLCONFIGDIR", str(private_folder("matplotlib")))


def _here() -> Path | None:
    """The working folder; None where it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None
