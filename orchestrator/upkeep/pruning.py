"""What `kdsweep prune` removes: only what the user names, and first of all only told.

checkpoints       of unfinished trials that nobody works on; they would start over
student-weights   final weights of students; their results stay
teacher-weights   final weights of teachers; their results stay, but no new student can learn from them
failures          of trials that have finished since
damaged           what `kdsweep verify` found broken; the next run makes it again
unnamed           finished trials that no version of any sweep of this store names
FINGERPRINT       everything of one trial (the first 6 digits or more)
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import expand
from orchestrator.store.store import Store
from orchestrator.upkeep.verification import PRUNED, Finding, verify
from trainer.files import Folder, LocalFolder
from trainer.positions import FINAL
from trainer.problems import UserError, did_you_mean

WORDS = ("checkpoints", "student-weights", "teacher-weights", "failures", "damaged", "unnamed")
_FINGERPRINT = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Removal:
    """Something to remove: what it is, how many bytes that frees, and how."""

    what: str
    num_bytes: int
    carry_out: Callable[[], None]


def removals(store: Store, words: Sequence[str]) -> list[Removal]:
    """What the words stand for in this store; nothing is removed yet.

    Raises:
        UserError: a word is unknown or names no trial.
    """
    to_remove: list[Removal] = []
    for word in words:
        match word:
            case "checkpoints":
                to_remove += _checkpoints(store)
            case "student-weights" | "teacher-weights":
                to_remove += _weights(store, word.partition("-")[0])
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


def _files(folder: Folder, names: Sequence[str], what: str) -> Removal:
    def carry_out() -> None:
        for name in names:
            folder.remove(name)
        folder.tidy()

    return Removal(what, sum(_size(folder, name) for name in names), carry_out)


def _size(folder: Folder, name: str) -> int:
    """Nothing where a run has replaced the file by now."""
    try:
        return folder.size(name)
    except FileNotFoundError:
        return 0


def _checkpoints(store: Store) -> Iterator[Removal]:
    """Of a finished trial: what a kill has left beside its final weights. Those are never touched."""
    working = store.signs.running()
    folders = store.folder.folder("checkpoints")
    for fingerprint in folders.folders():
        folder = folders.folder(fingerprint)
        names = [name for name in folder.names() if name not in (FINAL, PRUNED)]
        if names and fingerprint not in working:
            removal = _files(folder, names, f"checkpoints of {fingerprint}")
            yield replace(removal, carry_out=_unless_at_work(store, fingerprint, removal))


def _unless_at_work(store: Store, fingerprint: str, removal: Removal) -> Callable[[], None]:
    """Asked again when it is done: between telling and doing a run may have begun."""

    def carry_out() -> None:
        if fingerprint not in store.signs.running():
            removal.carry_out()

    return carry_out


def _weights(store: Store, kind: str) -> Iterator[Removal]:
    rows = store.results().select(["fingerprint", "kind"]).to_pylist()
    for fingerprint in (row["fingerprint"] for row in rows if row["kind"] == kind):
        folder = store.checkpoint_folder(fingerprint)
        if FINAL in folder.names():
            yield _weight(folder, FINAL, f"weights of {kind} {fingerprint}")


def _weight(folder: Folder, name: str, what: str) -> Removal:
    def carry_out() -> None:
        folder.write(PRUNED, b"by kdsweep prune")
        folder.remove(name)

    return Removal(what, folder.size(name), carry_out)


def _failures(store: Store) -> Iterator[Removal]:
    failed = {row["fingerprint"] for row in store.failures().to_pylist()}
    for fingerprint in sorted(failed & store.finished()):
        table = store.tables["failures"]
        yield Removal(f"failures of {fingerprint}", 0, _drop(table.drop, fingerprint))


def _drop(drop: Callable[[list[str]], object], fingerprint: str) -> Callable[[], None]:
    def carry_out() -> None:
        drop([fingerprint])

    return carry_out


def _damaged(store: Store) -> Iterator[Removal]:
    again = _SecondLook(store)
    for finding in verify(store):
        if finding.file is not None:
            place, name = finding.file
            folder = _folder_at(store, place)
            removal = _files(folder, [name], f"{finding.where}: {finding.problem}")
            yield replace(removal, carry_out=again.confirming(finding, removal.carry_out))
        elif finding.fingerprint is not None:
            what = f"{finding.fingerprint}: {finding.problem}"
            forget = _drop(store.forget, finding.fingerprint)
            yield Removal(what, 0, again.confirming(finding, forget))


class _SecondLook:
    """Nothing is removed for one bad answer of a file system or an object store: all is read once more before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: list[Finding] | None = None

    def confirming(self, finding: Finding, carry_out: Callable[[], None]) -> Callable[[], None]:
        def carry_out_if_it_is_so() -> None:
            if self._found is None:
                self._found = verify(self._store)
            if finding in self._found:
                carry_out()

        return carry_out_if_it_is_so


def _folder_at(store: Store, place: str) -> Folder:
    """A folder of the store; the trials' are on this machine where the store itself cannot have them."""
    folder: Folder = LocalFolder(store.files) if place.startswith("trials/") else store.folder
    for name in place.split("/"):
        folder = folder.folder(name)
    return folder


def _unnamed(store: Store) -> Iterator[Removal]:
    """What dependents of named trials need is named with them, for a sweep's trials are closed."""
    named: set[str] = set()
    for name, content in store.sweeps().items():
        try:
            sweep = Sweep.model_validate_json(content)
            named.update(trial.fingerprint for trial in expand(sweep))
        except (ValueError, UserError) as error:
            raise UserError(
                f"{store.address}/sweeps/{name}.json: cannot be read, so what it names is unknown; "
                f"kdsweep verify tells more: {error}"
            ) from error
    if not named:
        raise UserError(f"{store.address}: no sweep is kept here, so every trial would be unnamed")
    working = store.signs.running()
    for row in store.results(columns=("fingerprint", "kind", "augmentation")).to_pylist():
        fingerprint = row["fingerprint"]
        if fingerprint not in named and fingerprint not in working:
            of = f" of {row['augmentation']}" if row["augmentation"] else ""
            what = f"{row['kind']} {fingerprint}{of}: no sweep names it"
            folder = store.checkpoint_folder(fingerprint)
            size = sum(_size(folder, name) for name in folder.names())
            yield Removal(what, size, _drop(store.forget, fingerprint))


def _trial(store: Store, prefix: str) -> Iterator[Removal]:
    known = store.finished().union(store.folder.folder("checkpoints").folders())
    matching = sorted(fp for fp in known if fp.startswith(prefix))
    if len(matching) != 1:
        raise UserError(f"{prefix}: {len(matching)} trials have a fingerprint that starts so")
    (fingerprint,) = matching
    if fingerprint in store.signs.running():
        raise UserError(f"{fingerprint}: a run works on it now")
    folder = store.checkpoint_folder(fingerprint)
    size = sum(map(folder.size, folder.names()))
    yield Removal(f"everything of {fingerprint}", size, _drop(store.forget, fingerprint))
