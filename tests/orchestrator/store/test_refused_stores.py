"""A store that refuses or does not answer is told in one line, soon, with what to set; what may pass is tried again."""

import re
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from orchestrator.cli.console import STOPPED
from orchestrator.store import requests
from orchestrator.store import store as store_module
from orchestrator.store.addresses import open_folder
from orchestrator.store.object_folder import ObjectFolder
from orchestrator.store.patience import BRIEFLY_S
from orchestrator.store.requests import ATTEMPTS, BRIEF, NO_MORE_AFTER_S, SILENCE_S, ask
from orchestrator.store.signs import Run
from orchestrator.store.store import Store
from tests.orchestrator.commands import finish, run, start
from tests.orchestrator.store.object_servers import ObjectServer, object_server
from trainer.problems import UserError

pytestmark = pytest.mark.filterwarnings("default")

NOBODY = "scheme=http&endpoint_override=127.0.0.1:9"
"""The port of `discard`, where nothing listens."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "FIRST_PAUSE_S", 0)


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectServer]:
    with object_server("s3") as server:
        yield server


class Clock:
    """Time that passes when somebody asks a store."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def failing(error: Exception, told: list[float], clock: Clock, takes: float) -> Callable[[], None]:
    def request() -> None:
        told.append(clock.now)
        clock.now += takes
        raise error

    return request


@pytest.mark.parametrize("takes", [0.0, 1.0, 20.0, 60.0])
def test_it_is_given_up_soon(takes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = Clock(), list[float]()
    monkeypatch.setattr(requests, "time", clock)
    with pytest.raises(
        OSError, match=r"^s3://b/x: no answer, tried (once|\d times); .*\(KEY\)\? broken$"
    ):
        ask("s3://b/x", "(KEY)", failing(GenericError("broken"), told, clock, takes))
    assert 1 <= len(told) <= ATTEMPTS
    assert max(told) <= NO_MORE_AFTER_S + takes


@pytest.mark.parametrize("status", [400, 401, 403, 409, 301])
def test_what_is_certain_is_told_at_once(status: int) -> None:
    told: list[float] = []
    error = GenericError(f"Server returned non-2xx status code: {status} Because: \n<Body/>")
    with pytest.raises(PermissionError, match=r"^s3://b/x: refused; set KEY: .* <Body/>$"):
        ask("s3://b/x", "KEY", failing(error, told, Clock(), 0))
    assert len(told) == 1


def test_a_machine_without_an_account_is_no_missing_bucket() -> None:
    error = GenericError(
        "Error performing token request: GET http://h/t - status code: 404 Not Found"
    )
    with pytest.raises(PermissionError, match="refused; set KEY"):
        ask("gs://b/x", "KEY", failing(error, [], Clock(), 0))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    answers = [GenericError(f"status code: {status}"), None]

    def request() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "content"

    assert ask("s3://b/x", "KEY", request) == "content"


def test_no_key_of_a_url_is_told() -> None:
    error = GenericError("Error performing GET https://h/c/b?restype=x&sig=SECRET in 3ms")
    with pytest.raises(OSError, match="GET https://h/c/b in 3ms") as caught:
        ask("abfs://c/b", "KEY", failing(error, [], Clock(), 0))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ftp://host/store", "ftp://host/store: unknown kind of address"),
        ("abfsss://c@a/x", "did you mean 'abfss'?"),
        (
            "s3://key:secret@bucket/store",
            r"^s3://\*\*\*@bucket/store: no credentials in an address",
        ),
        ("s3://secret@bucket/store", r"^s3://\*\*\*@bucket/store: no credentials in an address"),
        ("gs://secret@bucket/store", r"^gs://\*\*\*@bucket/store: no credentials in an address"),
        ("abfs://c:secret@a.dfs.core.windows.net/x", r"^abfs://\*\*\*@a.*: no credentials"),
        ("s3://", "s3://: expected a bucket"),
        ("s3://bucket/x?nonsense=1", "unknown option nonsense; known are"),
        ("s3://bucket/x?regoin=eu", "unknown option regoin; did you mean 'region'?"),
        ("gs://bucket/x?region=eu", "unknown option region"),
        ("gs://bucket/x?scheme=htp&endpoint_override=h", "scheme is 'htp'; expected http or https"),
        ("s3://bucket/a/../b", "a path without empty parts"),
        ("s3://bucket//a//b", "a path without empty parts"),
        ("abfss://container/store", r"abfss://container@ACCOUNT\.dfs.*, or AZURE_STORAGE_ACCOUNT"),
    ],
)
def test_addresses_that_are_refused(
    address: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=expected) as caught:
        open_folder(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "name", "value", "expected"),
    [
        ("abfs://c@a/x", "AZURE_STORAGE_KEY", "no key!", "check AZURE_STORAGE_KEY"),
        ("gs://b/x", "GOOGLE_APPLICATION_CREDENTIALS", "/missing", "/missing: No such file"),
        ("s3://b/x", "AWS_PROFILE", "missing", r"profile of AWS .*\(missing\) could not be found"),
    ],
)
def test_credentials_that_cannot_be_are_refused(
    address: str, name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=expected):
        open_folder(address)


def test_the_keys_of_a_profile_of_aws(
    s3: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[mine]\naws_access_key_id = testing\naws_secret_access_key = testing\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    folder = open_folder(s3.address("profile"))
    folder.write("file", b"content")
    assert folder.read("file") == b"content"


@pytest.mark.parametrize(
    "address",
    [
        "abfss://container@account.dfs.core.windows.net/a/store",
        "abfs://container@account.dfs.core.windows.net/a/store",
        "abfs://container@account.blob.core.windows.net/a/store",
    ],
)
def test_where_an_account_of_azure_answers(address: str) -> None:
    folder = open_folder(address)
    assert isinstance(folder, ObjectFolder)
    config = folder._store.config
    assert config["account_name"] == "account"
    assert config["container_name"] == "container"
    assert config["endpoint"] == "https://account.blob.core.windows.net"
    assert folder.folder("results").address == f"{address}/results"


def test_a_bucket_that_is_not_there(s3: ObjectServer) -> None:
    folder = open_folder(s3.address("store").replace("//bucket", "//absent"))
    for ask_it in (folder.names, folder.folders, lambda: folder.write("file", b"content")):
        with pytest.raises(OSError, match=r"^s3://absent/store.*: no such bucket or container"):
            ask_it()
    folder.remove("file")


@pytest.mark.parametrize(
    ("address", "variable", "value"),
    [
        (f"s3://bucket/store?{NOBODY}", "AWS_ACCESS_KEY_ID", "key"),
        (f"gs://bucket/store?{NOBODY}", "GOOGLE_BEARER_TOKEN", "token"),
        (f"abfs://container@account/store?{NOBODY}", "AZURE_STORAGE_KEY", "a2V5"),
    ],
)
def test_nobody_there_is_told_with_what_to_set(
    address: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    told = (
        rf"^{re.escape(address)}: no answer, tried .* are these set: {variable.partition('_')[0]}_"
    )
    with pytest.raises(OSError, match=told):
        open_folder(address).names()


def test_a_command_tells_it_in_one_line_with_exit_code_2(tmp_path: Path) -> None:
    address = f"gs://bucket/store?{NOBODY}"
    environment = {"GOOGLE_BEARER_TOKEN": "token"}
    code, output = run(tmp_path, "verify", address, environment=environment)
    assert code == 2
    assert len(output.strip().splitlines()) == 1
    assert output.startswith(f"{address}: no answer, tried")


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.stops.is_set("a"),
        lambda store: store.signs.running(),
        lambda store: store.signs.set_run(Run("a", "tiny", "here", "now")),
    ],
    ids=["mark", "signs", "sign"],
)
def test_nobody_stands_still_for_a_sign_of_life_or_a_mark(
    use: Callable[[Store], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "token")
    assert (BRIEF.attempts, BRIEF.retries) == (1, {"max_retries": 0})
    assert BRIEF.silence_s < SILENCE_S / 5
    monkeypatch.setattr(store_module, "BRIEF", replace(BRIEF, silence_s=BRIEFLY_S))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        store = Store(f"gs://bucket/store?scheme=http&endpoint_override={host}")
        with pytest.raises(OSError, match="no answer, tried once"):
            use(store)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_signal_is_heard_while_a_store_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = (
            f"gs://bucket/store?scheme=http&endpoint_override=127.0.0.1:{silent.getsockname()[1]}"
        )
        environment = {"GOOGLE_BEARER_TOKEN": "token"}
        command = start(tmp_path, "verify", address, environment=environment)
        connection, _ = silent.accept()
        with connection:
            command.send_signal(signal.SIGTERM)
            code, output = finish(command, timeout=SILENCE_S / 2)
    assert code == STOPPED, output
