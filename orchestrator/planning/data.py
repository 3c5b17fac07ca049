"""A sweep's data: found and identified."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestrator.language.settings import DatasetChoice
from trainer.datasets.errors import DataError
from trainer.problems import UserError
from trainer.trial import Data


def identified(choice: DatasetChoice, note: Callable[[str], None]) -> Data:
    """The data that a sweep names. Images of one's own are decoded, the first time, to know them.

    `note` hears of files that lie among them and are none.

    Raises:
        UserError: images of one's own are missing or wrong, or fewer than wanted.
    """
    if choice.path is None:
        return Data.official(choice.name, choice.train_images, choice.test_images)
    from trainer.datasets.own_images import identify

    folder = Path(os.path.expanduser(choice.path)).absolute()  # noqa: PTH111
    try:
        own = identify(str(choice.format), folder, choice.image_size)
    except DataError as error:
        raise UserError(str(error)) from error
    if own.num_ignored:
        files = "1 file is" if own.num_ignored == 1 else f"{own.num_ignored:,} files are"
        note(f"{folder}: {files} ignored, being no image by its name: {own.ignored}")
    counts = {}
    for half, wanted, available in (
        ("train_images", choice.train_images, own.train_images),
        ("test_images", choice.test_images, own.test_images),
    ):
        counts[half] = wanted or available
        if not own.num_classes <= counts[half] <= available:
            raise UserError(
                f"{folder}: {half}: {wanted} wanted; "
                f"expected {own.num_classes} (one of each class) to {available}"
            )
    return Data(
        name=choice.name,
        checksum=own.checksum,
        num_classes=own.num_classes,
        image_size=own.image_size,
        format=choice.format,
        path=str(folder),
        **counts,
    )
