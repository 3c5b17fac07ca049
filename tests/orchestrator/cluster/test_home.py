"""Ray asks for a home; where there is none, nothing of that stays behind in whoever asked for a run."""

import os
import pwd

import pytest

from orchestrator.cluster.connection import _having_a_home


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom no list of users knows, without a home."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)


def test_where_there_is_no_home_there_is_one_for_a_while(nobody: None) -> None:
    with _having_a_home():
        assert os.environ["HOME"] == os.devnull
    assert "HOME" not in os.environ


def test_a_home_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/a/home")
    with _having_a_home():
        assert os.environ["HOME"] == "/a/home"
    assert os.environ["HOME"] == "/a/home"
