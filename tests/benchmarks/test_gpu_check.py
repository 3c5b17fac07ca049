"""The check for the first minutes on a GPU runs to its end where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
BLOCKED = """
import sys
for name in ("ray", "pandas", "pyarrow", "orchestrator", "analysis"):
    sys.modules[name] = None
from benchmarks.gpu_check.__main__ import main
"""


@pytest.mark.slow
def test_everything_at_its_smallest_on_the_cpu_and_nothing_of_ray(tmp_path: Path) -> None:
    output = tmp_path / "gpu-check.json"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{BLOCKED}\nsys.exit(main(['--smoke', '--output', {str(output)!r}]))",
        ],
        cwd=TOP,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert report["about"]["device"] == "cpu"
    assert all(found["ok"] for found in report["findings"].values())
    names = set(report["findings"])
    assert {"bytes of AutoAugment", "students in bf16", "T. stddev", "a teacher"} <= names
    assert "group of nine|resnet8/resnet8|bf16|NHWC|graph" in names


def test_what_is_missing_is_told_in_a_line() -> None:
    blocked = "import sys; sys.modules['pydantic'] = None"
    begun = "from benchmarks.gpu_check.__main__ import main; sys.exit(main([]))"
    code = f"{blocked}; {begun}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "lacks pydantic; wheels may travel along" in done.stderr
    assert "Traceback" not in done.stderr


def test_findings_of_another_device_are_not_overwritten(tmp_path: Path) -> None:
    from benchmarks.gpu_check.__main__ import _report_of

    path = tmp_path / "gpu-check.json"
    mine = {"device": "cpu", "capability": (9, 0)}
    report = _report_of(path, mine)
    report["findings"]["bits"] = {"ok": True}
    path.write_text(json.dumps(report))
    assert _report_of(path, mine)["findings"] == {"bits": {"ok": True}}
    for content in (json.dumps({"about": {"device": "NVIDIA H200"}}), "[]", "no JSON"):
        path.write_text(content)
        with pytest.raises(ValueError):  # noqa: PT011
            _report_of(path, mine)
        assert path.read_text() == content


def test_a_check_that_fails_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    from benchmarks.gpu_check.correct import DifferentBitsError, outcome

    def differing() -> None:
        raise DifferentBitsError("eager and replayed: 1 of 9 trials differ")

    found = outcome(differing)
    assert not found["ok"]
    assert found["error"] == "DifferentBitsError: eager and replayed: 1 of 9 trials differ"
    assert outcome(lambda: {"steps": 2}) == {"ok": True, "steps": 2}


def test_the_time_in_which_any_kernel_runs_is_counted_once() -> None:
    from benchmarks.gpu_check.speed import _covered

    assert _covered([(0.0, 2.0), (1.0, 3.0), (1.5, 2.0), (5.0, 6.0)]) == 4.0
    assert _covered([]) == 0.0


@pytest.mark.parametrize("word", ["-1", "0", "soon", "nan", "inf"])
def test_seconds_that_are_no_time_are_refused(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.gpu_check.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main([f"--seconds={word}"])
    assert ended.value.code == 2
    assert f"expected a number of seconds above 0, not '{word}'" in capsys.readouterr().err
