"""The address of a place in an object store, taken apart; what all kinds have in common.

Such as:

    s3://bucket/store?region=eu-central-1
    abfss://container@account.dfs.core.windows.net/store
    gs://bucket/store?scheme=http&endpoint_override=localhost:4443

Credentials come from the environment, never from the address: addresses are printed and kept.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestrator.store.object_folder import ObjectFolder
from orchestrator.store.requests import CLIENT, Effort, reason
from trainer.problems import UserError, did_you_mean

if TYPE_CHECKING:
    from obstore.store import ObjectStore

ENDPOINT_OPTIONS = frozenset({"scheme", "endpoint_override"})
"""Of every kind of store: another server, `host:port`, and whether `http` or `https` (else) is spoken there."""


@dataclass(frozen=True)
class BucketAddress:
    """A place in an object store.

    Args:
        text: what the user wrote.
        bucket: what its host is; of Azure the account.
        user: what stands before `@`; of Azure the container.
        path: where in the bucket.
        options: what stands behind `?`, by name.
    """

    text: str
    bucket: str
    user: str
    path: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """An address with a scheme.

        Raises:
            UserError: there is no bucket in it, or a password, or its path leads elsewhere than it seems.
        """
        parts = urlsplit(text, allow_fragments=False)
        user, _, host = parts.netloc.rpartition("@")
        if ":" in user:
            raise _credentials(text)
        if not host:
            raise UserError(f"{text}: expected a bucket, as in {parts.scheme}://bucket/store")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = unquote(parts.path).strip("/")
        if path and not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise UserError(f"{text}: expected a path without empty parts, '.' and '..'")
        return cls(text, host, user, path, options)

    def refuse_user(self) -> None:
        """Raises `UserError` where something stands before `@`, which can only be a key."""
        if self.user:
            raise _credentials(self.text)

    def refuse_others(self, known: Collection[str]) -> None:
        """Raises `UserError` where there is another option than these."""
        for name in self.options:
            if name not in known:
                raise UserError(f"{self.text}: unknown option {name}{did_you_mean(name, known)}")

    def endpoint(self, default: str | None) -> str | None:
        """The URL of the server where another than the provider's is meant.

        Args:
            default: what the environment says.

        Raises:
            UserError: the address tells how to speak to it, but not to whom; or in a way that there is not.
        """
        scheme = self.options.get("scheme", "https")
        if scheme not in ("http", "https"):
            raise UserError(f"{self.text}: scheme is {scheme!r}; expected http or https")
        host = self.options.get("endpoint_override")
        return f"{scheme}://{host}" if host else default


def open_bucket(
    kind: Callable[..., "ObjectStore"],
    address: BucketAddress,
    endpoint: str | None,
    settings: str,
    given: Mapping[str, Any],
    effort: Effort,
) -> ObjectFolder:
    """The folder at an address; nothing is asked yet.

    Args:
        kind: obstore's class for it.
        address: as the user wrote it.
        endpoint: the URL of the server, where it isn't the provider's; http:// is spoken if it says so.
        settings: the environment variables that a user may have to set, for errors.
        given: further arguments of obstore's class; None is left out.
        effort: how often each request is tried, and how long silence is borne.

    Raises:
        UserError: obstore finds a mistake in what the address or the environment says.
    """
    from obstore.exceptions import BaseError

    is_plain = endpoint is not None and endpoint.startswith("http://")
    try:
        store = kind(
            client_options={
                **CLIENT,
                "read_timeout": timedelta(seconds=effort.silence_s),
                "allow_http": is_plain,
            },
            retry_config=effort.retries,
            **{name: value for name, value in given.items() if value is not None},
        )
    except (BaseError, OSError, ValueError) as error:
        raise UserError(f"{address.text}: {reason(error)}; check {settings}") from error
    return ObjectFolder(store, address.path, address.text, settings, effort)


def _credentials(text: str) -> UserError:
    parts = urlsplit(text, allow_fragments=False)
    host = parts.netloc.rpartition("@")[2]
    return UserError(
        f"{parts.scheme}://***@{host}{parts.path}: no credentials in an address; "
        "they belong into the environment (AWS_ACCESS_KEY_ID, ...)"
    )
