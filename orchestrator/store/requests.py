"""One request to an object store, tried a few times; what it raises is an `OSError` of one line.

All that a store asks for can be asked twice: a file is put whole, and removed if it is there. So whatever may
pass (no connection, an answer cut short, a 500) is tried again here: `RETRIES` is for what the library itself
knows how to repeat (a part of a large file, a token), `ask` for the whole. It gives up within
two minutes, unless a large file is on its way, and the errors say which settings to look at. How long a run bears
that is decided above; what it comes to in `orchestrator.store.bounds`.
"""

import errno
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from trainer.problems import shortened

ATTEMPTS = 5
FIRST_PAUSE_S = 0.2
NO_MORE_AFTER_S = 25.0
"""No attempt begins later than this after the first."""

SILENCE_S = 60.0
"""So long without a byte is no answer."""

RETRIES: dict[str, Any] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2)},
}
CLIENT: dict[str, Any] = {
    "connect_timeout": timedelta(seconds=5),
    "timeout": timedelta(hours=1),
}
"""A large file may take long, as long as something comes."""


@dataclass(frozen=True)
class Effort:
    """How often a request is tried, how long silence is borne, and whether the library repeats parts of it."""

    attempts: int
    silence_s: float
    retries: Mapping[str, Any]


THOROUGH = Effort(ATTEMPTS, SILENCE_S, RETRIES)
BRIEF = Effort(attempts=1, silence_s=10.0, retries={"max_retries": 0})
"""For small things that nobody must stand still for: training waits for its signs of life. What fails fast is tried
again by `orchestrator.store.patience`."""

NOT_FOUND, MOVED = 404, range(300, 400)
UNCERTAIN = frozenset({408, 425, 429})
"""Refused for now, among those that are refused for certain (400 to 499)."""

LONGEST_REASON = 300
_STATUS = re.compile(r"status code: (\d{3})")
_QUERY = re.compile(r"(?<=\w)\?[^\s\"]+(?=[\s\"]|$)")

T = TypeVar("T")


def ask(where: str, settings: str, request: Callable[[], T], effort: Effort = THOROUGH) -> T:
    """What a request gives.

    Args:
        where: the address that is asked, for errors.
        settings: what the user may have to set for this kind of store, for errors.
        request: may be tried several times.
        effort: how often.

    Raises:
        FileNotFoundError: there is no such object; listing and writing raise it where there is no such bucket.
        PermissionError: the store refuses; it would refuse again.
        OSError: it gives no answer, or another one than it should, again and again.
    """
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    begun, attempt = time.monotonic(), 0
    while True:
        attempt += 1
        try:
            return _while_signals_are_heard(request)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "no such object", where) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise PermissionError(f"{where}: refused; set {settings}: {reason(error)}") from error
        except (BaseError, ShortAnswerError) as error:
            _raise_what_is_certain(where, settings, error)
            if attempt == effort.attempts or time.monotonic() - begun > NO_MORE_AFTER_S:
                tries = "once" if attempt == 1 else f"{attempt} times"
                raise OSError(
                    f"{where}: no answer, tried {tries}; is it the right address, is the network "
                    f"there, are these set: {settings}? {reason(error)}"
                ) from error
        time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))


def _while_signals_are_heard(request: Callable[[], T]) -> T:
    """What a request gives. Python hears signals in its main thread alone, and obstore lets none through while it waits."""
    if threading.current_thread() is not threading.main_thread():
        return request()
    answer: Future[T] = Future()

    def get() -> None:
        try:
            answer.set_result(request())
        except BaseException as error:  # noqa: BLE001
            answer.set_exception(error)

    # As a daemon, so that nobody who was interrupted waits for it to end.
    threading.Thread(target=get, daemon=True).start()
    return answer.result()


class ShortAnswerError(Exception):
    """Less than was announced; raised by a request that counts."""


def _raise_what_is_certain(where: str, settings: str, error: Exception) -> None:
    match = _STATUS.search(str(error))
    status = int(match[1]) if match else 0
    is_about_credentials = "token" in str(error)
    if status == NOT_FOUND and not is_about_credentials:
        raise FileNotFoundError(errno.ENOENT, "no such bucket", where) from error
    if status in MOVED or (400 <= status < 500 and status not in UNCERTAIN):
        raise PermissionError(f"{where}: refused; set {settings}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first words of an error, on one line; without what stands behind `?` in a URL, as it may hold a key."""
    text = _QUERY.sub("", str(error).partition("Debug source:")[0])
    return shortened(" ".join(text.split()), LONGEST_REASON)
