"""A sweep's data: found and identified."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestrator.language.settings import DatasetChoice
from orchestrator.store.addresses import is_remote
from orchestrator.store.fetched import fetched, listed_images
from trainer.datasets.errors import DataError
from trainer.problems import UserError
from trainer.trial import Data


def identified(choice: DatasetChoice, note: Callable[[str], None]) -> Data:
    """The data that a sweep names. Images of one's own are decoded, the first time, to know them: fetched before,
    if they are in an object store.

    `note` hears of files that lie among them and are none.

    Raises:
        UserError: images of one's own are missing or wrong, or fewer than wanted.
    """
    normalised = {"mean": choice.mean, "std": choice.std}
    if choice.path is None:
        return Data.official(choice.name, choice.train_images, choice.test_images, **normalised)
    from trainer.datasets.own_images import identify

    try:
        place, folder = _found(choice.path)
        own = identify(str(choice.format), folder, choice.image_size)
    except DataError as error:
        raise UserError(f"dataset.path: {error}") from error
    if own.num_ignored:
        files = "1 file is" if own.num_ignored == 1 else f"{own.num_ignored:,} files are"
        note(f"{place}: {files} ignored, being no image by its name: {own.ignored}")
    counts = {}
    for half, wanted, available in (
        ("train_images", choice.train_images, own.train_images),
        ("test_images", choice.test_images, own.test_images),
    ):
        counts[half] = wanted or available
        if not own.num_classes <= counts[half] <= available:
            raise UserError(
                f"{place}: {half}: {wanted} wanted; "
                f"expected {own.num_classes} (one of each class) to {available}"
            )
    return Data(
        name=choice.name,
        checksum=own.checksum,
        num_classes=own.num_classes,
        image_size=own.image_size,
        format=choice.format,
        path=place,
        **counts,
        **normalised,
    )


def _found(path: str) -> tuple[str, Path]:
    """What a sweep calls a folder of images in full, and where it is on this machine: fetched, if it is far away."""
    if is_remote(path):
        return path, fetched(path, listed_images(path), is_all=True)
    folder = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
    return str(folder), folder
