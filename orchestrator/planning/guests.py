"""A sweep's models that are not kdsweep's, with what is known of them."""

from collections.abc import Mapping

from orchestrator.language.sweep import Sweep
from trainer.catalog import ARCHITECTURES
from trainer.descriptions import Wanted, described
from trainer.trial import Data, GuestModel


def guests_of(sweep: Sweep, data: Data) -> Mapping[str, GuestModel]:
    """The guests among a sweep's architectures, as they are on one data set.

    Raises:
        UserError: some cannot be built, or nothing can be learnt with them; a line for each.
    """
    names = dict.fromkeys(name for pair in sweep.pairs for name in (pair.teacher, pair.student))
    wanted = [
        Wanted(
            name=name,
            file=sweep.own_model(name),
            num_classes=data.num_classes,
            image_size=data.image_size,
        )
        for name in names
        if name not in ARCHITECTURES
    ]
    return dict(zip([one.name for one in wanted], described(wanted), strict=True))
