"""What offices write: new facts, further versions, two authors on one fact, chains, groups, repetitions, and everything that must be refused.

A `Write` is one intention of an office: its records, every hash that was ever sent for each (more than one only under a planted bug), and what the office
was told in the end. `bad` ones are not expected to stand; the rules and not the workload say what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.heap import EventHeap
from tests.simulation.people import AUTHORS, author_signers

from genesis_builder import TestWorld
from sento_client.testing.world import Numbers
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.keys import Signer
from sento_proto.record import Record, make_record
from sento_proto.sealing import seal_record
from sento_proto.submission import group_value, sign_submission

Fact = tuple[str, bytes]
Peek = Callable[[Fact], bytes | None]
"""The head of a fact as some site's ledger has it now."""

Look = Callable[[], Governance | None]
"""Governance as some site has it now."""
HOME = {"iizuka-city": "tax", "iizuka-hospital": "health", "kaga-city": "residency", "soo-village": "tax"}
SUBJECTS = [bytes([number]) * 32 for number in range(1, 9)]
SHARED: list[Fact] = [("residency", bytes([0xAA]) * 15 + bytes([number])) for number in range(4)]
KINDS = {
    "first": 18, "next": 24, "shared": 22, "chain": 7, "group": 9, "mixed group": 3, "again": 4, "reused id": 3, "stale": 3,
    "orphan": 3, "forbidden": 3, "tampered": 1, "other ledger": 1, "malformed": 1, "seals": 3, "closed epoch": 1,
}  # fmt: skip
NOT_BATCHED = ("again", "reused id", "tampered", "other ledger", "malformed")
"""Kinds sent as submissions of their own."""
BAD = ("mixed group", "reused id", "stale", "orphan", "forbidden", "tampered", "other ledger", "malformed")
"""Kinds that an office gives up when they are not accepted before their deadline."""


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

    def __init__(
        self, heap: EventHeap, world: TestWorld, author: str, number: int, peek: Peek, look: Look
    ) -> None:
        self._heap = heap
        self._world = world
        self._author = author
        self._numbers = Numbers(heap.between(0, 1 << 40))
        self._peek = peek
        self._look = look
        self._signers = author_signers(author)
        self._key_id = world.key_id(author)
        self._governance: Governance | None = None
        self._mark = number
        self._made = 0
        self.heads: dict[Fact, tuple[bytes, bytes]] = {}
        self.known: list[Record] = []

    def make(self) -> Write:
        """The next write."""
        self._look_up()
        kind = self._heap.random.choices(list(KINDS), list(KINDS.values()))[0]
        return getattr(self, "_" + kind.replace(" ", "_"))()  # type: ignore[no-any-return]

    def _look_up(self) -> None:
        """See what officers decided, and take the newest key of ours that is neither retired nor ended, if there is one."""
        self._governance = governance = self._look() or self._governance
        if governance is None:
            return
        good = [
            (known.enrolled_at, key_id)
            for key_id, known in governance.author_keys.items()
            if known.author == self._author and known.ended_at is None
        ]
        fresh = [one for one in good if governance.author_keys[one[1]].retired_at is None]
        must = governance.authors[self._author].post_quantum
        able = [one for one in fresh if governance.author_keys[one[1]].signing.companion is not None]
        chosen = (able if must else fresh) or fresh or good
        if chosen:
            self._key_id = max(chosen)[1]

    def signer_of(self, record: Record) -> Signer:
        """Whose key the record's header names."""
        return self._signers[record.header.author_key_id]

    def reseal(self, record: Record) -> Record:
        """The same content as another record: what must never be done to an unanswered one."""
        header = record.header
        key_id, self._key_id = self._key_id, header.author_key_id
        again = self._record(
            header.registry, header.subject, header.fact, header.previous, group=header.group
        )
        self._key_id = key_id
        return again

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
        key_epoch: int | None = None,
    ) -> Record:
        content = b"x" * self._heap.between(0, 300) if self._heap.chance(0.3) else None
        header = Header(
            record_id=self._numbers.record_id() if record_id is None else record_id,
            author_key_id=self._key_id,
            time_ms=self._numbers.next_time_ms(),
            key_epoch=self._key_epoch(registry) if key_epoch is None else key_epoch,
            payload_bytes=0,
            subject=subject,
            fact=fact,
            previous=previous,
            group=group,
            dek_commit=ZERO32,
            registry=registry,
            compartment="ward" if registry == "health" else "",
            kind="sim",
            content=b"",
        )
        if content is None:
            return make_record(header, b"")
        return seal_record(header, content, dek=self._numbers.take(32), kek=self._world.kek)

    def _key_epoch(self, registry: str) -> int:
        state = None if self._governance is None else self._governance.registries.get(registry)
        return 1 if state is None else state.key_epoch

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

    def _closed_epoch(self) -> Write:
        """Under a former key epoch, which officers may have closed: a program that did not look."""
        epoch = max(1, self._key_epoch(self._registry()) - 1)
        return Write(
            "late epoch", [self._record(self._registry(), self._subject(), self._new_fact(), key_epoch=epoch)]
        )

    def _seals(self) -> Write:
        """Seals of the key under which we write, for its readers."""
        governance, registry = self._governance, self._registry()
        if governance is None or governance.rules < 2:
            return self._first()
        self._made += 1
        seals = KekSeals(
            self._numbers.take(32), registry, "ward" if registry == "health" else "",
            self._key_epoch(registry), self._mark * 1_000 + self._made, (self._numbers.take(40),),
        )  # fmt: skip
        at_ms = self._numbers.next_time_ms()
        header = kek_seals_header(self._numbers.record_id(), self._author, self._key_id, at_ms, seals)
        return Write("seals", [make_record(header, b"")])

    def _signed(self, records: list[Record], ledger_id: bytes) -> bytes:
        return sign_submission(ledger_id, records, self.signer_of(records[0]))

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
