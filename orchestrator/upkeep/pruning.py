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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import expand, unheard
from orchestrator.store.names import is_fingerprint
from orchestrator.store.store import Store
from orchestrator.upkeep.verification import PRUNED, Finding, verify
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
                to_remove += _unnamed(store)
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

    def _left(self, fingerprints: Sequence[str]) -> list[str]:
        working = self._store.signs.running()
        return [fingerprint for fingerprint in fingerprints if fingerprint not in working]

    def forget(self, fingerprints: Sequence[str]) -> None:
        self._store.forget(self._left(fingerprints))

    def drop_checkpoints(self, fingerprints: Sequence[str]) -> None:
        for fingerprint in self._left(fingerprints):
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
    rows = store.results(columns=("fingerprint", "kind")).to_pylist()
    needed = _needed_weights(store)
    num_kept = 0

    def drop(fingerprints: Sequence[str]) -> None:
        for fingerprint in fingerprints:
            folder = store.checkpoint_folder(fingerprint)
            folder.write(PRUNED, b"by kdsweep prune")
            folder.remove(FINAL)

    for fingerprint in (row["fingerprint"] for row in rows if row["kind"] == kind):
        if not store.has_weights(fingerprint):
            continue
        if fingerprint in needed:
            num_kept += 1
            continue
        size = _size(store.checkpoint_folder(fingerprint), FINAL)
        yield Removal(f"weights of {kind} {fingerprint}", size, (fingerprint,), drop)
    if num_kept:
        note(
            f"weights of {num_kept} {kind}s stay: unfinished trials of sweeps of this store need them"
        )


def _needed_weights(store: Store) -> frozenset[str]:
    """What unfinished trials of the kept sweeps depend on."""
    trials = _named(store)
    finished = store.finished()
    left = (trial for fingerprint, trial in trials.items() if fingerprint not in finished)
    return frozenset(fingerprint for trial in left for fingerprint in trial.depends_on)


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
    """Nothing is removed for one bad answer of a file system or an object store: all is read once more before."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _found(self) -> list[Finding]:
        return verify(self._store)

    def remove(self, paths: Sequence[str]) -> None:
        for place, name in (found.file for found in self._found if found.file is not None):
            if f"{place}/{name}" in paths:
                _remove(_folder_at(self._store, place), [name])

    def forget(self, fingerprints: Sequence[str]) -> None:
        found = {finding.fingerprint for finding in self._found if finding.file is None}
        self._store.forget([fp for fp in fingerprints if fp in found])


def _folder_at(store: Store, place: str) -> Folder:
    """A folder of the store; the trials' are on this machine where the store itself cannot have them."""
    folder: Folder = LocalFolder(store.files) if place.startswith("trials/") else store.folder
    for name in place.split("/"):
        folder = folder.folder(name)
    return folder


def _named(store: Store) -> dict[str, Trial]:
    """The trials of all kept sweeps, each with what it depends on.

    Raises:
        UserError: a sweep cannot be read.
    """
    named: dict[str, Trial] = {}
    for name, content in store.sweeps().items():
        try:
            sweep = Sweep.model_validate_json(content)
            named.update((trial.fingerprint, trial) for trial in expand(sweep))
        except (ValueError, UserError) as error:
            raise UserError(
                f"{store.address}/sweeps/{name}.json: cannot be read, so what it names is unknown; "
                f"kdsweep verify tells more: {error}"
            ) from error
    return named


def _unnamed(store: Store) -> Iterator[Removal]:
    """What dependents of named trials need is named with them, for a sweep's trials are closed."""
    named, idle = _named(store), _Idle(store)
    if not named:
        raise UserError(f"{store.address}: no sweep is kept here, so every trial would be unnamed")
    for row in store.results(columns=("fingerprint", "kind", "augmentation")).to_pylist():
        fingerprint = row["fingerprint"]
        if fingerprint not in named and fingerprint not in idle.working:
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
