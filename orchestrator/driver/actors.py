"""Tune's actors: whatever Ray tells of the end of one is that job's end, and no more.

Tune knows two ways in which a call fails, the death of its actor and an exception of its code; anything else ends
Tune's loop, and with it every other job. But Ray has more: an actor that is killed for memory in the middle of a call
(`OutOfMemoryError`), a returned value that was lost with its node.
"""

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution import tune_controller


class Actors(RayActorManager):
    """Takes every other error of Ray's for the death of the actor that it came from."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(
            exception, RayActorError | RayTaskError
        ):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


def take_the_place_of_tunes() -> None:
    """Tune makes its manager by this name, and takes none from outside."""
    tune_controller.RayActorManager = Actors  # type: ignore[attr-defined]
