"""What offices write: new facts, further versions, two authors on one fact, chains, groups, repetitions, and everything that must be refused.

A `Write` is one intention of an office: its records, every hash that was ever sent for each (more than one only under a planted bug), and what the office
was told in the end. `bad` ones are not expected to stand; the rules and not the workload say what becomes of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.heap import EventHeap

from genesis_builder import TestWorld, build_genesis, make_record
from sento_client.testing.world import Numbers
from sento_proto.errors import Code
from sento_proto.header import ZERO16, ZERO32
from sento_proto.record import Record
from sento_proto.submission import group_value, sign_submission

Fact = tuple[str, bytes]
Peek = Callable[[Fact], bytes | None]
"""The head of a fact as some site's ledger has it now."""

AUTHORS = {
    "iizuka-city": (("residency", ""), ("tax", "")),
    "iizuka-hospital": (("health", "*"),),
    "kaga-city": (("residency", ""),),
    "soo-village": (("residency", ""), ("tax", "")),
}
BUDGETS = {"soo-village": (14, 5)}
HOME = {"iizuka-city": "tax", "iizuka-hospital": "health", "kaga-city": "residency", "soo-village": "tax"}
SUBJECTS = [bytes([number]) * 32 for number in range(1, 9)]
SHARED: list[Fact] = [("residency", bytes([0xAA]) * 15 + bytes([number])) for number in range(4)]
KINDS = {
    "first": 18, "next": 24, "shared": 22, "chain": 7, "group": 9, "mixed group": 3, "again": 4, "reused id": 3, "stale": 3,
    "orphan": 3, "forbidden": 3, "tampered": 1, "other ledger": 1, "malformed": 1,
}  # fmt: skip
NOT_BATCHED = ("again", "reused id", "tampered", "other ledger", "malformed")
"""Kinds sent as submissions of their own."""
BAD = ("mixed group", "reused id", "stale", "orphan", "forbidden", "tampered", "other ledger", "malformed")
"""Kinds that an office gives up when they are not accepted before their deadline."""


@functools.cache
def ground(sites: tuple[str, ...]) -> TestWorld:
    """The genesis of all worlds with these sites; nothing of it changes."""
    return build_genesis(sites, AUTHORS, budgets=BUDGETS, name="sento-simulation")


@dataclass(slots=True, eq=False)
class Write:
    """One intention. `told[i]` is None while the office does not know what became of record i."""

    kind: str
    records: list[Record]
    raw: bytes | None = None
    told: list[Code | None] = field(default_factory=list)
    sent_as: list[list[bytes]] = field(default_factory=list)
    on_its_way: bool = False

    def __post_init__(self) -> None:
        self.told = [None] * len(self.records)
        self.sent_as = [[record.record_hash] for record in self.records]

    @property
    def settled(self) -> bool:
        """Whether the office knows everything."""
        return None not in self.told

    @property
    def is_group(self) -> bool:
        """Whether it stands or falls whole."""
        return self.records[0].header.group != ZERO16

    def together(self, index: int) -> list[Record]:
        """The records that stand or fall with this one."""
        return self.records if self.is_group else [self.records[index]]

    @property
    def bad(self) -> bool:
        """Whether it is given up when it is not accepted in time."""
        return self.kind in BAD


class Desk:
    """Makes the writes of one office. `heads`: versions that the office knows to stand."""

    def __init__(self, heap: EventHeap, world: TestWorld, author: str, number: int, peek: Peek) -> None:
        self._heap = heap
        self._world = world
        self._author = author
        self._numbers = Numbers(heap.between(0, 1 << 40))
        self._peek = peek
        self._mark = number
        self._made = 0
        self.heads: dict[Fact, tuple[bytes, bytes]] = {}
        self.known: list[Record] = []

    def make(self) -> Write:
        """The next write."""
        kind = self._heap.random.choices(list(KINDS), list(KINDS.values()))[0]
        return getattr(self, "_" + kind.replace(" ", "_"))()  # type: ignore[no-any-return]

    def reseal(self, record: Record) -> Record:
        """The same content as another record: what must never be done to an unanswered one."""
        header = record.header
        return self._record(header.registry, header.subject, header.fact, header.previous, group=header.group)

    def learned(self, record: Record) -> None:
        """A record of ours stands."""
        header = record.header
        self.heads[header.registry, header.fact] = (header.subject, record.record_hash)
        self.known.append(record)

    # -- kinds ---------------------------------------------------------------------------------------------------------

    def _record(
        self,
        registry: str,
        subject: bytes,
        fact: bytes,
        previous: bytes = ZERO32,
        *,
        group: bytes = ZERO16,
        record_id: bytes | None = None,
    ) -> Record:
        content = b"x" * self._heap.between(0, 300) if self._heap.chance(0.3) else None
        return make_record(
            self._world, self._author, registry, "sim", subject, fact, previous, content, record_id,
            "ward" if registry == "health" else "", group=group, numbers=self._numbers,
        )  # fmt: skip

    def _new_fact(self) -> bytes:
        self._made += 1
        return self._mark.to_bytes(8, "big") + self._made.to_bytes(8, "big")

    def _registry(self) -> str:
        return HOME[self._author]

    def _subject(self) -> bytes:
        return self._heap.one_of(SUBJECTS)

    def _first(self) -> Write:
        return Write("first", [self._record(self._registry(), self._subject(), self._new_fact())])

    def _next(self) -> Write:
        if not self.heads:
            return self._first()
        (registry, fact), (subject, head) = self._heap.one_of(list(self.heads.items()))
        return Write("next", [self._record(registry, subject, fact, head)])

    def _shared(self) -> Write:
        if not any(scope[0] == "residency" for scope in AUTHORS[self._author]):
            return self._next()
        registry, fact = self._heap.one_of(SHARED)
        head = self._peek((registry, fact))
        return Write("shared", [self._record(registry, SUBJECTS[fact[-1]], fact, head or ZERO32)])

    def _chain(self) -> Write:
        subject, fact, previous = self._subject(), self._new_fact(), ZERO32
        records = []
        for _ in range(self._heap.between(2, 4)):
            records.append(self._record(self._registry(), subject, fact, previous))
            previous = records[-1].record_hash
        return Write("chain", records)

    def _group(self) -> Write:
        count = self._heap.between(2, 4)
        return self._grouped("group", [(self._new_fact(), ZERO32) for _ in range(count)])

    def _mixed_group(self) -> Write:
        """A group with a member whose predecessor is of another record of ours that may still be on its way, or of none at all."""
        missing = self._numbers.take(32)
        return self._grouped("mixed group", [(self._new_fact(), ZERO32), (self._new_fact(), missing)])

    def _grouped(self, kind: str, members: list[tuple[bytes, bytes]]) -> Write:
        record_ids = [self._numbers.record_id() for _ in members]
        group = group_value(record_ids)
        records = [
            self._record(self._registry(), self._subject(), fact, previous, group=group, record_id=record_id)
            for (fact, previous), record_id in zip(members, record_ids, strict=True)
        ]
        return Write(kind, records)

    def _again(self) -> Write:
        alone = [record for record in self.known if record.header.group == ZERO16]
        return Write("again", [self._heap.one_of(alone)]) if alone else self._first()

    def _reused_id(self) -> Write:
        if not self.known:
            return self._first()
        record_id = self._heap.one_of(self.known).header.record_id
        return Write(
            "reused id",
            [self._record(self._registry(), self._subject(), self._new_fact(), record_id=record_id)],
        )

    def _stale(self) -> Write:
        if not self.heads:
            return self._first()
        (registry, fact), (subject, _) = self._heap.one_of(list(self.heads.items()))
        return Write("stale", [self._record(registry, subject, fact)])

    def _orphan(self) -> Write:
        missing = self._numbers.take(32)
        return Write("orphan", [self._record(self._registry(), self._subject(), self._new_fact(), missing)])

    def _forbidden(self) -> Write:
        registry = "tax" if self._author in ("kaga-city", "iizuka-hospital") else "health"
        return Write("forbidden", [self._record(registry, self._subject(), self._new_fact())])

    def _signed(self, records: list[Record], ledger_id: bytes) -> bytes:
        return sign_submission(ledger_id, records, self._world.author_signers[self._author])

    def _tampered(self) -> Write:
        write = self._first()
        data = bytearray(self._signed(write.records, self._world.ledger_id))
        data[-self._heap.between(1, 64)] ^= 1
        return Write("tampered", write.records, bytes(data))

    def _other_ledger(self) -> Write:
        write = self._first()
        return Write("other ledger", write.records, self._signed(write.records, bytes(32)))

    def _malformed(self) -> Write:
        write = self._first()
        data = self._signed(write.records, self._world.ledger_id)
        return Write("malformed", write.records, data[: self._heap.between(0, len(data) - 1)])
