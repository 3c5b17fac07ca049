"""A sweep's data: found and identified."""

import os
from pathlib import Path

from orchestrator.language.settings import DatasetChoice
from trainer.datasets.errors import DataError
from trainer.problems import UserError
from trainer.trial import Data


def identified(choice: DatasetChoice) -> Data:
    """The data that a sweep names. Images of one's own are decoded, the first time, to know them.

    Raises:
        UserError: images of one's own are missing or wrong, or fewer than wanted.
    """
    if choice.path is None:
        return Data.official(choice.name, choice.train_images, choice.test_images)
    from trainer.datasets.own_images import identify

    folder = Path(os.path.expanduser(choice.path)).absolute()  # noqa: PTH111
    try:
        found = identify(str(choice.format), folder, choice.image_size)
    except DataError as error:
        raise UserError(str(error)) from error
    counts = {}
    for half, wanted, there in (
        ("train_images", choice.train_images, found.train_images),
        ("test_images", choice.test_images, found.test_images),
    ):
        counts[half] = wanted or there
        if not found.num_classes <= counts[half] <= there:
            raise UserError(
                f"{folder}: {half}: {wanted} wanted; "
                f"expected {found.num_classes} (one of each class) to {there}"
            )
    return Data(
        name=choice.name,
        checksum=found.checksum,
        num_classes=found.num_classes,
        image_size=found.image_size,
        format=choice.format,
        path=str(folder),
        **counts,
    )
