"""What a worker process sees of the machine's GPUs, with logical ones on a machine that has none."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
    )
    yield ray
    ray.shutdown()


def visible_gpus() -> str:
    from orchestrator.worker.run import see_only_given_gpus

    see_only_given_gpus()
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_a_job_sees_exactly_the_gpus_it_was_given(ray: Any) -> None:
    whole = ray.remote(num_gpus=1)(visible_gpus)
    assert sorted(ray.get([whole.remote(), whole.remote()])) == ["0", "1"]
    half = ray.remote(num_gpus=0.5)(visible_gpus)
    assert ray.get(half.remote()) in ("0", "1")


def test_a_cpu_job_sees_none(ray: Any) -> None:
    assert ray.get(ray.remote(num_cpus=1)(visible_gpus).remote()) == ""
