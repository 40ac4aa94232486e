"""The ledger in memory that programs are tested against decides and gives out exactly what a node's ledger does, for long random histories.

Both sides get the same submissions: new facts, further versions, late ones, reused ids, groups of all kinds, authors without permission or budget,
false signatures, foreign ledgers. After each block the outcomes and the root must be equal; at the end everything that either gives out.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

import sento_client.testing.ledger as memory
import sento_node.ledger.judging as node_judging
import sento_node.ledger.state as node_state
from genesis_builder import TestWorld, build_genesis, make_act, make_submission
from ledger_driver import LedgerDriver, fact, subject
from sento_client.testing.access import Access
from sento_client.testing.ledger import Decided, Refused
from sento_client.testing.served import ServedLedger
from sento_client.testing.world import Numbers
from sento_node.ledger import reading
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import NOWHERE, SubmissionResult
from sento_node.service.records import stored_record
from sento_proto.errors import Code
from sento_proto.genesis import decode_genesis
from sento_proto.header import ZERO16, ZERO32
from sento_proto.keys import Ed25519Signer
from sento_proto.limits import SUBMISSION_MAX_BYTES
from sento_proto.record import Record
from sento_proto.submission import group_value
from sento_proto.v1 import client_pb2

CITY, TOWN, SECOND_KEY = "iizuka-city", "kaga-city", "iizuka-city, second key"
WINDOW = 16
"""Budgets count anew after so few positions here, so that a short history crosses several windows."""
FACTS = [(f"fact-{number}", f"person-{number % 3}") for number in range(7)]
SEEDS = range(12)
LENGTH = 70
"""Submissions in a history."""
EXPECTED = {
    Code.ACCEPTED, Code.KNOWN, Code.RECORD_ID_REUSED, Code.STALE, Code.GROUP_REFUSED, Code.PREDECESSOR_MISSING, Code.NOT_PERMITTED,
    Code.HELD, Code.UNKNOWN_AUTHOR, Code.WRONG_LEDGER, Code.BAD_SIGNATURE, Code.MALFORMED,
}  # fmt: skip
"""Every code that a ledger can give; a history in which one never came would show nothing about it."""


def world_with_a_second_key(seed: int) -> TestWorld:
    """The city signs with two keys, has little room for subjects, and the town little for records."""
    world = build_genesis(budgets={CITY: (WINDOW, 2), TOWN: (4, WINDOW)})
    second = Ed25519Signer(b"\x07" * 32)
    document = json.loads(world.genesis_bytes)
    city = next(author for author in document["authors"] if author["name"] == CITY)
    key = dict(city["keys"][0], public_key=_base64(second.public_key.data))
    city["keys"].append(key)
    data = json.dumps(document).encode()
    signers = world.author_signers | {SECOND_KEY: second, "nobody": Ed25519Signer(b"\x08" * 32)}
    return replace(
        world,
        genesis=decode_genesis(data),
        genesis_bytes=data,
        author_signers=signers,
        numbers=Numbers(seed),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Histories:
    """Random submissions for a world, from a seed; remembers what was sent, to send it again or to build on it."""

    def __init__(self, driver: LedgerDriver, seed: int) -> None:
        self.driver = driver
        self.world = driver.world
        self.chance = random.Random(seed)
        self.sent: list[tuple[str, Record]] = []
        self.bytes: list[bytes] = []
        self.whole: list[tuple[str, list[Record]]] = []

    def submission(self) -> bytes:
        """One submission, good or bad."""
        data = self._submission()
        self.bytes.append(data)
        return data

    def _submission(self) -> bytes:
        kind = self.chance.random()
        author = self.chance.choices((CITY, SECOND_KEY, TOWN, "nobody"), (8, 3, 4, 0.4))[0]
        if kind < 0.05 and self.bytes:
            return self.chance.choice(self.bytes)
        if kind < 0.07:
            return make_act(self.world, b"{}")
        if kind < 0.09:
            return self.chance.randbytes(self.chance.randint(0, SUBMISSION_MAX_BYTES + 2))
        if kind > 0.93 and self.whole:
            author, records = self._one_altered()
        else:
            records = self._records(author)
        foreign = build_genesis(name="another") if kind < 0.11 else None
        world = self.world if foreign is None else replace(self.world, genesis=foreign.genesis)
        data = make_submission(world, author, records)
        if 0.3 < kind < 0.33:
            at = len(data) - 1 - self.chance.randrange(64)
            data = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        return data

    def _records(self, author: str) -> list[Record]:
        """One to five records; runs and scattered choices of them are tied into groups."""
        registry = "tax" if author == CITY and self.chance.random() < 0.1 else "residency"
        heads: dict[str, bytes] = {}
        plain = [self._record(author, registry, heads) for _ in range(self.chance.randint(1, 5))]
        records = {record.header.record_id: record for record in plain}
        ids = list(records)
        for members in self._groups(ids):
            tie = group_value(members)
            for record_id in members:
                records[record_id] = self._made(author, records[record_id], tie)
        self.sent += [(author, record) for record in records.values()]
        self.whole.append((author, list(records.values())))
        return list(records.values())

    def _one_altered(self) -> tuple[str, list[Record]]:
        """What was sent before, with other content under the id of one record."""
        author, records = self.chance.choice(self.whole)
        at = self.chance.randrange(len(records))
        other = records[at].header._replace(previous=self.chance.randbytes(32))
        altered = self._made(author, records[at]._replace(header=other), other.group)
        return author, [*records[:at], altered, *records[at + 1 :]]

    def _groups(self, ids: list[bytes]) -> list[list[bytes]]:
        """Up to two groups without common members, each in the order of the submission."""
        left = list(ids)
        groups = []
        for _ in range(self.chance.choice((0, 0, 1, 1, 2))):
            count = min(len(left), self.chance.randint(1, 3))
            chosen = set(self.chance.sample(left, count))
            if chosen:
                groups.append([record_id for record_id in ids if record_id in chosen])
            left = [record_id for record_id in left if record_id not in chosen]
        return groups

    def _record(self, author: str, registry: str, heads: dict[str, bytes]) -> Record:
        name, about = self.chance.choice(FACTS)
        repeated = self.chance.random()
        mine = [
            record for sender, record in self.sent if sender == author and record.header.registry == registry
        ]
        if repeated < 0.08 and mine:
            again = self.chance.choice(mine)
            if again.header.group == ZERO16:
                return again
        record_id = (
            self.chance.choice(self.sent)[1].header.record_id if repeated > 0.94 and self.sent else None
        )
        record = self.driver.record(
            name,
            previous=self._previous(registry, name, heads),
            about=about,
            author=author,
            registry=registry,
            compartment="closed" if self.chance.random() < 0.04 else "",
            record_id=record_id,
        )
        heads[name] = record.record_hash
        return record

    def _previous(self, registry: str, name: str, heads: dict[str, bytes]) -> bytes:
        """Mostly the head, here or in this submission; else what a late, early or wrong writer would name."""
        head = self.driver.state.fact_head(registry, fact(name))
        standing = ZERO32 if head is None else head.record_hash
        choice = self.chance.random()
        if choice < 0.75:
            return heads.get(name, standing)
        if choice < 0.83:
            return ZERO32
        if choice < 0.95 and self.sent:
            return self.chance.choice(self.sent)[1].record_hash
        return self.chance.randbytes(32)

    def _made(self, author: str, record: Record, tie: bytes) -> Record:
        header = record.header
        name, about = next(pair for pair in FACTS if fact(pair[0]) == header.fact)
        return self.driver.record(
            name, previous=header.previous, about=about, author=author, registry=header.registry,
            compartment=header.compartment, record_id=header.record_id, group=tie,
        )  # fmt: skip


def as_decided(result: SubmissionResult) -> tuple[Decided, ...] | Code:
    """The node's result in the other's words."""
    if result.refusal is not None:
        return result.refusal
    return tuple(
        Decided(one.code, one.record_hash, None if one.position == NOWHERE else one.position)
        for one in result.outcomes
    )


def codes_of(answers: Sequence[tuple[Decided, ...] | Code]) -> Counter[Code]:
    codes: Counter[Code] = Counter()
    for answer in answers:
        codes.update([answer] if isinstance(answer, Code) else [one.code for one in answer])
    return codes


def run(seed: int, submissions: int) -> tuple[LedgerDriver, ServedLedger, Counter[Code]]:
    """A history through both, compared block by block."""
    world = world_with_a_second_key(seed)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    ledger = ServedLedger(world)
    history = Histories(driver, seed)
    seen: Counter[Code] = Counter()
    while len(history.bytes) < submissions:
        block = [history.submission() for _ in range(history.chance.randint(1, 3))]
        result = driver.order(block)
        assert result.refusal is None
        expected = [as_decided(one) for one in result.submissions]
        answers = [ledger.apply(data) for data in block]
        given = [one.code if isinstance(one, Refused) else one for one in answers]
        assert given == expected
        assert (ledger.size, ledger.root) == (driver.state.size, driver.state.frontier.root())
        for item in result.standing:
            placed = ledger.records[item.position]
            assert (placed.author, placed.link) == (item.author, item.link)
        seen += codes_of(given)
        if history.chance.random() < 0.3:
            driver.flush()
    driver.flush()
    return driver, ledger, seen


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BUDGET_WINDOW_POSITIONS", WINDOW)
    monkeypatch.setattr(node_judging, "BUDGET_WINDOW_POSITIONS", WINDOW)
    monkeypatch.setattr(node_state, "BUDGET_WINDOW_POSITIONS", WINDOW)


@pytest.mark.usefixtures("short_windows")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_history_is_decided_and_given_out_as_by_a_node(seed: int) -> None:
    driver, ledger, _ = run(seed, LENGTH)
    assert ledger.size > 2 * WINDOW, "the history must cross budget windows"
    anybody = Access(ledger.governance, None)
    for kept in driver.store.records(0, ledger.size):
        expected = stored_record(driver.store, kept, header_only=False)
        assert ledger.stored(kept.position) == expected
    compare_pages(driver, ledger, anybody, random.Random(seed))
    compare_proofs(driver, ledger, random.Random(seed))


@pytest.mark.usefixtures("short_windows")
def test_random_histories_bring_every_code_that_a_ledger_can_give() -> None:
    seen = Counter[Code]()
    for seed in SEEDS:
        seen += run(seed, LENGTH)[2]
    assert set(seen) == EXPECTED
    assert min(seen.values()) >= 5, seen


def compare_pages(driver: LedgerDriver, ledger: ServedLedger, anybody: Access, chance: random.Random) -> None:
    """Lists of every fact and subject, cut anywhere."""
    for name, about in FACTS:
        for _ in range(4):
            limit = chance.randint(1, 5)
            before = chance.choice((None, chance.randrange(ledger.size)))
            size = chance.choice((None, chance.randint(0, ledger.size)))
            cut: Any = {"limit": limit, "before": before, "as_of_size": size}
            page = reading.fact_versions(driver.store, "residency", fact(name), **cut)
            facts = client_pb2.FactRequest(registry="residency", fact=fact(name), **cut)
            assert listed(ledger, facts, anybody) == expected_list(page)
            page = reading.subject_records(driver.store, "residency", subject(about), **cut)
            subjects = client_pb2.SubjectRequest(registry="residency", subject=subject(about), **cut)
            assert listed(ledger, subjects, anybody) == expected_list(page)


def expected_list(page: reading.Page) -> tuple[list[int], bool]:
    """(positions, whether there is more)."""
    return [kept.position for kept in page.records], page.next_before is not None


def listed(
    ledger: ServedLedger, request: client_pb2.FactRequest | client_pb2.SubjectRequest, anybody: Access
) -> tuple[list[int], bool]:
    """(positions, whether there is more)."""
    reply = ledger.page(request, anybody)
    return [record.position for record in reply.records], reply.HasField("next_before")


def compare_proofs(driver: LedgerDriver, ledger: ServedLedger, chance: random.Random) -> None:
    """Inclusion and consistency at sizes and positions drawn by chance."""
    for _ in range(20):
        size = chance.randint(1, ledger.size)
        position, older = chance.randrange(size), chance.randint(1, size)
        reply = ledger.proof(
            client_pb2.ProofRequest(size=size, positions=[position], consistent_with_size=older)
        )
        assert reply.root == reading.root_at(driver.store, size)
        assert list(reply.inclusions[0].path) == reading.inclusion(driver.store, position, size)
        assert list(reply.consistency) == reading.consistency(driver.store, older, size)
