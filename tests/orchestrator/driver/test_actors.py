"""No error that Ray has for a call ends Tune's loop: it is the end of one job."""

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.store.failures import Cause
from orchestrator.worker.foreign import death_of

KILLED = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.1) was "
    "22.64GB used / 23.54GB limit (0.961622)"
)
"""As Ray 2.60 said it of a worker in the middle of a step."""


def _errors() -> list[tuple[str, Cause]]:
    return [("OutOfMemoryError", Cause.OUT_OF_MEMORY), ("WorkerCrashedError", Cause.WORKER_DIED)]


@pytest.mark.parametrize(("name", "cause"), _errors())
def test_an_error_that_tune_does_not_know_is_the_death_of_its_actor(
    name: str, cause: Cause
) -> None:
    from ray import exceptions
    from ray.air.execution import PlacementGroupResourceManager

    from orchestrator.driver.actors import Actors

    kind = getattr(exceptions, name)
    error = kind(KILLED) if cause is Cause.OUT_OF_MEMORY else kind()
    heard: list[Exception] = []
    actor: Any = SimpleNamespace(actor_id=1, _on_error=lambda _, told: heard.append(told))
    task: Any = SimpleNamespace(_tracked_actor=actor, _on_error=actor._on_error)
    actors = Actors(PlacementGroupResourceManager())
    actors._cleanup_actor = lambda tracked_actor: None  # type: ignore[method-assign]
    actors._actor_task_failed(task, error)
    assert len(heard) == 2
    for told in heard:
        assert isinstance(told, exceptions.RayActorError)
        assert str(error) in str(told)
        assert death_of(str(told)) is cause


def test_what_is_no_error_of_rays_is_still_one() -> None:
    from ray.air.execution import PlacementGroupResourceManager

    from orchestrator.driver.actors import Actors

    task: Any = SimpleNamespace(_tracked_actor=SimpleNamespace(actor_id=1))
    with pytest.raises(RuntimeError, match="unexpected"):
        Actors(PlacementGroupResourceManager())._actor_task_failed(task, KeyError("bug"))


def test_tune_makes_its_manager_by_the_name_that_is_taken() -> None:
    from ray.tune.execution import tune_controller

    from orchestrator.driver import actors

    usual = tune_controller.RayActorManager
    try:
        actors.take_the_place_of_tunes()
        controller = tune_controller.TuneController.__init__
        assert "RayActorManager" in controller.__code__.co_names
        assert tune_controller.RayActorManager is actors.Actors
    finally:
        tune_controller.RayActorManager = usual  # type: ignore[misc]
