"""Which trials stand in one panel: those whose settings agree wherever both have them."""

from pathlib import Path

from analysis.points import panels
from analysis.rows import read_rows
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from tests.analysis.stores import add
from tests.analysis.test_points import made_up, sweep


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
