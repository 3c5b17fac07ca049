"""The report: self-contained, escaped, and alive in a real browser."""

import html
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.bootstrap import Bootstrap
from analysis.coefficients import NAMES
from analysis.correlation_tables import interval
from analysis.evidence import weigh
from analysis.filters import parse_filters
from analysis.noise_free_tables import free_of_noise
from analysis.points import Panel, panels
from analysis.report import render_report
from analysis.report.doubts import doubts
from analysis.report.stated import stated_power
from analysis.rows import read_rows
from analysis.teachers import teachers_alone
from orchestrator.language.sweep import Sweep
from orchestrator.planning.kept_sweeps import kept_plans
from orchestrator.reports.progress import SweepProgress, progress_of
from orchestrator.store.failures import Cause, Failure
from orchestrator.store.records import failure_row
from orchestrator.store.store import Store
from tests.analysis.stores import add, fill, made_up_metrics, paper_trials

STATED = {
    "stated_at": "2026-03-01T09:30:00+00:00",
    "num_students": 27,
    "num_students_finished": 0,
    "power": {
        "assumptions": {
            "rho": 0.8,
            "noise": {"t_stddev": 0.3, "s_test_loss": 0.2},
            "source": "as stated",
        },
        "level": 0.05,
        "own": {
            "n": 9,
            "num_seeds": 3,
            "alone": {"pearson": 0.781, "spearman": 0.62, "kendall": 0.64},
        },
    },
    "sweep": {"name": "mine"},
}
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PAIRS = ("vgg13/vgg8", "wrn_40_2/wrn_16_2")
NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
EVIL = "<script>alert(1)</script></script><img src=x onerror=alert(2)>"

PROBE = """<script>
addEventListener("load", () => {
  const told = [];
  const point = document.querySelector(".point");
  const tip = document.getElementById("tip");
  point.dispatchEvent(new PointerEvent("pointerenter"));
  told.push(`hover:${!tip.hidden}:${tip.querySelector("h3").textContent}`);
  point.dispatchEvent(new PointerEvent("pointerleave"));
  told.push(`left:${tip.hidden}`);
  point.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  const link = tip.querySelector("a");
  told.push(`held:${!tip.hidden}:${!!document.getElementById(link.hash.slice(1))}`);
  location.hash = link.hash;
  document.querySelector('[data-view="ranks"]').click();
  told.push(`ranks:${document.body.classList.contains("ranks")}:${tip.hidden}`);
  document.querySelector(".chip").click();
  told.push(`single:${document.querySelectorAll(".point.chosen").length}`);
  document.getElementById("theme").click();
  told.push(`theme:${document.documentElement.style.colorScheme}`);
  point.dispatchEvent(new PointerEvent("pointerenter"));
  const box = tip.getBoundingClientRect();
  told.push(`window:${innerWidth}:${document.documentElement.scrollWidth > innerWidth}`);
  told.push(`inside:${box.left >= 0 && box.right <= innerWidth}`);
  told.push(`loaded:${performance.getEntriesByType("resource").length}`);
  setTimeout(() => {
    told.push(`opened:${document.querySelector("#trials details").open}`);
    document.body.dataset.told = told.join(" ");
  }, 200);
});
</script>"""


FRAME = """<!doctype html><iframe style="border:0" width="{width}" height="900" srcdoc="{page}"></iframe>
<script>
setTimeout(() => {{
  document.body.dataset.told = document.querySelector("iframe").contentDocument.body.dataset.told;
}}, 2000);
</script>"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Complete on one data set, partial on the other, with a failure whose text is an attack."""
    store = Store(tmp_path_factory.mktemp("store"))
    fill(store, paper_trials(PAIRS, ["cifar100"]))
    left = paper_trials(PAIRS, ["tinyimagenet"], seeds=[0])
    fill(store, left[:-8])
    store.add_failure(failure_row(left[-1], Failure(Cause.PROGRAM, EVIL, trace="trace")))
    return store


@pytest.fixture(scope="module")
def page(store: Store) -> str:
    return render(store)


def render(store: Store, *filters: str) -> str:
    parsed = parse_filters(filters)
    rows = read_rows(store, parsed)
    findings = weigh(panels(rows), bootstrap=Bootstrap(200))
    progress = [SweepProgress("mine", 100, 40, 1), SweepProgress("old", None, None, None)]
    return render_report(
        store,
        rows,
        findings,
        teachers_alone(rows, [e.panel for e in findings.evidence], parsed),
        group_by=["dataset"],
        filters=parsed,
        progress=progress,
        commit="c" * 40,
        at=NOW,
    ).html()


class Outline(HTMLParser):
    """What a page refers to, its identifiers, its figures, and whether its elements close."""

    VOID = frozenset({"meta", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.identifiers: list[str] = []
        self.figures: list[list[tuple[str, dict[str, str | None]]]] = []
        """Of each figure what is in it: elements with their attributes, itself first."""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "figure":
            self.figures.append([])
        if tag == "figure" or "figure" in self.open:
            self.figures[-1].append((tag, found))
        self.references += [v for k in ("src", "href", "srcset") if (v := found.get(k))]
        self.identifiers += [v] if (v := found.get("id")) else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_well_formed_and_refers_to_itself_only(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert len(set(outline.identifiers)) == len(outline.identifiers)
    there = set(outline.identifiers)
    for reference in outline.references:
        assert reference == "data:," or (reference[0] == "#" and reference[1:] in there), reference
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in page


def test_what_the_store_says_is_never_markup(page: str) -> None:
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert page.count("<script") == 2


def test_it_holds_everything(page: str) -> None:
    titles = [
        "Evidence",
        "Doubts",
        "Tables",
        "Learning curves",
        "Methods",
        "Failures",
        "Every trial",
    ]
    assert re.findall("<h2>(.*?)</h2>", page) == titles
    assert page.count('class="point ') == 9 + 9 + 9 + 5
    assert "mine: 40 of 100 trials finished, 1 failed: everything below is partial" in page
    assert "old: this kdsweep cannot read the sweep as it was saved" in page
    assert "kdsweep at commit cccccccccc wrote this page" in page
    assert "precision: fp32;" in page
    assert "<td>cpu, fp32</td>" in page
    assert "Here n = 1 to 3 seeds per cell." in page
    assert "partial: " in page


def test_every_figure_has_a_legend_and_is_told_in_words(page: str) -> None:
    figures = Outline(page).figures
    assert len(figures) == 4 + 4 + 1
    for figure in figures:
        assert [d.get("class") for tag, d in figure if tag == "ul"] == ["legend"]
        told = [d for tag, d in figure if tag == "svg" and d.get("aria-hidden") != "true"]
        told += [d for _, d in figure if (d.get("class") or "").startswith("track ")]
        assert told
        for described in told:
            assert described["role"] in ("img", "group")
            assert re.search(r"\d\.\d", described["aria-label"] or ""), described


def test_a_figure_s_legend_has_its_augmentations_and_no_other(page: str) -> None:
    cards = re.findall(r'<figure class="card" id="panel-\d+">.*?</figure>', page, re.DOTALL)
    for card, n in zip(cards, (9, 9, 9, 5), strict=True):
        (legend,) = re.findall(r'<ul class="legend">(.*?)</ul>', card)
        names = re.findall(r"</svg>(.*?)</li>", legend)
        assert names == re.findall(r'data-name="(.*?)"', card)
        assert len(names) == n


def test_every_panel_is_reached_from_the_forest(page: str) -> None:
    (forest,) = re.findall(r'<figure class="forest-plot".*?</figure>', page, re.DOTALL)
    links = re.findall(r'<a href="#(panel-\d+)">(.*?)</a>', forest)
    cards = re.findall(r'<figure class="card" id="(panel-\d+)"><figcaption>(.*?)<span>', page)
    assert len(links) == 4
    assert links == cards


def test_the_header_names_the_store_its_filters_and_the_time(store: Store) -> None:
    page = render(store, "dataset=cifar100", "pair=vgg13/vgg8")
    (header,) = re.findall("<header>.*?</header>", page)
    assert '<span class="store">store0</span>' in header.replace(store.name, "store0")
    assert "<code>--filter dataset=cifar100</code><code>--filter pair=vgg13/vgg8</code>" in header
    assert '<time datetime="2026-07-01T09:30:00+00:00">2026-07-01 09:30 UTC</time>' in header


def test_tiles_count_data_sets_pairs_and_panels(page: str) -> None:
    tiles = re.findall(r'<div class="tile[a-z ]*"><b>(\d+)</b> <span>(.*?)</span>', page)
    assert tiles[:5] == [
        ("2", "data sets"),
        ("4", "pairs"),
        ("4", "panels"),
        ("9", "augmentations"),
        ("3", "seeds"),
    ]
    assert tiles[-1] == ("1", "failed")


def test_the_answer_is_the_regret_beside_chance_and_the_coefficient(store: Store) -> None:
    rows = read_rows(store, parse_filters(["dataset=cifar100"]))
    found = panels(rows)
    (pooled,) = weigh(found, bootstrap=Bootstrap(200)).pooled
    assert pooled.regret is not None
    choice, random = pooled.regret.choice, pooled.regret.random
    told = claim(page_of(found, store))
    ends = f"{choice.over_seeds.low:.4f} to {choice.over_seeds.high:.4f}"
    assert f"loses <b>{choice.value:.4f}</b> (95% over seeds: {ends}) of S. test loss" in told
    assert f"a random choice loses {random.value:.4f}." in told
    assert f"Kendall's τ is <b>{pooled.estimates['kendall'].value:.2f}</b>" in told


def test_doubts_are_those_of_the_findings(store: Store) -> None:
    found = panels(read_rows(store, parse_filters(["dataset=cifar100"])))
    findings = weigh(found, bootstrap=Bootstrap(200))
    (pooled,) = findings.pooled
    told = dict(re.findall(r"<li><b>(.*?)</b>: (.*?)</li>", doubts(findings)))
    estimate = pooled.estimates["kendall"]
    family = pooled.most_influential_family("kendall")
    assert family is not None
    assert told["One family"] == (
        f"without the family {family[0]}, τ is {estimate.value + family[1]:.2f}."
    )
    assert interval(estimate.over_teachers) in told["Other teachers"]
    assert told["The next teacher"] == "2 teachers cannot tell of one that was not tried."
    assert free_of_noise(estimate.without_noise) in told["Seed noise"]
    least = max(e.estimates["kendall"].smallest_found for e in findings.evidence)
    assert f"n = 9 and 3 seeds, finds a true τ of {least:.2f} in 80% of studies" in told["Power"]
    assert "methods" not in told["Power"]
    assert "before is in the methods." in doubts(findings, has_stated_power=True)
    assert interval(estimate.over_augmentations) in told["Other augmentations"]
    assert "cutmixpick_s" in told["Not a free choice"]
    assert "Partial" not in told
    short = replace(found[0], points=found[0].points[:5])
    assert ": 1 of 3 panels have fewer augmentations than others.</li>" in doubts(
        weigh([*found, replace(short, student="MobileNetV2")], bootstrap=Bootstrap(200))
    )
    lonely = [replace(found[0], points=found[0].points[:2])]
    assert doubts(weigh(lonely, bootstrap=Bootstrap(200))) == ""


def test_every_question_of_a_reviewer_is_answered_on_the_page(store: Store) -> None:
    page = render(store, "dataset=cifar100")
    docs = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()
    after = docs.split("| question | where | words to look for |\n", 1)[1]
    rows = after.split("\n\n", 1)[0].splitlines()[1:]
    assert len(rows) == 12
    seen = html.unescape(re.sub(r"<[^>]+>", " ", page))
    for row in rows:
        _, question, where, words, _ = row.split("|")
        for title in re.findall(r"\*([^*]+)\*", where):
            assert re.search(rf"<h2>{title}</h2>", page), (question, title)
        for sought in re.findall(r"`([^`]+)`", words):
            assert sought in " ".join(seen.split()), (question, sought)


def test_the_forest_shows_what_is_over_teachers_where_there_are_several(page: str) -> None:
    assert '<i class="key teachers"></i>95% over teachers' in page
    assert page.count('<i class="teachers"') == 3 * len(NAMES)  # of three pools, and of no panel


def test_a_hostile_name_is_text_everywhere(store: Store) -> None:
    (panel, *_) = panels(read_rows(store, parse_filters(["dataset=cifar100"])))
    name = f"\"'{EVIL}"
    hostile = replace(panel.points[0], augmentation=name)
    evil = replace(panel, student=name, points=(hostile, *panel.points[1:]))
    page = page_of([evil, replace(evil, teacher="resnet56")], store)
    assert "<img" not in page
    assert page.count("<script") == 2
    assert Outline(page).open == []


def test_only_a_page_that_is_watched_reloads_itself(store: Store) -> None:
    rows = read_rows(store, parse_filters(["dataset=cifar100"]))
    made = render_report(
        store,
        rows,
        weigh(panels(rows), bootstrap=Bootstrap(200)),
        [],
        group_by=["dataset"],
        filters=(),
        progress=[],
        commit=None,
        at=NOW,
    )
    assert 'id="watched"' not in made.html()
    assert '<div id="watched" data-every="7" hidden=""></div>' in made.html(reload_s=7)


def test_filters_narrow_the_whole_page(store: Store) -> None:
    page = render(store, "dataset=cifar100", "pair=vgg13/vgg8")
    assert page.count('class="point ') == 9
    assert "wrn_40_2/wrn_16_2" not in page


def test_an_empty_store_has_a_page_that_says_so(tmp_path: Path) -> None:
    page = render(Store(tmp_path))
    assert "Not yet known" in page
    assert Outline(page).open == []


def test_progress_counts_a_saved_sweep(store: Store, tmp_path: Path) -> None:
    own = Store(tmp_path)
    sweep = Sweep.model_validate(
        {"name": "x", "dataset": "fashion_mini", "pairs": ["resnet8/resnet8"], "seeds": [0]}
    )
    own.save_sweep("x", sweep.model_dump(mode="json"))
    own.save_sweep("y", {"name": "y"})
    x, y = progress_of(kept_plans(own))
    assert (x.name, x.total, x.done) == ("x", 19, 0)
    assert (y.name, y.total) == ("y", None)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_it_lives_in_a_real_browser(page: str, width: int, tmp_path: Path) -> None:
    """No console message at all, no request, nothing wider than the window, and every control works."""
    assert CHROMIUM is not None
    path = tmp_path / "report.html"
    # In a frame, because a browser's own window does not become as narrow as a phone.
    probed = page.replace("</body>", f"{PROBE}</body>")
    path.write_text(FRAME.format(width=width, page=html.escape(probed)))
    browser = subprocess.run(
        [
            CHROMIUM,
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--window-size=1400,1000", "--virtual-time-budget=4000", "--dump-dom"),
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in browser.stderr, browser.stderr
    told = re.search(r'data-told="([^"]*)"', browser.stdout)
    assert told is not None
    assert told[1].split() == [
        "hover:true:identity",
        "left:true",
        "held:true:true",
        "ranks:true:true",
        "single:4",
        "theme:dark",
        f"window:{width}:false",
        "inside:true",
        "loaded:0",
        "opened:true",
    ]


def test_a_browser_would_tell_of_a_broken_page(tmp_path: Path) -> None:
    """The check above sees errors: a page with one does not pass it."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed (apt-get install chromium)")
    path = tmp_path / "broken.html"
    path.write_text("<script>undefinedFunction()</script>")
    arguments = [CHROMIUM, "--headless=new", "--no-sandbox", "--enable-logging=stderr"]
    arguments += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    browser = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" in browser.stderr


def page_of(found: list[Panel], store: Store) -> str:
    findings = weigh(found, bootstrap=Bootstrap(200))
    return render_report(
        store,
        read_rows(store),
        findings,
        [],
        group_by=["dataset"],
        filters=(),
        progress=[],
        commit=None,
        at=NOW,
    ).html()


def claim(page: str) -> str:
    return " ".join(re.findall(r'<p class="claim">(.*?)</p>', page))


def test_the_headline_is_of_the_stores_own_results(store: Store) -> None:
    own = panels(read_rows(store, parse_filters(["dataset=cifar100"])))
    foreign = [replace(panel, source="imported") for panel in own]
    alone = page_of(own, store)
    assert claim(alone).startswith("Over 2 pairs of 2 teachers, choosing an augmentation by")
    both = page_of([*own, *foreign], store)
    assert claim(both).startswith("Over 2 pairs of 2 teachers (own results), choosing an")
    # One own panel is no pool, and still goes before a pool of imported ones.
    mixed = page_of([own[0], *foreign], store)
    assert claim(mixed).startswith(f"For {own[0].title} (own results), choosing an")
    assert claim(page_of(foreign, store)).startswith(
        "Over 2 pairs of 2 teachers (imported results)"
    )
    # A source whose panels say nothing yet leaves the headline to the other.
    early = replace(own[0], points=own[0].points[:2])
    assert "(imported results)" in claim(page_of([early, *foreign], store))


def test_the_headline_says_of_how_many_pairs_it_is(store: Store) -> None:
    own = panels(read_rows(store, parse_filters(["dataset=cifar100"])))
    third = replace(own[0], student="MobileNetV2", points=own[0].points[:3])
    assert claim(page_of([*own, third], store)).startswith("Over 2 of 3 pairs of 2 teachers")


def test_p_values_are_called_exact_where_they_are(store: Store) -> None:
    (panel, *_) = panels(read_rows(store, parse_filters(["dataset=cifar100"])))
    tenth = replace(panel.points[0], augmentation="own", t_stddev=panel.points[1].t_stddev)
    longer = replace(panel, student="resnet8", points=(*panel.points, tenth))
    exact, sampled = "exact permutation test", "permutation test over 99,999 random orders"
    mixed = "permutation test, exact up to 9 augmentations, over 99,999 random orders above"
    for found, words in (([panel], exact), ([longer], sampled), ([panel, longer], mixed)):
        page = page_of(found, store)
        assert [word for word in (exact, sampled, mixed) if word in page] == [words]
        assert page.count(words) == 3
        assert ("Phipson" in page) == (words != exact)


def test_values_that_are_not_finite_are_told_of(tmp_path: Path) -> None:
    own = Store(tmp_path)
    for trial in paper_trials(PAIRS[:1], ["cifar100"]):
        numbers = made_up_metrics(trial)
        if trial.kind == "student" and trial.augmentation in ("mixup", "flip"):
            is_lost = trial.augmentation == "mixup" or trial.seed == 0
            numbers["test_loss"] = math.nan if is_lost else numbers["test_loss"]
        add(own, trial, **numbers)
    page = render(own)
    assert page.count('class="point ') == 8
    assert '<td class="missing">3 not finite</td>' in page
    assert "Not finite: 4 finished trials, left out of 2 cells, 1 of which has no other" in page
    assert page.count("<td>loss not finite</td>") == 4
    assert "<figcaption>cifar100 vgg13/vgg8<span>n = 8</span></figcaption>" in page
    told = json.loads(re.findall(r'id="point-data">(.*?)</script>', page)[0])
    (flip,) = [point for point in told.values() if point["name"] == "flip"]
    assert flip["rows"][1][1].endswith("(1 not finite)")


def test_power_that_was_stated_is_told_with_what_had_finished_then(tmp_path: Path) -> None:
    store = fill(Store(tmp_path), paper_trials(["vgg13/vgg8"], ["cifar100"]))
    store.save_power("mine", STATED)
    store.save_power("other", STATED | {"sweep": {"name": "other"}})
    told = stated_power(store, None)
    assert len(told) == 2
    (mine,) = stated_power(store, {"mine"})
    assert mine.startswith(
        "Power of mine was stated on 2026-03-01 09:30 UTC, when 0 of its 27 students had finished: "
    )
    assert "Pearson 78%, Spearman 62%, Kendall 64%" in mine
    rows = read_rows(store)
    findings = weigh(panels(rows), bootstrap=Bootstrap(100))
    page = render_report(
        store,
        rows,
        findings,
        [],
        group_by=("dataset",),
        filters=(),
        progress=(),
        commit=None,
        at=NOW,
    ).html()
    assert "when 0 of its 27 students had finished" in page
    assert "a true coefficient of at least: Kendall" in page
    # What was changed afterwards was not stated.
    (path,) = (tmp_path / "power").glob("mine.*.json")
    path.write_text(path.read_text().replace("0.8", "0.7"))
    assert stated_power(store, {"mine"}) == []
