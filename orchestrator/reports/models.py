"""What there is to say of models: the architectures with their sizes, and how good the teachers of a run are."""

from collections.abc import Iterable, Iterator, Mapping
from math import sqrt
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.store.store import stored_trial
from trainer.catalog import MODELS, default_learning_rate, multiply_adds

CHANCE_DEVIATIONS = 2
"""A teacher within so many standard deviations of guessing is no better than chance."""


def models_as_json() -> dict[str, dict[str, int]]:
    """Parameters (100 classes) and multiply-adds (a 32x32 image) by name."""
    return {
        name: {"parameters": facts.parameters, "multiply_adds": multiply_adds(name, 32, 100)}
        for name, facts in MODELS.items()
    }


def model_table() -> Table:
    """The architectures with their sizes."""
    table = Table()
    table.add_column("model")
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    table.add_column("learning rate", justify="right")
    for name, facts in MODELS.items():
        sizes = (f"{facts.parameters:,}", f"{multiply_adds(name, 32, 100):,}")
        table.add_row(name, *sizes, f"{default_learning_rate(name):g}")
    return table


def teacher_lines(results: Iterable[Mapping[str, Any]]) -> Iterator[Text]:
    """A line per teacher with its accuracy; one that only guesses is a loud warning."""
    for row in results:
        if row["kind"] != "teacher":
            continue
        data = stored_trial(row).data
        accuracy, chance = row["test_accuracy"], 1 / data.num_classes
        yield Text(f"teacher {row['teacher']} on {row['dataset']}: accuracy {accuracy:.2%}")
        if accuracy <= chance + CHANCE_DEVIATIONS * sqrt(chance * (1 - chance) / data.test_images):
            yield Text(
                f"WARNING: the teacher {row['teacher']} is no better than chance ({chance:.2%} on "
                f"{row['dataset']}): nothing can be learnt from it, nor from its T. stddev",
                style="bold red",
            )
