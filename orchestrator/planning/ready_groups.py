"""Ready trials in groups, of which the one that should go first is found at once, however many wait.

    ready = ReadyGroups(rank)
    ready.add(key, trial)                  # trials of one key may go together
    ready.first({"student"}, held=())      -> (key, trials)

A group's place is that of its first trial, the one of the smallest rank; among equals the older group goes
first. Only groups that may start are here: what must wait for a moment is kept elsewhere until then.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence

from orchestrator.language.resources import job_kind
from trainer.trial import Trial

Rank = tuple[float, float]
Place = tuple[Rank, int, Hashable]
"""A group's rank, its number (no two are equal, so that keys are never compared), its key."""


class ReadyGroups:
    """Groups of trials, ordered by `rank`; a key's trials are all jobs of one kind."""

    def __init__(self, rank: Callable[[Trial], Rank]) -> None:
        self._rank = rank
        self._groups: dict[Hashable, list[Trial]] = {}
        self._places: dict[Hashable, Place] = {}
        self._order: dict[str, list[Place]] = defaultdict(list)
        """The places of each kind's groups, sorted."""
        self._num_made = 0
        self.num_trials = 0

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, key: Hashable, trial: Trial) -> None:
        """Put a trial into its group, which is made where there is none."""
        group = self._groups.setdefault(key, [])
        insort(group, trial, key=self._rank)
        self.num_trials += 1
        self._place(key)

    def remove(self, key: Hashable, fingerprints: Collection[str]) -> None:
        """Take trials out of a group."""
        group = self._groups[key]
        kind, before = job_kind(group[0]), len(group)
        group[:] = [trial for trial in group if trial.fingerprint not in fingerprints]
        self.num_trials -= before - len(group)
        if group:
            self._place(key)
        else:
            del self._groups[key]
            self._displace(kind, self._places.pop(key))

    def discard(self, fingerprints: Collection[str]) -> set[str]:
        """Take trials out of whatever groups they are in; returns those that were found."""
        taken: set[str] = set()
        for key, group in list(self._groups.items()):
            here = {trial.fingerprint for trial in group}.intersection(fingerprints)
            if here:
                self.remove(key, here)
                taken |= here
        return taken

    def first(
        self, kinds: Iterable[str], held: Collection[str]
    ) -> tuple[Hashable, list[Trial]] | None:
        """The group of these kinds that goes first, with its trials that are not held."""
        candidates: list[tuple[Place, list[Trial]]] = []
        for kind in kinds:
            for place in self._order[kind]:
                if free := self._free(place[2], held):
                    candidates.append((place, free))
                    break
        if not candidates:
            return None
        place, free = min(candidates, key=lambda candidate: candidate[0])
        return place[2], free

    def free(self, held: Collection[str]) -> Iterator[tuple[Hashable, Sequence[Trial]]]:
        """The groups, with their trials that are not held; without those that have none."""
        for key in self._groups:
            if free := self._free(key, held):
                yield key, free

    def _free(self, key: Hashable, held: Collection[str]) -> list[Trial]:
        group = self._groups[key]
        return [t for t in group if t.fingerprint not in held] if held else group

    def _place(self, key: Hashable) -> None:
        """Bring a group to where its first trial belongs."""
        first = self._groups[key][0]
        rank, before = self._rank(first), self._places.get(key)
        if before is not None:
            if before[0] == rank:
                return
            self._displace(job_kind(first), before)
        number = before[1] if before else self._num_made
        self._num_made += before is None
        self._places[key] = place = (rank, number, key)
        insort(self._order[job_kind(first)], place)

    def _displace(self, kind: str, place: Place) -> None:
        order = self._order[kind]
        del order[bisect_left(order, place)]
