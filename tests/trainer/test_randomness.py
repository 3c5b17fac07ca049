import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.randomness import addressed_generator

PARTS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from(["order", "scheme", "mixup"]))


@given(st.integers(0, 2**63 - 1), st.lists(PARTS, max_size=4))
def test_an_address_always_gives_the_same_numbers(seed: int, address: list[int | str]) -> None:
    first, again = (addressed_generator(seed, *address).integers(2**62, size=4) for _ in range(2))
    assert np.array_equal(first, again)


@given(
    st.tuples(st.integers(0, 2**63 - 1), st.lists(PARTS, max_size=3)),
    st.tuples(st.integers(0, 2**63 - 1), st.lists(PARTS, max_size=3)),
)
def test_different_addresses_give_different_numbers(
    one: tuple[int, list[int | str]], other: tuple[int, list[int | str]]
) -> None:
    numbers = [addressed_generator(s, *a).integers(2**62, size=4) for s, a in (one, other)]
    assert np.array_equal(*numbers) == (one == other)


def test_all_64_bits_of_a_seed_count() -> None:
    low, high = (addressed_generator(s).integers(2**62) for s in (1, 1 + 2**40))
    assert low != high


def test_the_numbers_never_change() -> None:
    """Every result in every store was computed from these."""
    drawn = addressed_generator(7, "scheme", "mixup", 2, 5).integers(1000, size=4)
    assert drawn.tolist() == [850, 204, 821, 256]


@pytest.mark.parametrize("part", [-1, 2**64])
def test_parts_have_64_bits(part: int) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        addressed_generator(0, part)
