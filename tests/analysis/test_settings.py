"""Which trials stand in one panel: those whose settings agree wherever both have them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence import weigh
from analysis.points import Panel, panels
from analysis.rows import read_rows
from analysis.settings import whole_settings
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store, stored_trial
from tests.analysis.stores import add
from tests.analysis.test_points import made_up, sweep
from trainer.trial import Trial


def names(store: Store) -> list[list[str]]:
    return [[p.augmentation for p in panel.complete] for panel in panels(read_rows(store))]


def fill(store: Store, **changes: object) -> None:
    small = {"pairs": ["resnet20/resnet8"], "augmentations": ["identity", "flip", "cutmixpick_t"]}
    for trial in expand(sweep(**(small | changes))):
        add(store, trial, **made_up(trial))


def test_a_trial_without_a_setting_goes_with_every_value_of_it(tmp_path: Path) -> None:
    """identity has neither a randomness nor a pick size: it is one trial, and stands in all panels."""
    store = Store(tmp_path)
    fill(store)
    assert names(store) == [["identity", "flip", "cutmixpick_t"]]
    fill(store, randomness="sample")
    assert names(store) == [["identity", "flip", "cutmixpick_t"]] * 2
    fill(store, student={"pick_size": 32})
    assert sorted(map(len, names(store)))[-2:] == [3, 3]


def test_panels_never_mix_two_values_of_a_setting(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    fill(store, randomness="sample")
    fill(store, student={"temperature": 2})
    for panel in panels(read_rows(store)):
        assert all(p.test_loss is None or p.test_loss.n == 2 for p in panel.points)
        assert all(p.t_stddev is None or p.t_stddev.n == 2 for p in panel.points)


def test_a_changed_scheme_of_one_s_own_is_another_panel(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    code = '@register("mine")\ndef f(images, rng): ...\n'
    for version in (code, code + "# changed\n"):
        fill(
            store,
            schemes=[{"path": "mine.py", "source": version}],
            augmentations=["identity", "flip", "mine"],
        )
    assert names(store) == [["identity", "flip", "mine"]] * 2


def occurring(store: Store) -> list[Panel]:
    return panels(read_rows(store))


def made_of(store: Store) -> list[Trial]:
    return [stored_trial(row) for row in store.results().to_pylist()]


def test_panels_are_the_settings_that_occur_never_crossed(tmp_path: Path) -> None:
    """Two sweeps of one pair: two panels, six tests; crossed they would be four panels and twelve tests."""
    store = Store(tmp_path)
    fill(store, student={"pick_size": 64}, stddev={"pick_size": 64})
    fill(store, student={"pick_size": 32}, stddev={"pick_size": 32})
    found = occurring(store)
    assert [panel.variant for panel in found] == ["pick_size=32", "pick_size=64"]
    assert weigh(found).num_tests == 6
    by_fingerprint = {t.fingerprint: t for t in made_of(store)}
    for panel, size in zip(found, (32, 64), strict=True):
        for _, t_stddev, test_loss in panel.cells():
            trials = [by_fingerprint[f] for f in (*t_stddev.fingerprints, *test_loss.fingerprints)]
            assert {
                getattr(t, "pick_size", size) for t in trials if "pick" in str(t.augmentation)
            } <= {size}


def test_two_settings_that_differ_together_make_two_panels(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, student={"pick_size": 64}, stddev={"pick_size": 64}, randomness="batch")
    fill(store, student={"pick_size": 32}, stddev={"pick_size": 32}, randomness="sample")
    found = occurring(store)
    assert [panel.variant for panel in found] == [
        "pick_size=32, randomness=sample",
        "pick_size=64, randomness=batch",
    ]
    assert [len(panel.complete) for panel in found] == [3, 3]
    assert weigh(found).num_tests == 6


def test_one_pair_at_two_temperatures_is_one_pair_and_no_pool(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, student={"temperature": 2})
    fill(store, student={"temperature": 4})
    found = occurring(store)
    assert [panel.variant for panel in found] == [
        "student.temperature=2.0",
        "student.temperature=4.0",
    ]
    assert weigh(found).pooled == ()


def test_pools_are_per_setting_and_count_distinct_pairs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pairs = ["resnet20/resnet8", "resnet20/resnet14"]
    for temperature in (2, 4):
        fill(store, pairs=pairs, student={"temperature": temperature})
    pools = weigh(occurring(store)).pooled
    assert [pool.group for pool in pools] == [
        "fashion_mini (student.temperature=2.0)",
        "fashion_mini (student.temperature=4.0)",
    ]
    assert [(pool.num_pairs, pool.num_panels) for pool in pools] == [(2, 2), (2, 2)]


def test_what_a_panel_is_made_of_is_known_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, student={"temperature": 2, "pick_size": 16})
    (panel,) = occurring(store)
    assert panel.hyperparameters["student.temperature"] == "2.0"
    assert panel.hyperparameters["student.epochs"] == "240"
    assert panel.hyperparameters["student.pick_size"] == "16"
    assert panel.hyperparameters["stddev.pick_size"] == "64"


parts = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"), max_size=4)


@given(st.lists(parts, max_size=6))
def test_whole_settings_hold_every_part_and_nothing_that_no_part_says(
    given_parts: list[dict[str, str]],
) -> None:
    wholes = whole_settings(given_parts)
    assert len({tuple(sorted(w.items())) for w in wholes}) == len(wholes) >= 1
    for part in given_parts:
        assert any(all(whole.get(k) == v for k, v in part.items()) for whole in wholes)
    for whole in wholes:
        assert all(any(part.get(k) == v for part in given_parts) for k, v in whole.items())


@given(st.lists(st.fixed_dictionaries({k: st.sampled_from("xyz") for k in "abc"}), max_size=6))
def test_whole_settings_of_wholes_are_themselves(given_parts: list[dict[str, str]]) -> None:
    """Nothing is crossed: what says everything already stays as it is."""
    distinct = {tuple(sorted(part.items())) for part in given_parts}
    assert {tuple(sorted(w.items())) for w in whole_settings(given_parts)} == (distinct or {()})
