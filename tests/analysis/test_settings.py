"""Which trials stand in one panel: those whose settings agree wherever both have them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.combinations import NOT_TOLD, Part, Planned, whole_settings
from analysis.evidence import pools, weigh
from analysis.filters import parse_filters
from analysis.points import Panel, panels
from analysis.rows import read_rows
from orchestrator.planning.guests import only_read
from orchestrator.planning.kept_sweeps import planned_together
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store, stored_trial
from tests.analysis.stores import add
from tests.analysis.test_points import made_up, sweep
from trainer.trial import Trial

SMALL = ["identity", "flip", "cutmixpick_t"]
KLD = ["identity", "flip", "cutmixpick_k"]


def names(store: Store) -> list[list[str]]:
    return [[p.augmentation for p in panel.complete] for panel in panels(read_rows(store))]


def fill(store: Store, **changes: object) -> None:
    small = {"pairs": ["resnet20/resnet8"], "augmentations": SMALL}
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
    assert {len(panel) for panel in names(store)} == {3}


def test_panels_never_mix_two_values_of_a_setting(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    fill(store, randomness="sample")
    fill(store, student={"temperature": 2})
    for panel in panels(read_rows(store)):
        assert all(p.test_loss is None or p.test_loss.n == 2 for p in panel.points)
        assert all(p.t_stddev and p.t_stddev.n == 2 for p in panel.points)


def test_versions_of_a_model_of_one_s_own_are_told_apart_and_pool_with_others(
    tmp_path: Path,
) -> None:
    """Of kept sweeps nothing is run: that these functions are none does not matter."""
    store = Store(tmp_path / "store")
    code = '@register("one_net")\n@register("other")\ndef f(num_classes, image_size): ...\n'

    def add_version(source: str, *pairs: str) -> None:
        models = [{"path": "mine.py", "source": source}]
        wanted = sweep(models=models, pairs=pairs, augmentations=SMALL)
        for trial in expand(wanted, guests=only_read):
            add(store, trial, **made_up(trial))

    add_version(code, "resnet20/one_net", "one_net/other")
    found = panels(read_rows(store))
    assert [panel.variant for panel in found] == ["", ""]
    assert [len(group) for _, group in pools(found, ())] == [2]
    add_version(f"{code}# changed\n", "resnet20/one_net")
    versions = [p for p in panels(read_rows(store)) if p.teacher == "resnet20"]
    assert len(versions) == 2
    for panel in versions:
        assert panel.variant.startswith("student.student_model=")
        filters = parse_filters(["teacher=resnet20", panel.variant])
        (kept,) = panels(read_rows(store, filters))
        assert kept.cells() == panel.cells()


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


@given(st.lists(parts, max_size=6, unique_by=lambda part: tuple(sorted(part.items()))))
def test_whole_settings_hold_every_part_and_nothing_that_no_part_says(
    given_parts: list[dict[str, str]],
) -> None:
    wholes = whole_settings([Part(part) for part in given_parts])
    held = [part.settings for whole in wholes for part in whole.parts]
    assert all(part in held for part in given_parts)
    for whole in wholes:
        union = {k: v for part in whole.parts for k, v in part.settings.items()}
        assert whole.settings == union


@given(
    st.lists(
        st.tuples(parts, st.integers(0, 3)),
        max_size=8,
        unique_by=lambda item: (tuple(sorted(item[0].items())), item[1]),
    )
)
def test_no_whole_is_of_two_sweeps_that_share_nothing(
    given_parts: list[tuple[dict[str, str], int]],
) -> None:
    wholes = whole_settings([Part(part, frozenset({sweep})) for part, sweep in given_parts])
    for whole in wholes:
        assert len({part.sweeps for part in whole.parts}) <= 1


def where(store: Store, planned: Planned = NOT_TOLD) -> list[Panel]:
    """The panels; of every row of a student or a measurement it is seen to that one has it."""
    found = panels(read_rows(store), planned)
    shown = {
        fingerprint
        for panel in found
        for point in panel.points
        for cell in (point.test_loss, point.t_stddev)
        if cell
        for fingerprint in cell.fingerprints
    }
    assert shown == {t.fingerprint for t in made_of(store) if t.kind != "teacher"}
    return found


def test_a_grid_over_the_students_pick_size_keeps_every_measurement(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, grid={"student.pick_size": [32, 64, 128]})
    found = where(store)
    assert len(found) == 3
    assert [len(panel.complete) for panel in found] == [3, 3, 3]


def test_a_grid_over_the_pick_size_of_measurements_keeps_every_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, grid={"stddev.pick_size": [32, 64, 128]})
    assert len(where(store)) == 3


def test_what_one_sweep_asked_for_stands_beside_what_another_has_alike(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, student={"pick_size": 32}, stddev={"pick_size": 64})
    fill(store, student={"pick_size": 32}, stddev={"pick_size": 32})
    assert len(where(store)) == 2


SCHEME_V1 = (
    '@register("mine")\ndef f(images, rng): ...\n@register("yours")\ndef g(images, rng): ...\n'
)
OWN = {"augmentations": ["identity", "flip", "mine", "yours"]}

TWO_SWEEPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"student": {"pick_size": 32}, "stddev": {"pick_size": 16}},
        {"student": {"pick_size": 64}, "stddev": {"pick_size": 128}},
    ),
    (
        {"student": {"temperature": 2}, "stddev": {"epochs": 10}},
        {"student": {"temperature": 4}, "stddev": {"epochs": 20}},
    ),
    (
        {"schemes": [{"path": "mine.py", "source": SCHEME_V1}], **OWN},
        {
            "schemes": [{"path": "mine.py", "source": SCHEME_V1 + "#"}],
            "randomness": "sample",
            **OWN,
        },
    ),
    (
        {"student": {"temperature": 2}, "stddev": {"temperature": 2}, "augmentations": KLD},
        {"student": {"temperature": 8}, "stddev": {"temperature": 4}, "augmentations": KLD},
    ),
]


@pytest.mark.parametrize("both", TWO_SWEEPS)
def test_two_sweeps_that_a_store_keeps_make_two_panels(
    both: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    for i, changes in enumerate(both):
        fill(store, **changes)
        small = {"pairs": ["resnet20/resnet8"], "augmentations": SMALL, "name": f"x{i}"}
        content = sweep(**(small | changes))
        store.save_sweep(content.name, content.model_dump(mode="json"))
    found = where(store, Planned(*planned_together(store)))
    assert len(found) == 2
    assert len({panel.variant for panel in found}) == 2
    assert len({len(panel.complete) for panel in found}) == 1
    assert weigh(found).num_tests <= 6


def test_a_panel_knows_what_the_sweeps_that_asked_for_it_call_families(tmp_path: Path) -> None:
    """Each version that a store keeps counts; a sweep of other trials does not."""
    store = Store(tmp_path)
    namings = [
        {"mix": ["mixup", "cutmix"]},
        {"one": ["flip", "cutmix"]},
        {"two": ["flip", "mixup"]},
    ]
    pairs = ["resnet20/resnet8", "resnet20/resnet8", "resnet20/resnet14"]
    for naming, pair in zip(namings, pairs, strict=True):
        changes = {"pairs": [pair], "augmentations": ["identity", "flip", "mixup", "cutmix"]}
        fill(store, **changes)
        content = sweep(
            **changes, families=naming, student={"epochs": 3} if "two" in naming else {}
        )
        store.save_sweep(content.name, content.model_dump(mode="json"))
    of_pair = {p.student: p for p in where(store, Planned(*planned_together(store)))}
    found = weigh([of_pair["resnet8"]]).evidence[0].families
    assert {family.name: family.members for family in found} == {
        "mix": ("mixup", "cutmix"),
        "one": ("flip", "cutmix"),
    }


def test_a_file_of_several_schemes_has_one_version(tmp_path: Path) -> None:
    """Edited twice: three panels. One scheme's old version once stood beside another's new one, 27 times."""
    store = Store(tmp_path)
    augmentations = ["identity", "flip", "mine", "yours", "minepick_t"]
    for version in ("", "# a\n", "# b\n"):
        schemes = [{"path": "mine.py", "source": SCHEME_V1 + version}]
        fill(store, schemes=schemes, augmentations=augmentations)
    found = where(store)
    assert [len(panel.complete) for panel in found] == [5, 5, 5]
    assert len({panel.variant for panel in found}) == 3


def test_a_scheme_may_be_called_like_a_setting(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for version in ("", "# a\n"):
        source = '@register("kind")\ndef f(images, rng): ...\n' + version
        schemes = [{"path": "kind.py", "source": source}]
        fill(store, schemes=schemes, augmentations=["identity", "kind"])
    assert len({panel.title for panel in where(store)}) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"student.learning_rate": 0.5}, "student.learning_rate=0.5"),
        ({"student.temperature": 2}, "student.temperature=2.0"),
    ],
)
def test_an_override_of_one_pair_is_told_and_not_pooled(
    changes: dict[str, float], told: str, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    override = {"where": {"student": "resnet14"}, "set": changes}
    fill(store, pairs=["resnet20/resnet8", "resnet20/resnet14"], overrides=[override])
    found = where(store)
    assert told in next(p.title for p in found if p.student == "resnet14")
    assert weigh(found).pooled == ()


def test_panels_of_other_settings_on_another_data_set_are_not_pooled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, student={"temperature": 2})
    fill(store, dataset="fashion_mnist", student={"temperature": 4})
    found = where(store)
    assert all("temperature" in panel.title for panel in found)
    assert weigh(found).pooled == ()
    same = Store(tmp_path / "same")
    for dataset in ("fashion_mini", "fashion_mnist"):
        fill(same, dataset=dataset)
    assert [p.variant for p in where(same)] == ["", ""]
    (pooled,) = weigh(where(same)).pooled
    assert (pooled.group, pooled.num_pairs) == ("all", 2)
