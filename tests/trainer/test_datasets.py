import hashlib

import numpy as np
import pytest
import torch

from trainer.catalog import DATASETS
from trainer.datasets import fashion_mini
from trainer.datasets.dataset import first_of_each_class, load_dataset, pixel_statistics
from trainer.datasets.errors import DataError
from trainer.datasets.make_fashion_mini import area_weights, shrink
from trainer.trial import Data


def test_the_embedded_data_set_is_what_the_catalog_says() -> None:
    facts = DATASETS["fashion_mini"]
    assert f"sha256:{hashlib.sha256(fashion_mini.FILE.read_bytes()).hexdigest()}" == facts.checksum
    dataset = load_dataset(Data.official("fashion_mini"))
    assert dataset.num_classes == facts.num_classes == 10
    assert dataset.image_size == facts.image_size == 16
    for part, count in ((dataset.train, facts.train_images), (dataset.test, facts.test_images)):
        assert part.images.shape == (count, 3, 16, 16)
        assert part.images.dtype == torch.uint8
        assert part.labels.bincount().tolist() == [count // 10] * 10
        assert torch.equal(part.images[:, 0], part.images[:, 2])
    assert dataset.mean == (0.2869,) * 3
    assert dataset.std == (0.3286,) * 3


def test_training_and_test_images_do_not_overlap() -> None:
    dataset = load_dataset(Data.official("fashion_mini"))
    train = {image.numpy().tobytes() for image in dataset.train.images}
    assert not any(image.numpy().tobytes() in train for image in dataset.test.images)


def test_a_cut_down_data_set_has_the_first_images_of_each_class() -> None:
    whole = load_dataset(Data.official("fashion_mini"))
    small = load_dataset(Data.official("fashion_mini", train_images=30, test_images=25))
    assert small.train.labels.bincount().tolist() == [3] * 10
    assert small.test.labels.bincount().tolist() == [3] * 5 + [2] * 5
    for label in range(10):
        first = whole.train.images[whole.train.labels == label][:3]
        assert torch.equal(small.train.images[small.train.labels == label], first)


def test_the_first_of_each_class_stay_in_file_order() -> None:
    labels = np.array([1, 1, 0, 2, 0, 1, 2])
    assert first_of_each_class(labels, 3).tolist() == [0, 2, 3]
    assert first_of_each_class(labels, 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="8 images wanted, 7 are there"):
        first_of_each_class(labels, 8)


def test_statistics_are_measured_to_four_digits() -> None:
    images = np.zeros((1, 3, 2, 2), dtype=np.uint8)
    images[0, 1] = [[0, 255], [255, 255]]
    assert pixel_statistics(images) == ((0.0, 0.75, 0.0), (0.0, 0.433, 0.0))


def test_foreign_data_are_refused() -> None:
    stranger = Data.official("fashion_mini").model_copy(update={"checksum": "md5:" + "0" * 32})
    with pytest.raises(DataError, match="its checksum is sha256:46b7cf78"):
        load_dataset(stranger)


def test_area_averaging() -> None:
    np.testing.assert_allclose(area_weights(28, 16).sum(1), 1)
    np.testing.assert_allclose(area_weights(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    flat = np.full((2, 28, 28), 77, dtype=np.uint8)
    assert (shrink(flat) == 77).all()
