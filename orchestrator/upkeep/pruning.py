"""What `kdsweep prune` removes: only what the user names, and first of all only told.

checkpoints       of unfinished trials that nobody works on; they would start over
student-weights   final weights of students; their results stay
teacher-weights   final weights of teachers; their results stay, but no new student can learn from them
failures          of trials that have finished since
damaged           what `kdsweep verify` found broken; the next run makes it again
unnamed           finished trials that no version of any sweep of this store names
FINGERPRINT       everything of one trial (the first 6 digits or more)

Weights that an unfinished trial of a kept sweep depends on stay, whatever is named.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from orchestrator.language.settings import DatasetChoice
from orchestrator.language.sweep import Sweep
from orchestrator.planning.guests import only_read
from orchestrator.planning.lost_weights import needed_weights
from orchestrator.planning.plan import absent_checkpoints, trials_of, unheard
from orchestrator.store.drops import Drop
from orchestrator.store.names import is_fingerprint
from orchestrator.store.store import SWEEPS, Store
from orchestrator.upkeep.verification import PRUNED, Finding, verify
from trainer.catalog import DATASETS
from trainer.files import Folder, LocalFolder
from trainer.positions import FINAL
from trainer.problems import UserError, did_you_mean
from trainer.trial import Trial

WORDS = ("checkpoints", "student-weights", "teacher-weights", "failures", "damaged", "unnamed")
_FINGERPRINT = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Removal:
    """Something to remove: what it is, how many bytes that frees, and how.

    `by` takes out `names`, and those of other removals by the same: a table is rewritten once, not once per trial.
    """

    what: str
    num_bytes: int
    names: tuple[str, ...]
    by: Callable[[Sequence[str]], object]


def carry_out(to_remove: Iterable[Removal]) -> None:
    """Remove it, as far as nobody has begun to work on it since it was told."""
    together: dict[Callable[[Sequence[str]], object], list[str]] = {}
    for removal in to_remove:
        together.setdefault(removal.by, []).extend(removal.names)
    for by, names in together.items():
        by(names)


def removals(
    store: Store, words: Sequence[str], note: Callable[[str], None] = unheard
) -> list[Removal]:
    """What the words stand for in this store; nothing is removed yet. `note` hears of what stays all the same.

    Raises:
        UserError: a word is unknown or names no trial, or a kept sweep cannot be read that may need something.
    """
    to_remove: list[Removal] = []
    for word in words:
        match word:
            case "checkpoints":
                to_remove += _checkpoints(store)
            case "student-weights" | "teacher-weights":
                to_remove += _weights(store, word.partition("-")[0], note)
            case "failures":
                to_remove += _failures(store)
            case "damaged":
                to_remove += _damaged(store)
            case "unnamed":
                to_remove += _unnamed(store, note)
            case _ if _FINGERPRINT.fullmatch(word):
                to_remove += _trial(store, word)
            case _:
                known = did_you_mean(word, WORDS)
                raise UserError(f"{word}: expected a fingerprint or what to remove{known}")
    return to_remove


class _Idle:
    """Trials that nobody works on, asked again when they go: between telling and doing a run may have begun."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.working = frozenset(store.signs.running())

    def left(self, fingerprints: Sequence[str]) -> list[str]:
        working = self._store.signs.running()
        return [fingerprint for fingerprint in fingerprints if fingerprint not in working]

    def forget(self, fingerprints: Sequence[str]) -> None:
        self._store.forget(self.left(fingerprints))

    def drop_checkpoints(self, fingerprints: Sequence[str]) -> None:
        for fingerprint in fingerprints:
            # Of each anew: large files of many trials take their time.
            if self._store.signs.at_work(fingerprint) is None:
                folder = self._store.checkpoint_folder(fingerprint)
                _remove(folder, _unfinished(folder))


def _unfinished(folder: Folder) -> list[str]:
    """All but final weights: those are never touched."""
    return [name for name in folder.names() if name not in (FINAL, PRUNED)]


def _remove(folder: Folder, names: Sequence[str]) -> None:
    for name in names:
        folder.remove(name)
    folder.tidy()


def _size(folder: Folder, name: str) -> int:
    """Nothing where a run has replaced the file by now."""
    try:
        return folder.size(name)
    except FileNotFoundError:
        return 0


def _size_of_all(store: Store, fingerprint: str) -> int:
    """What the files of one trial take; its rows are not counted."""
    folders = (store.checkpoint_folder(fingerprint), LocalFolder(store.trial_folder(fingerprint)))
    return sum(_size(folder, name) for folder in folders for name in folder.names())


def _checkpoints(store: Store) -> Iterator[Removal]:
    """Of a finished trial: what a kill has left beside its final weights."""
    idle = _Idle(store)
    folders = store.folder.folder("checkpoints")
    for fingerprint in folders.folders():
        folder = folders.folder(fingerprint)
        names = _unfinished(folder)
        if names and fingerprint not in idle.working:
            size = sum(_size(folder, name) for name in names)
            what = f"checkpoints of {fingerprint}"
            yield Removal(what, size, (fingerprint,), idle.drop_checkpoints)


def _weights(store: Store, kind: str, note: Callable[[str], None]) -> Iterator[Removal]:
    rows = store.results(columns=("fingerprint", "kind", "dataset")).to_pylist()
    datasets = {row["fingerprint"]: row["dataset"] for row in rows if row["kind"] == kind}
    is_needed = _needing(store, note)
    num_kept = 0

    def drop(fingerprints: Sequence[str]) -> None:
        # Asked again: a run of another sweep may have begun.
        is_needed = _needing(store, unheard)
        for fingerprint in fingerprints:
            if is_needed(fingerprint, datasets[fingerprint]):
                continue
            folder = store.checkpoint_folder(fingerprint)
            folder.write(PRUNED, b"by kdsweep prune")
            folder.remove(FINAL)

    for fingerprint, dataset in datasets.items():
        if not store.has_weights(fingerprint):
            continue
        if is_needed(fingerprint, dataset):
            num_kept += 1
            continue
        size = _size(store.checkpoint_folder(fingerprint), FINAL)
        yield Removal(f"weights of {kind} {fingerprint}", size, (fingerprint,), drop)
    if num_kept:
        note(
            f"weights of {num_kept} {kind}s stay: unfinished trials of sweeps of this store need them"
        )


def _needing(store: Store, note: Callable[[str], None]) -> Callable[[str, str], bool]:
    """Whether unfinished trials of the kept sweeps may need the weights of a trial, of a data set."""
    named, finished = _named(store, note), store.finished()
    needed = needed_weights(
        tuple(named.trials.values()), named.trials.keys() - finished, finished, store
    )

    untold = named._replace(trials={})

    def is_needed(fingerprint: str, dataset: str) -> bool:
        return fingerprint in needed.all or untold.may_be(fingerprint, dataset)

    return is_needed


def _failures(store: Store) -> Iterator[Removal]:
    failed = set(store.failures()["fingerprint"].to_pylist())
    drop = store.tables["failures"].drop
    for fingerprint in sorted(failed & store.finished()):
        yield Removal(f"failures of {fingerprint}", 0, (fingerprint,), drop)


def _damaged(store: Store) -> Iterator[Removal]:
    again = _SecondLook(store)
    for finding in verify(store):
        if finding.file is not None:
            place, name = finding.file
            size = _size(_folder_at(store, place), name)
            what = f"{finding.where}: {finding.problem}"
            yield Removal(what, size, (f"{place}/{name}",), again.remove)
        elif finding.fingerprint is not None:
            what = f"{finding.fingerprint}: {finding.problem}"
            yield Removal(what, 0, (finding.fingerprint,), again.forget)


class _SecondLook:
    """Nothing is removed for one bad answer of a file system or an object store: all is read once more before.

    What a run has in hand by then, or has made again since that look, stays.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._idle = _Idle(store)

    @cached_property
    def _look(self) -> tuple[frozenset[Drop], list[Finding]]:
        """The rows that were there, and what is wrong."""
        # In this order: of a row that is written while all is read, nothing was found.
        return self._store.tables["results"].origins(), verify(self._store)

    def remove(self, paths: Sequence[str]) -> None:
        _, findings = self._look
        for place, name in (found.file for found in findings if found.file is not None):
            kind, _, fingerprint = place.partition("/")
            is_at_work = kind == "checkpoints" and not self._idle.left([fingerprint])
            if f"{place}/{name}" in paths and not is_at_work:
                folder = _folder_at(self._store, place)
                folder.remove(name)
                # By the folder of sweeps living runs know that the store is there.
                if place != SWEEPS:
                    folder.tidy()

    def forget(self, fingerprints: Sequence[str]) -> None:
        seen, findings = self._look
        broken = {finding.fingerprint for finding in findings if finding.file is None}
        left = self._idle.left([fp for fp in fingerprints if fp in broken])
        # In this order: what ends in between has another row, or none while it is made again.
        now = self._store.tables["results"].origins()
        as_seen = {fp for fp, _ in now} - {fp for fp, _ in now - seen}
        self._store.forget([fp for fp in left if fp in as_seen])


def _folder_at(store: Store, place: str) -> Folder:
    """A folder of the store; the trials' are on this machine where the store itself cannot have them."""
    folder: Folder = LocalFolder(store.files) if place.startswith("trials/") else store.folder
    for name in place.split("/"):
        folder = folder.folder(name)
    return folder


class _Named(NamedTuple):
    """What the kept sweeps name."""

    trials: Mapping[str, Trial]
    """By fingerprint, each after what it depends on."""
    untold: frozenset[DatasetChoice]
    """Any trial of these may be named: images or published checkpoints are not here that would tell."""

    def may_be(self, fingerprint: str, dataset: str) -> bool:
        """Whether one of them may be this trial; images of one's own may have had another name."""
        is_own = dataset not in DATASETS
        return fingerprint in self.trials or any(
            choice.name == dataset or (is_own and choice.path) for choice in self.untold
        )


def _named(store: Store, note: Callable[[str], None]) -> _Named:
    """What the kept sweeps name; `note` hears of which that cannot be told.

    Raises:
        UserError: a sweep cannot be read.
    """
    trials: dict[str, Trial] = {}
    untold: set[DatasetChoice] = set()
    for name, content in store.sweeps().items():
        where = f"{store.address}/sweeps/{name}.json"
        try:
            sweep = Sweep.model_validate_json(content)
        except ValueError as error:
            raise UserError(
                f"{where}: cannot be read, so what it names is unknown; kdsweep verify tells more; where "
                f"nobody needs it any more, remove the file: {error}"
            ) from error
        try:
            found = trials_of(sweep, guests=only_read)
            absent = absent_checkpoints(found)
            why = f"{absent[0]}: no such file" if absent else ""
        except (OSError, UserError) as error:
            found, why = [], str(error)
        trials.update((trial.fingerprint, trial) for trial in found)
        if why:
            untold.update(sweep.dataset)
            of = ", ".join(choice.name for choice in sweep.dataset)
            note(f"{where}: what it names cannot be told, so all of {of} stays: {why}")
    return _Named(trials, frozenset(untold))


def _unnamed(store: Store, note: Callable[[str], None]) -> Iterator[Removal]:
    """What dependents of named trials need is named with them, for a sweep's trials are closed."""
    if not store.sweeps():
        raise UserError(f"{store.address}: no sweep is kept here, so every trial would be unnamed")
    named, idle = _named(store, note), _Idle(store)
    columns = ("fingerprint", "kind", "augmentation", "dataset")
    for row in store.results(columns=columns).to_pylist():
        fingerprint = row["fingerprint"]
        if fingerprint not in idle.working and not named.may_be(fingerprint, row["dataset"]):
            of = f" of {row['augmentation']}" if row["augmentation"] else ""
            what = f"{row['kind']} {fingerprint}{of}: no sweep names it"
            yield Removal(what, _size_of_all(store, fingerprint), (fingerprint,), idle.forget)


def _trial(store: Store, prefix: str) -> Iterator[Removal]:
    known = store.finished().union(
        store.folder.folder("checkpoints").folders(),
        LocalFolder(store.files / "trials").folders(),
        store.failures()["fingerprint"].to_pylist(),
    )
    matching = sorted(fp for fp in known if is_fingerprint(fp) and fp.startswith(prefix))
    if len(matching) != 1:
        raise UserError(f"{prefix}: {len(matching)} trials have a fingerprint that starts so")
    (fingerprint,) = matching
    idle = _Idle(store)
    if fingerprint in idle.working:
        raise UserError(f"{fingerprint}: a run works on it now")
    size = _size_of_all(store, fingerprint)
    yield Removal(f"everything of {fingerprint}", size, (fingerprint,), idle.forget)
