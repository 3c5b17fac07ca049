"""Data sets, decoded: uint8 images with labels, and the numbers that normalise them."""

from trainer.datasets.dataset import DataError, Dataset, Part, load_dataset

__all__ = ["DataError", "Dataset", "Part", "load_dataset"]
