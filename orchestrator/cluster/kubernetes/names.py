"""Names, quantities, labels and taints by Kubernetes' rules; what breaks them is told with the nearest that does not."""

import re

from trainer.problems import UserError, did_you_mean

LONGEST_LABEL, LONGEST_SUBDOMAIN = 63, 253
LONGEST_RAY_JOB = 47
"""KubeRay appends to it, for the names of clusters and services."""

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
SMALLEST_BYTES = 1 << 20
"""Who writes less has left the unit out: 32 is 32 bytes."""

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_WORD = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]+)?"
"""What stands before the first slash is a host only where it has a dot or a port."""

_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_UNITS: dict[str | None, int] = {
    **{f"{letter}i": 1 << (10 * power) for power, letter in enumerate("KMGTP", 1)},
    **{letter: 1000**power for power, letter in enumerate("kMGTP", 1)},
    None: 1,
}


def check_label(name: str, what: str) -> str:
    """The name, which is a label of RFC 1123, as of a namespace; `what` names the option.

    Raises:
        UserError: it is none.
    """
    if _LABEL.fullmatch(name) and len(name) <= LONGEST_LABEL:
        return name
    raise _no_name(name, what, f"'-', {LONGEST_LABEL} at most", _nearest(name, LONGEST_LABEL))


def check_subdomain(name: str, what: str) -> str:
    """The name, which is a subdomain of RFC 1123, as of a claim, a secret or a storage class.

    Raises:
        UserError: it is none.
    """
    if _SUBDOMAIN.fullmatch(name) and len(name) <= LONGEST_SUBDOMAIN:
        return name
    parts = [near for part in name.split(".") if (near := _nearest(part, LONGEST_LABEL))]
    near = ".".join(parts)[:LONGEST_SUBDOMAIN].rstrip("-.") or None
    raise _no_name(name, what, f"'-' and '.', {LONGEST_SUBDOMAIN} at most", near)


def check_job_name(name: str, what: str) -> str:
    """The name, which KubeRay takes as that of a RayJob: a short label that begins with a letter (RFC 1035).

    Raises:
        UserError: it does not.
    """
    near = job_name_of(name)
    if name == near:
        return name
    rule = f"'-', {LONGEST_RAY_JOB} at most, the first a letter"
    raise _no_name(name, what, rule, near or None)


def job_name_of(text: str) -> str:
    """The name of a RayJob that is nearest to a text, such as a sweep's name; '' where none is."""
    near = _nearest(text, LONGEST_RAY_JOB) or ""
    return near if not near or near[0].isalpha() else f"s-{near}"[:LONGEST_RAY_JOB].rstrip("-")


def _nearest(text: str, longest: int) -> str | None:
    """The label that is nearest to a text; None where nothing of it could stand in one."""
    near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return near[:longest].rstrip("-") or None


def _no_name(name: str, what: str, rule: str, near: str | None) -> UserError:
    hint = f"; did you mean {near!r}?" if near else ""
    return UserError(f"{what}: {name!r}: expected lower-case letters, digits, {rule}{hint}")


def check_image(image: str, what: str) -> str:
    """The reference of an image: `registry.example/kdsweep:0.1.0`.

    Raises:
        UserError: it cannot be one.
    """
    if _IMAGE.fullmatch(image):
        return image
    raise UserError(
        f"{what}: {image!r}: expected an image, as in registry.example/kdsweep:0.1.0 (its path in lower case)"
    )


def check_quantity(text: str, what: str) -> str:
    """An amount of bytes as Kubernetes writes it: `32Gi`.

    Raises:
        UserError: it is none, or less than a mebibyte.
    """
    match = _QUANTITY.fullmatch(text)
    if match and float(match[1]) * _UNITS[match[2]] >= SMALLEST_BYTES:
        return text
    digits = re.match(r"[0-9]+(?:\.[0-9]+)?", text)
    near = f"; did you mean '{digits[0]}Gi'?" if digits and float(digits[0]) else ""
    raise UserError(
        f"{what}: {text!r}: expected an amount with its unit, as in 32Gi or 500Mi{near}"
    )


def label_of(text: str, what: str) -> tuple[str, str]:
    """Key and value of a node's label, written `KEY=VALUE`.

    Raises:
        UserError: it is not written so.
    """
    key, equals, value = text.partition("=")
    if equals and _is_key(key) and _is_value(value):
        return key, value
    raise UserError(
        f"{what}: {text!r}: expected KEY=VALUE of a node's label, as in cloud.google.com/gke-accelerator=nvidia-l4"
    )


def toleration_of(text: str, what: str) -> dict[str, str]:
    """What tolerates a taint, written as `kubectl taint` does: `KEY[=VALUE][:EFFECT]`.

    Raises:
        UserError: it is not written so.
    """
    taint, colon, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not _is_key(key) or not _is_value(value):
        raise UserError(
            f"{what}: {text!r}: expected KEY[=VALUE][:EFFECT] of a taint, as in gpu=a100:NoSchedule"
        )
    if colon and effect not in EFFECTS:
        raise UserError(
            f"{what}: {text!r}: unknown effect {effect!r}{did_you_mean(effect, EFFECTS)}"
        )
    tolerated = {"key": key, "operator": "Equal" if equals else "Exists"}
    tolerated |= {"value": value} if equals else {}
    return tolerated | ({"effect": effect} if colon else {})


def _is_key(key: str) -> bool:
    prefix, slash, word = key.rpartition("/")
    is_prefix = bool(_SUBDOMAIN.fullmatch(prefix)) and len(prefix) <= LONGEST_SUBDOMAIN
    return (is_prefix or not slash) and bool(_WORD.fullmatch(word)) and len(word) <= LONGEST_LABEL


def _is_value(value: str) -> bool:
    return not value or (bool(_WORD.fullmatch(value)) and len(value) <= LONGEST_LABEL)
