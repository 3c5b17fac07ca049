"""The sweep language: what it accepts, and how it says what is wrong."""

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.language.sweep import Sweep, load_sweep
from orchestrator.planning.plan import expand
from tests.orchestrator.sweeps import write_sweep
from trainer.catalog import AUGMENTATIONS
from trainer.problems import FileError, UserError

SWEEPS = Path(__file__).parents[3] / "sweeps"


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_sweeps_are_valid(path: Path) -> None:
    assert load_sweep(path).name == path.stem


def test_the_papers_values_are_the_defaults(tmp_path: Path) -> None:
    sweep = load_sweep(write_sweep(tmp_path, student=None, stddev=None, augmentations=None))
    assert sweep.augmentations == AUGMENTATIONS
    assert sweep.student.epochs == 240
    assert sweep.student.milestones == (150, 180, 210)
    assert (sweep.student.temperature, sweep.student.label_weight) == (4.0, 0.1)
    assert (sweep.stddev.epochs, sweep.stddev.batches_per_window) == (10, 5)
    assert sweep.measure == ("s_test_loss", "t_stddev")


def test_seeds_in_a_row_are_written_out(tmp_path: Path) -> None:
    sweep = load_sweep(write_sweep(tmp_path, seeds={"first": 3, "count": 4}))
    assert sweep == load_sweep(write_sweep(tmp_path, seeds=[3, 4, 5, 6]))
    assert sweep.model_dump(mode="json")["seeds"] == [3, 4, 5, 6]
    assert load_sweep(write_sweep(tmp_path, seeds={"count": 2})).seeds == (0, 1)
    (told,) = problems(write_sweep(tmp_path, seeds={"first": True, "count": 2}))
    assert told.endswith("seeds.first: expected a number, not True")


def problems(path: Path) -> list[str]:
    with pytest.raises(FileError) as caught:
        load_sweep(path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nme: x", "nme: unknown key; did you mean 'name'?"),
        ("student: {lr: 0.1}", "student.lr: unknown key; did you mean 'learning_rate'?"),
        ("student: {gamma: 0.1}", "student.gamma: unknown key; did you mean 'decay'?"),
        ("student: {T: 4}", "student.T: unknown key; did you mean 'temperature'?"),
        ("teachers: {wd: 1}", "teachers.wd: unknown key; did you mean 'weight_decay'?"),
        ("grid: {student.lr: [1]}", "did you mean 'student.learning_rate'?"),
        ("lr: 0.1", "lr: unknown key here; learning_rate belongs below teachers or student"),
        (
            "student: {execution: eager}",
            "student.execution: unknown key here; it belongs at the top of the file",
        ),
        ("stddev: {gpu: 1}", "it belongs below resources.teacher or resources.student or"),
        ("student: {epoch: 3}", "1:11: student.epoch: unknown key; did you mean 'epochs'?"),
        (
            "resources: {student: {gpus: 1}}",
            "resources.student.gpus: unknown key; did you mean 'gpu'?",
        ),
        ("pairs: [resnt20/resnet8]", "pairs[0]: unknown model 'resnt20'; did you mean 'resnet20'?"),
        ("pairs: [resnet20]", "pairs[0]: expected TEACHER/STUDENT"),
        ("augmentations: [cutmixx]", "unknown augmentation 'cutmixx'; did you mean 'cutmix'?"),
        ("augmentations: al", "augmentations: unknown augmentation 'al'; did you mean 'all'?"),
        ("dataset: fashon_mini", "unknown data set 'fashon_mini'; did you mean 'fashion_mini'?"),
        ("dataset: {name: fashion_mini, train_images: 9999}", "9999 images wanted of fashion_mini"),
        ("seeds: [0, 1, 0]", "seeds[2]: 0 stands here twice"),
        ("seeds: [-1]", "seeds[0]: expected greater than or equal to 0, not -1"),
        ("seeds: []", "seeds: expected at least one"),
        ("seeds: {frist: 1, count: 3}", "1:9: seeds.frist: unknown key; did you mean 'first'?"),
        ("seeds: {first: -1, count: 3}", "seeds.first: expected greater than or equal to 0, not"),
        ("seeds: {first: 1}", "1:1: seeds.count: this key is missing"),
        ("seeds: {count: 0}", "1:9: seeds.count: expected greater than or equal to 1, not 0"),
        ("seeds: {count: 10001}", "seeds.count: expected less than or equal to 10000, not 10001"),
        ("seeds: {first: 9223372036854775807, count: 2}", "seeds: expected less than 9223372036"),
        ("notes: 3", "notes: expected a valid string, not 3"),
        (f"notes: {'x' * 5000}", "a text of 5,000 letters; 4,096 are the most"),
        ("count: 3", "count: unknown key here; it belongs below seeds"),
        ("name: ../evil", "'../evil': expected letters, digits"),
        ("student: {learning_rate: .nan}", "student.learning_rate: expected a finite number"),
        ("resources: {student: {gpu: 2}}", "expected less than or equal to 1, not 2"),
        (
            "measure: [loss]",
            "'loss' is unknown; expected 's_test_loss' or 't_stddev'",
        ),
        ("stddev: {epochs: 1, batches_per_window: 94}", "T. stddev needs 2 windows or more"),
        ("student: {epochs: yes}", "student.epochs: expected a number, not 'yes'"),
        ("student: {epochs: '3'}", "student.epochs: expected a number, not '3'"),
        ("pairs: [{teacher: resnet8, student: nope}]", "unknown model 'nope'"),
        ("pairs: [3]", "expected TEACHER/STUDENT, as in resnet20/resnet8, not 3"),
        ("schemes: [{path: x, names: [z]}]", "expected the path of a Python file"),
        ("schemes: ~nosuchuser/x.py", "cannot be read"),
        ("teachers: {checkpoint: '/x/{teacher:d}'}", "write {teacher} alone, without a format"),
        ("student: {epochs: 2024-01-31}", "student.epochs: expected a number, not '2024-01-31'"),
        ("augmentations: [cutmixpick2_t]", "'cutmixpick2_t' is written 'cutmixpick_t'"),
        ("augmentations: [cutmaxpick_t]", "unknown augmentation 'cutmax'; did you mean 'cutmix'?"),
        (
            "families: {mix: [cutmx]}",
            "families.mix[0]: cutmx is no augmentation of this sweep; did",
        ),
        ("families: {a: [cutmix], b: [cutmix]}", "families.b[0]: cutmix is in a already"),
        ("families: {a: [cutmix, cutmix]}", "families.a[1]: cutmix stands here twice"),
        (
            "families: {cutmix: [identity]}",
            "families.cutmix: cutmix is an augmentation that is not",
        ),
        ("families: {mix: []}", "families.mix: expected at least one"),
        ("families: {mix: cutmix}", "families.mix: expected a list, as in [a, b], not 'cutmix'"),
        ("families: {a/b: [cutmix]}", "families.a/b: 'a/b': expected letters, digits"),
        ("familes: {}", "familes: unknown key; did you mean 'families'?"),
        ("randomness: image", "'image' is unknown; expected 'batch' or 'sample'"),
        ("execution: graphs", "expected 'eager' or 'graph'; did you mean 'graph'?"),
        ("student: {precision: BF16}", "expected 'fp32', 'tf32' or 'bf16'; did you mean 'bf16'?"),
        ("stddev: {precision: null}", "null is unknown; expected 'fp32', 'tf32' or 'bf16'"),
        (
            "dataset: {name: mine, path: x}",
            "expected the format of x: one of imagefolder, cifar100",
        ),
        ("dataset: {name: mine, path: x, format: imgfolder}", "did you mean 'imagefolder'?"),
        ("dataset: {name: mine, path: x, format: imagefolder}", "imagefolder needs image_size"),
        ("dataset: {name: mine, path: x, format: cifar10, image_size: 9}", "has no image_size"),
        ("dataset: {name: cifar10, image_size: 9}", "are for images of your own: add their path"),
        ("dataset: {name: a/b, path: x, format: cifar10}", "dataset.name: 'a/b': expected letters"),
        (
            "teachers: {checkpoint: 'm/{teachr}.pth'}",
            "placeholder {teachr}; did you mean 'teacher'?",
        ),
        ("teachers: {checkpoint: 'm/{teacher.pth'}", "expected '}' before end of string"),
        ("teachers: {checkpoint: {cifar10: x}}", "has cifar10; expected fashion_mini"),
        ("schemes: none.py", "none.py: cannot be read: No such file or directory"),
        ("student: {epoch_factor: 0}", "student.epoch_factor: expected greater than or equal to 1"),
    ],
)
def test_each_mistake_is_named_with_its_place(line: str, expected: str, tmp_path: Path) -> None:
    key = line.partition(":")[0]
    rest = {"name": "x", "dataset": "fashion_mini", "pairs": ["resnet20/resnet8"], "seeds": [0]}
    rest.pop("name" if key == "nme" else key, None)
    path = tmp_path / "sweep.yaml"
    path.write_text("\n".join([line, *(f"{k}: {v}" for k, v in rest.items())]))
    lines = problems(path)
    assert any(expected in told for told in lines)
    assert len(lines) == 1 + (key == "nme")
    assert lines[0].startswith(f"{path}:1:")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(:", "not a Python file"),
        ("x = 1", 'registers no scheme; expected @register("NAME")'),
        ('@register("cutmix")\ndef f(): ...', "'cutmix' is a name of kdsweep's own"),
        ('@register("mypick_t")\ndef f(): ...', "'mypick_t' is a name of kdsweep's own"),
        ('@register("a")\n@register("a")\ndef f(): ...', "a stands here twice"),
        ('@register("a b")\ndef f(): ...', "'a b': expected letters"),
    ],
)
def test_a_file_of_schemes_that_is_wrong(code: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code)
    (line,) = problems(write_sweep(tmp_path, schemes=[str(tmp_path / "mine.py")]))
    assert expected in line


def test_a_file_of_schemes_is_read_but_not_run(tmp_path: Path) -> None:
    code = 'from x import register\n@register("mine")\ndef f(a, b): ...\nraise SystemExit\n'
    (tmp_path / "mine.py").write_text(code)
    schemes = [str(tmp_path / "mine.py")]
    names = ["all", "mine", "minepick3_s"]
    sweep = load_sweep(write_sweep(tmp_path, schemes=schemes, augmentations=names))
    assert sweep.augmentations == (*AUGMENTATIONS, "mine", "minepick3_s")
    for name in ("mine", "minepick3_s"):
        scheme = sweep.own_scheme(name)
        assert scheme is not None
        assert scheme.source == code
    assert sweep.own_scheme("mixup") is None
    (line,) = problems(write_sweep(tmp_path, schemes=schemes, augmentations=["mime"]))
    assert "unknown augmentation 'mime'; did you mean 'mine'?" in line


def test_all_mistakes_are_told_at_once_in_order(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("name: a b\ndataset: x\npairs: [a/b]\nseeds: [x]\nfoo: 1\n")
    assert [line.split(":")[1] for line in problems(path)] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1,\nb", "not YAML"),
        ("name: x\nname: y", "2:1: name: this key stands here twice"),
        ("- 1", "expected the keys of a sweep"),
        ("", "expected the keys of a sweep"),
        ("name: !!python/object/apply:os.system [ls]", "the tag tag:yaml.org,2002:python"),
        (
            "name: !!python/name:os.system",
            "the tag tag:yaml.org,2002:python/name:os.system is not allowed",
        ),
        ("[" * 10_000, "nested"),
        ("a: &a [*a]", "nested at most 50 deep"),
    ],
)
def test_what_is_not_a_sweep(content: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(content)
    with pytest.raises(FileError) as caught:
        load_sweep(path)
    assert expected in str(caught.value)


def test_a_yaml_bomb_is_refused_at_once(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(levels))
    assert "at most 100000 values" in problems(path)[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content in (("missing", None), ("binary", b"\xff\xfe\x00"), ("huge", b"#" * 2**21)):
        path: Any = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=str(path)):
            load_sweep(path)
    os.mkfifo(tmp_path / "unused")
    with pytest.raises(UserError, match="cannot be read"):
        load_sweep(tmp_path)


def test_a_saved_sweep_reads_back(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text('@register("mine")\ndef f(a, b): ...')
    sweep = load_sweep(
        write_sweep(
            tmp_path,
            schemes=[str(tmp_path / "mine.py")],
            augmentations=["flip", "mine"],
            grid={"student.temperature": [2, 4]},
            overrides=[{"where": {"seed": 0}, "set": {"student.milestones": [3]}}],
            exclude=[{"augmentation": "flip"}],
        )
    )
    (tmp_path / "mine.py").unlink()
    again = Sweep.model_validate_json(sweep.model_dump_json())
    assert again.model_dump() == sweep.model_dump()


def test_two_files_cannot_register_one_name(tmp_path: Path) -> None:
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text('@register("mine")\ndef f(): ...')
    (line,) = problems(write_sweep(tmp_path, schemes=list(map(str, files))))
    assert "schemes[1]: mine stands here twice" in line


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Also those that only show once others are out of the way; and nothing that follows from them."""
    path = tmp_path / "bad.yaml"
    path.write_text(
        """name: bad
dataset: fashion_mini
pairs: [resnet20/resnet8, resnet20/ShufleV2, resnet20/resnet8, resnet20/resnet14]
augmentations: [flip, al]
seeds: [0, 1, 1]
student: {epochs: 2.5, milestones: 3}
teachers: 7
grid: {student.epochs: [1, two], student.learning_rate: [0.1, -1], student.temperature: []}
overrides:
  - where: {student: resnet8, augmentation: cutmixx}
    set: {student.learning_rate: -1, student.pick_size: a}
  - where: {student: resnet8}
    set: {}
exclude:
  - {pair: resnet20/ShufleV2, augmentation: flip}
  - flip
milestones: [3]
"""
    )
    found = [line.removeprefix(f"{path}:") for line in problems(path)]
    assert [line.split(": ")[:2] for line in found] == [
        ["3:27", "pairs[1]"],
        ["3:46", "pairs[2]"],
        ["4:23", "augmentations[1]"],
        ["5:15", "seeds[2]"],
        ["6:11", "student.epochs"],
        ["6:24", "student.milestones"],
        ["7:1", "teachers"],
        ["8:8", "grid.student.epochs"],
        ["8:34", "grid.student.learning_rate"],
        ["8:68", "grid.student.temperature"],
        ["11:11", "overrides[0].set.student.learning_rate"],
        ["11:38", "overrides[0].set.student.pick_size"],
        ["13:5", "overrides[1].set"],
        ["16:5", "exclude[1]"],
        ["17:1", "milestones"],
    ]
    assert found[-1].endswith("unknown key here; it belongs below teachers or student")


@pytest.mark.parametrize(
    ("normalised", "told"),
    [
        (
            "mean: [114, 1, 1], std: [1, 1, 1]",
            "mean[0]: expected a fraction of 1, not 114; 114 of 255 is 0.4471",
        ),
        ("mean: [1, 1, 1], std: [0, 1, 1]", "std[0]: expected greater than 0, not 0"),
        ("mean: [1, 1, 1], std: [1]", "std: expected 3 values, not 1"),
        ("mean: [1, 1, 1], std: [1, 1, 1, 1]", "std: expected 3 values at most, not 4"),
        ("mean: [1, 1, 1]", "mean and std are given together, three numbers each"),
    ],
)
def test_what_normalises_is_three_fractions_each(
    normalised: str, told: str, tmp_path: Path
) -> None:
    """Said once, and nothing besides: what is taken out of a list leaves it no mistake of its own."""
    path = tmp_path / "sweep.yaml"
    path.write_text(
        f"name: x\npairs: [resnet20/resnet8]\nseeds: [0]\ndataset: {{name: fashion_mini, {normalised}}}"
    )
    (line,) = problems(path)
    assert line.startswith(f"{path}:4:")
    assert line.endswith(told)
    assert "Value error" not in line


def test_what_is_no_number_of_seeds_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: x\npairs: [resnet20/resnet8]\ndataset: fashion_mini\nseeds: {count: two}"
    )
    assert problems(path) == [f"{path}:4:9: seeds.count: expected a number, not 'two'"]


def test_rules_are_checked_to_the_last_one(tmp_path: Path) -> None:
    rules = [{"pair": "resnet8/resnet14"}, {"augmentation": "flip", "seed": 7}]
    found = problems(write_sweep(tmp_path, exclude=rules, include={"student": "resnt8"}))
    assert [line.split(": ")[1] for line in found] == [
        *("exclude[0].pair", "exclude[1].augmentation", "exclude[1].seed", "include.student"),
    ]


def test_families_are_no_part_of_what_is_trained(tmp_path: Path) -> None:
    plain = load_sweep(write_sweep(tmp_path))
    named = load_sweep(write_sweep(tmp_path, families={"mix": ["cutmix", "identity"]}))
    assert named.families == {"mix": ("cutmix", "identity")}
    assert plain.families == {}
    assert [t.fingerprint for t in expand(named)] == [t.fingerprint for t in expand(plain)]


def test_a_family_that_names_what_is_misspelled_elsewhere_is_told_once(tmp_path: Path) -> None:
    changes = {"augmentations": ["identity", "cutmx"], "families": {"mix": ["cutmx"]}}
    (line,) = problems(write_sweep(tmp_path, **changes))
    assert "unknown augmentation 'cutmx'" in line
