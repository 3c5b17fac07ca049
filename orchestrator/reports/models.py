"""What there is to say of models: the architectures with their sizes, and how good the teachers of a run are."""

from collections.abc import Iterable, Iterator, Mapping
from math import sqrt
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from orchestrator.store.store import stored_trial
from trainer.catalog import MODELS, default_learning_rate, multiply_adds, parameters
from trainer.trial import Data, GuestModel, Trial, guests_of

CHANCE_DEVIATIONS = 2
"""A teacher within so many standard deviations of guessing is no better than chance."""


class Sizes(NamedTuple):
    """What a model consists of, with so many classes and for images of such a size."""

    parameters: int
    multiply_adds: int


def usual_sizes() -> dict[str, Sizes]:
    """Of kdsweep's architectures: parameters with 100 classes, multiply-adds of a 32x32 image."""
    return {
        name: Sizes(facts.parameters, multiply_adds(name, 32, 100))
        for name, facts in MODELS.items()
    }


def sizes_in(trials: Iterable[Trial]) -> dict[str, Sizes]:
    """Of the models in some trials, by name; where there are several data sets, by those, too."""
    found: dict[tuple[str, str], Sizes] = {}
    for trial in trials:
        guests = guests_of(trial)
        for name in filter(None, (trial.teacher, trial.student)):
            found[trial.dataset, name] = _sizes(name, guests.get(name), trial.data)
    several = len({dataset for dataset, _ in found}) > 1
    return {
        f"{name} on {dataset}" if several else name: sizes
        for (dataset, name), sizes in found.items()
    }


def _sizes(name: str, guest: GuestModel | None, data: Data) -> Sizes:
    if guest is not None:
        return Sizes(guest.description.parameters, guest.description.multiply_adds)
    return Sizes(
        parameters(name, data.num_classes), multiply_adds(name, data.image_size, data.num_classes)
    )


def models_as_json(sizes: Mapping[str, Sizes]) -> dict[str, dict[str, int]]:
    """Parameters and multiply-adds by name."""
    return {name: dict(size._asdict()) for name, size in sizes.items()}


def model_table(sizes: Mapping[str, Sizes]) -> Table:
    """The architectures with their sizes."""
    table = Table()
    table.add_column("model")
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    table.add_column("default learning rate", justify="right")
    for name, size in sizes.items():
        rate = default_learning_rate(name.partition(" ")[0])
        table.add_row(name, f"{size.parameters:,}", f"{size.multiply_adds:,}", f"{rate:g}")
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
