import pytest

from tests.conftest import golden
from trainer.catalog import default_learning_rate
from trainer.schedules import step_learning_rate

GOLDEN = golden("schedule_golden")


@pytest.mark.parametrize("name", [k for k, v in GOLDEN.items() if "lr_per_epoch" in v])
def test_the_learning_rate_of_every_epoch(name: str) -> None:
    case = GOLDEN[name]
    for epoch, expected in enumerate(case["lr_per_epoch"], start=1):
        rate = step_learning_rate(epoch, case["learning_rate"], case["lr_decay_epochs"], 0.1)
        assert rate == pytest.approx(expected, rel=1e-12)


def test_a_milestone_epoch_still_runs_at_the_old_rate() -> None:
    rates = [step_learning_rate(epoch, 0.05, (150, 180), 0.1) for epoch in (150, 151, 181)]
    assert rates == pytest.approx([0.05, 0.005, 0.0005])


def test_the_papers_default_learning_rates() -> None:
    papers = golden("state_dicts")["models"]
    low = {name for name in papers if default_learning_rate(name) == 0.01}
    assert low == set(GOLDEN["students_with_base_rate_0.01"])
