"""Where a store or data can be so that every pod sees it: below the claim, or in an object store."""

import posixpath
from pathlib import PurePosixPath

from orchestrator.cluster.kubernetes.request import CLAIM_IS_AT
from orchestrator.store.buckets import BucketAddress
from trainer.problems import UserError, did_you_mean, printable

OBJECT_STORES = ("s3", "gs", "abfs", "abfss")
EXPANDED_BY_SHELLS = "$`"
"""KubeRay writes what it tells Ray of a job between double quotes."""


def is_remote(place: str) -> bool:
    """Whether it is in an object store."""
    return "://" in place


def check_place(place: str, what: str) -> str:
    """The place as pods name it; `what` names the option.

    Raises:
        UserError: no pod would find it there.
    """
    if not is_remote(place):
        return check_path(place, what)
    _check_text(place, what)
    scheme = place.partition("://")[0]
    if scheme not in OBJECT_STORES:
        hint = did_you_mean(scheme, OBJECT_STORES)
        raise UserError(f"{what}: {place}: unknown kind of address{hint}")
    address = BucketAddress.parse(place)
    if not scheme.startswith("abfs"):
        address.refuse_user()
    return place


def check_path(path: str, what: str) -> str:
    """A path below the claim; `what` names the option or key.

    Raises:
        UserError: it is none.
    """
    _check_text(path, what)
    there = PurePosixPath(posixpath.normpath(path))
    if there.is_relative_to(CLAIM_IS_AT) and there != PurePosixPath(CLAIM_IS_AT):
        return str(there)
    within = posixpath.normpath(posixpath.join("/", path.partition("://")[2] or path)).strip("/~")
    hint = f"{CLAIM_IS_AT}/{within}" if within else f"{CLAIM_IS_AT}/store"
    raise UserError(
        f"{what}: {path!r}: expected a path below {CLAIM_IS_AT}, where pods see the claim; "
        f"did you mean {hint!r}?"
    )


def _check_text(place: str, what: str) -> None:
    if any(c in EXPANDED_BY_SHELLS or not c.isprintable() for c in place):
        raise UserError(
            f"{what}: {printable(place)!r}: expected no '$', '`' or control character in a path on Kubernetes"
        )
