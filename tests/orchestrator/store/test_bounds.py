"""What three layers that ask again come to, and that this is what the document says."""

from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from orchestrator.language.sweep import Sweep
from orchestrator.store import bounds, requests
from orchestrator.store import patience as patience_module
from orchestrator.store.patience import BRIEFLY_S, LONGEST_OPERATION_S, Patience
from orchestrator.store.requests import ATTEMPTS, ask
from orchestrator.worker.run import WAITS_S
from tests.orchestrator.store.test_patience import Clock

DOCUMENT = (Path(__file__).parents[3] / "docs" / "store.md").read_text()


@pytest.mark.parametrize("waits_s", [BRIEFLY_S, WAITS_S])
@pytest.mark.parametrize("takes_s", [0.0, 1.0, bounds.LONGEST_ATTEMPT_S])
def test_requests_and_seconds_stay_within_their_bounds(
    waits_s: float, takes_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, attempts = Clock(), list[float]()
    monkeypatch.setattr(requests, "time", clock)
    monkeypatch.setattr(patience_module, "time", clock)

    def request() -> None:
        attempts.append(clock.now)
        clock.now += takes_s
        raise GenericError("broken")

    begun = clock.now
    with pytest.raises(OSError, match="broken"):
        Patience(waits_s)(lambda: ask("s3://b/x", "KEY", request))
    assert clock.now - begun <= bounds.longest_s(waits_s)
    most = ATTEMPTS * bounds.most_asks(waits_s)
    assert len(attempts) <= most
    assert takes_s or len(attempts) == most


def test_whoever_waits_is_done_before_he_counts_as_stopped_or_hung() -> None:
    assert bounds.LONGEST_ASK_S < LONGEST_OPERATION_S
    assert bounds.longest_s(WAITS_S) < 60 * Sweep.model_fields["heartbeat_minutes"].default


def test_the_document_says_so() -> None:
    of_a_command = bounds.REQUESTS_PER_ASK * bounds.most_asks(BRIEFLY_S)
    of_a_worker = bounds.REQUESTS_PER_ASK * bounds.most_asks(WAITS_S)
    assert bounds.longest_s(BRIEFLY_S) <= 120
    assert bounds.longest_s(WAITS_S) <= 300
    assert (
        f"at most {of_a_command} requests within two minutes, where a worker waits {of_a_worker} within five"
        in DOCUMENT
    )
