"""What a block has changed so far, before it is part of the ledger's state: a layer over the state, and a child of it for each group that is tried.

Pure: names are looked up here first, then in the parent, then in the state. Only `apply` and `adopt` make one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sento_node.ledger.results import NOWHERE, StandingRecord
from sento_node.ledger.state import FactHead, Layer, LedgerState, SubjectHead
from sento_proto.chain import next_link
from sento_proto.governance.state import Governance
from sento_proto.merkle import Frontier
from sento_proto.record import Record
from sento_proto.rules import RULES
from sento_proto.submission import OfficerSignature


class Place(NamedTuple):
    """Where in the block a record came from; `officers` signed it if it is an act."""

    author: str
    submission: int
    nth: int
    officers: tuple[OfficerSignature, ...] = ()


def is_opening(governance: Governance, epoch: int) -> bool:
    """Whether an ordering log of this epoch waits for the act that begins it. Under rules that know no epochs there is none to wait for."""
    rules = RULES.get(governance.rules)
    return rules is not None and rules.epochs and epoch > governance.epoch


class Scratch:
    """What a block has changed so far, over the state; a group works in a child that is merged or thrown away."""

    def __init__(self, state: LedgerState, parent: Scratch | None = None) -> None:
        self.state = state
        self.parent = parent
        self.layer = Layer()
        self.governance: Governance = parent.governance if parent else state.governance
        self.next_position: int = parent.next_position if parent else state.size
        self.epoch: int = parent.epoch if parent else state.epoch
        self.before: Frontier = parent.before if parent else state.frontier
        """The tree before this block, for whoever asks where an epoch forks off."""
        self.block: int = parent.block if parent else state.block

    @property
    def opening(self) -> bool:
        """Whether the ordering log is a new epoch's, and the act that begins it does not stand yet."""
        return is_opening(self.governance, self.epoch)

    @property
    def standing(self) -> list[StandingRecord]:
        """The records that took a position here, in order of position."""
        return list(self.layer.standing.values())

    def known(self, author: str, record_id: bytes) -> tuple[int, bytes] | None:
        """(position, record hash) of an author's record id."""
        found = self.layer.ids.get((author, record_id))
        if found is not None:
            return found, self.layer.standing[found].record.record_hash
        if self.parent is not None:
            return self.parent.known(author, record_id)
        position = self.state.position_of_id(author, record_id)
        return None if position is None else (position, self.state.record_hash_at(position))

    def fact_head(self, registry: str, fact: bytes) -> FactHead | None:
        """The fact's standing version here."""
        found = self.layer.facts.get((registry, fact))
        if found is not None:
            return found
        return (self.state if self.parent is None else self.parent).fact_head(registry, fact)

    def is_version_of(self, registry: str, fact: bytes, record_hash: bytes) -> bool:
        """Whether this hash is a version of this fact."""
        found = self.layer.is_version_of(registry, fact, record_hash)
        if found is not None:
            return found
        return (self.parent or self.state).is_version_of(registry, fact, record_hash)

    def subject_head(self, registry: str, subject: bytes) -> SubjectHead:
        """The end of the subject's chain here."""
        found = self.layer.subjects.get((registry, subject))
        if found is not None:
            return found
        return (self.state if self.parent is None else self.parent).subject_head(registry, subject)

    def record_hash_at(self, position: int) -> bytes:
        """Record hash at a position that stands."""
        found = self.layer.standing.get(position)
        if found is not None:
            return found.record.record_hash
        return (self.parent or self.state).record_hash_at(position)

    def items(self) -> list[StandingRecord]:
        """All records that took a position in this block so far."""
        return (self.parent.items() if self.parent else []) + self.standing

    def stand(self, place: Place, record: Record, fact_head: FactHead | None) -> StandingRecord:
        """Give the record the next position, and its links in the chains of its subject and of its fact, whose head is `fact_head`."""
        header = record.header
        subject_head = self.subject_head(header.registry, header.subject)
        item = StandingRecord(
            self.next_position,
            record,
            place.author,
            place.submission,
            place.nth,
            next_link(subject_head.link, record.record_hash),
            subject_head.position,
            NOWHERE if fact_head is None else fact_head.position,
        )
        self.layer.add(item)
        self.next_position += 1
        return item

    def stand_all(
        self, author: str, submission: int, records: Iterable[tuple[int, Record]]
    ) -> list[StandingRecord]:
        """Let a submission's records, (number in it, record) each, stand one after the other, of which nothing is judged any more: as `stand` does for each."""
        layer, above = self.layer, self.state if self.parent is None else self.parent
        facts, subjects, position = layer.facts, layer.subjects, self.next_position
        items = []
        for nth, record in records:
            header, _, _, _, record_hash = record
            registry = header.registry
            fact, subject = (registry, header.fact), (registry, header.subject)
            fact_head = facts.get(fact) or above.fact_head(*fact)
            subject_head = subjects.get(subject) or above.subject_head(*subject)
            link = next_link(subject_head.link, record_hash)
            before = NOWHERE if fact_head is None else fact_head.position
            item = StandingRecord._make(
                (position, record, author, submission, nth, link, subject_head.position, before)
            )
            layer.ids[author, header.record_id] = layer.hashes[record_hash] = position
            facts[fact] = FactHead._make((position, record_hash))
            subjects[subject] = SubjectHead._make((position, link))
            layer.standing[position] = item
            items.append(item)
            position += 1
        self.next_position = position
        return items

    def merge(self, child: Scratch) -> None:
        """Take in all of a child that stood whole."""
        self.layer.merge(child.layer)
        self.governance = child.governance
        self.next_position = child.next_position
