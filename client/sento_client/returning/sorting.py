"""Sorting orphans: which are offered again, and which stay on a person's list, each with its reason. Every orphan is in one place, and the counts add up.

    stands       it was offered before and stands now
    to offer     whole submissions with nothing against them, or that a person has decided to offer all the same (`take`)
    conflict     its fact has another version in the ledger by now: a person compares the two
    cannot       its submission cannot be shown again as it was signed: its author writes it anew, if it is still true
    left out     by a person's word (`leave_out`)
    refused      the ledger refused it when it was offered
    together     its author signed it together with one that is in one of the four places before, and signatures cover submissions whole

A later version of a fact whose former version stays away is offered, and refused by the ledger: so it comes to people with the ledger's own reason. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from sento_client.returning.orphans_file import NOWHERE, Answer, Orphan, OrphansFile


class Place(StrEnum):
    """Where an orphan is; see the module."""

    STANDS = "stands"
    TO_OFFER = "to offer"
    CONFLICT = "conflict"
    CANNOT = "cannot"
    LEFT_OUT = "left out"
    REFUSED = "refused"
    TOGETHER = "together"


PEOPLE_DECIDE = (Place.CONFLICT, Place.CANNOT, Place.LEFT_OUT, Place.REFUSED, Place.TOGETHER)
"""What stays on the list."""
TRY_AGAIN = frozenset(
    ("NO_ORDERING", "NOT_READY", "QUEUE_FULL", "ORDERING_FULL", "DISK_LOW", "DEADLINE", "UNREACHABLE")
)
"""Answers that say nothing of the record."""


class Sorted(NamedTuple):
    """An orphan, its place, and why."""

    orphan: Orphan
    place: Place
    why: str = ""


class Row(NamedTuple):
    """How many of a registry and an author are in each place."""

    registry: str
    author: str
    counts: dict[Place, int]


@dataclass(frozen=True, slots=True)
class Sorting:
    """All orphans of a file, in its order."""

    items: tuple[Sorted, ...]

    def of(self, *places: Place) -> list[Sorted]:
        """Those in these places."""
        return [one for one in self.items if one.place in places]

    @property
    def counts(self) -> dict[Place, int]:
        """How many are where; their sum is how many there are."""
        counted = Counter(one.place for one in self.items)
        return {place: counted[place] for place in Place}

    @property
    def rows(self) -> list[Row]:
        """By registry and author."""
        found: dict[tuple[str, str], Counter[Place]] = {}
        for one in self.items:
            key = (one.orphan.registry, one.orphan.author)
            found.setdefault(key, Counter())[one.place] += 1
        return [Row(*key, {place: counts[place] for place in Place}) for key, counts in sorted(found.items())]

    def submissions_to_offer(self, at_most: int) -> Iterator[list[bytes]]:
        """Record hashes to offer, in portions of whole submissions with about so many records each."""
        portion: list[bytes] = []
        for _, group in groupby(self.of(Place.TO_OFFER), key=lambda one: one.orphan.submission):
            portion += [one.orphan.record_hash for one in group]
            if len(portion) >= at_most:
                yield portion
                portion = []
        if portion:
            yield portion


def sort_orphans(
    file: OrphansFile, leave_out: Collection[bytes] = (), take: Collection[bytes] = ()
) -> Sorting:
    """Each orphan in its place. `take`: records whose conflict or refusal a person has looked at and that are to be offered all the same."""
    answers = {one.record_hash: one for one in file.answers}
    items: list[Sorted] = []
    for _, group in groupby(file.orphans, key=lambda one: one.submission):
        items += _submission(list(group), answers, leave_out, take)
    return Sorting(tuple(items))


def _submission(
    orphans: Sequence[Orphan],
    answers: dict[bytes, Answer],
    leave_out: Collection[bytes],
    take: Collection[bytes],
) -> list[Sorted]:
    placed = [_placed(one, answers.get(one.record_hash), leave_out, take) for one in orphans]
    in_the_way = next((one for one in placed if one.place in PEOPLE_DECIDE), None)
    if in_the_way is None:
        return placed
    why = f"signed together with {in_the_way.orphan.record_hash.hex()[:16]}: {in_the_way.place}"
    return [
        one._replace(place=Place.TOGETHER, why=why) if one.place is Place.TO_OFFER else one for one in placed
    ]


def _placed(
    orphan: Orphan, answer: Answer | None, leave_out: Collection[bytes], take: Collection[bytes]
) -> Sorted:
    if answer is not None and answer.stands:
        return Sorted(orphan, Place.STANDS, answer.code)
    if orphan.record_hash in leave_out:
        return Sorted(orphan, Place.LEFT_OUT)
    if orphan.why_not:
        return Sorted(orphan, Place.CANNOT, orphan.why_not)
    if orphan.record_hash in take:
        return Sorted(orphan, Place.TO_OFFER)
    if answer is not None and answer.code not in TRY_AGAIN:
        return Sorted(orphan, Place.REFUSED, f"{answer.code} {answer.words}".strip())
    if orphan.against != NOWHERE:
        why = f"its fact has another version at position {orphan.against}; this one was at {orphan.position} of the former epoch"
        return Sorted(orphan, Place.CONFLICT, why)
    return Sorted(orphan, Place.TO_OFFER)
