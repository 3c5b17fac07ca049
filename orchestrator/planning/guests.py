"""A sweep's models that are not kdsweep's, with what is known of them.

To know what a model consists of, it must be built: the code of its file runs (`trainer.descriptions`). That is for
whoever runs or prices a sweep, and never for whoever only reads a store, which may hold the sweeps of others.
"""

from collections.abc import Callable, Mapping

from orchestrator.language.sweep import Sweep
from trainer.catalog import ARCHITECTURES
from trainer.descriptions import Wanted, described
from trainer.trial import Data, Description, GuestModel, PassSize

Guests = Callable[[Sweep, Data], Mapping[str, GuestModel]]
"""The guests among a sweep's architectures, by name, as they are on one data set."""

UNKNOWN = Description(
    parameters=0,
    tensors=0,
    multiply_adds=0,
    look=PassSize(launches=0, floats=0),
    training=PassSize(launches=0, floats=0),
    shapes="0" * 64,
    needs_two_images=False,
)
"""Of a model that nobody has built; of those of files, no identity holds it."""


def built(sweep: Sweep, data: Data) -> Mapping[str, GuestModel]:
    """Each was built and tried, now or before.

    Raises:
        UserError: some cannot be built, or nothing can be learnt with them; a line for each.
    """
    wanted = _wanted(sweep, data)
    return dict(zip([one.name for one in wanted], described(wanted), strict=True))


def only_read(sweep: Sweep, data: Data) -> Mapping[str, GuestModel]:
    """Nothing that a file says is run: enough to know trials by their fingerprints, and to run or price none.

    Raises:
        UserError: the library of one is not installed, or has it no more.
    """
    wanted = _wanted(sweep, data)
    of_libraries = [one for one in wanted if one.file is None]
    found = dict(zip([one.name for one in of_libraries], described(of_libraries), strict=True))
    of_files = (one for one in wanted if one.file is not None)
    return found | {o.name: GuestModel(file=o.file, description=UNKNOWN) for o in of_files}


def _wanted(sweep: Sweep, data: Data) -> list[Wanted]:
    names = dict.fromkeys(name for pair in sweep.pairs for name in (pair.teacher, pair.student))
    return [
        Wanted(
            name=name,
            file=sweep.own_model(name),
            num_classes=data.num_classes,
            image_size=data.image_size,
        )
        for name in names
        if name not in ARCHITECTURES
    ]
