"""What one job of each kind occupies, as a sweep says it and as Ray counts it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from trainer.trial import Frozen, Name, Number, Rate, Trial

Kind = Literal["teacher", "student", "stddev"]
KINDS: tuple[Kind, ...] = ("teacher", "student", "stddev")
SECTIONS: Mapping[Kind, str] = {"teacher": "teachers", "student": "student", "stddev": "stddev"}
"""Where a sweep sets the hyper-parameters of each kind."""


def job_kind(trial: Trial) -> Kind:
    """By which resources a trial runs: predictors of one's own share the jobs of T. stddev."""
    return "stddev" if trial.kind == "predictor" else trial.kind


class Resources(Frozen):
    """What one job of a kind occupies.

    `cpu` is also its number of CPU threads. `gpu` is a share of one GPU; left out, a job takes a whole
    GPU where the cluster has any, else none. `accelerator` names a type of GPU as Ray does (`A100`);
    `custom` are amounts of the cluster's own resources.
    """

    cpu: Annotated[int, Field(ge=1, le=1024), Number] = 1
    gpu: Annotated[float, Field(ge=0, le=1), Number] | None = None
    accelerator: Name | None = None
    custom: dict[Name, Rate] = Field(default_factory=dict)

    def on(self, cluster_has_gpus: bool) -> "Resources":
        """The same with `gpu` decided."""
        gpu = float(cluster_has_gpus) if self.gpu is None else self.gpu
        return self.model_copy(update={"gpu": gpu})

    @property
    def bundle(self) -> dict[str, float]:
        """As Ray counts it; `gpu` is decided. A type of GPU is asked for by a trifle of its resource."""
        asked = {"CPU": float(self.cpu), "GPU": self.gpu or 0.0, **self.custom}
        if self.accelerator is not None:
            asked[f"accelerator_type:{self.accelerator}"] = 0.001
        return {name: amount for name, amount in asked.items() if amount}


class AllResources(Frozen):
    teacher: Resources = Resources()
    student: Resources = Resources()
    stddev: Resources = Resources()

    def of(self, kind: Kind) -> Resources:
        resources: Resources = getattr(self, kind)
        return resources
