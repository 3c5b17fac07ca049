"""Spans of time as people write them: `11h`, `90m`, `45s`, `1h30m`."""

import re

from trainer.problems import UserError

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds(text: str, what: str) -> float:
    """The length of a span in seconds.

    Raises:
        UserError: it is not written like one, or is nothing; `what` names the option.
    """
    match = _DURATION.fullmatch(text.strip())
    hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + rest
    if not total:
        raise UserError(
            f"{what}: {text!r}: expected hours, minutes or seconds: 11h, 90m, 45s, 1h30m"
        )
    return total
