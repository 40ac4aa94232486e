"""The ledger in memory follows officers exactly as a node's does: acts, KEK seals, sites' announcements, and records that what they changed forbids.

Both sides get the same submissions. After each, outcomes, root and governance must be equal; at the end everything that either gives out.
"""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from genesis_builder import SITES, TestWorld, build_genesis, make_act, make_submission
from governed_story import story_world, under_rules_2, under_rules_3, under_rules_4
from ledger_driver import LedgerDriver, subject
from sento_client.kek_keeping.recipients import recipients_of
from sento_client.kek_keeping.seal_records import sealed_parts
from sento_client.recovery.standing import KekScope
from sento_client.testing.ledger import EPOCH, Decided, Refused
from sento_client.testing.served import ServedLedger
from sento_node.ledger.governing import ActList
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import NOWHERE
from sento_node.service.records import stored_record
from sento_proto.errors import Code
from sento_proto.governance.site_rules import SiteRules, site_rules_header
from sento_proto.header import ZERO32
from sento_proto.kek_record import kek_seals_header
from sento_proto.record import make_record
from sento_proto.submission import sign_submission
from sento_proto.v1 import governance_pb2

CITY, HOSPITAL = "iizuka-city", "iizuka-hospital"
LENGTH = 120
SEEDS = range(6)
EXPECTED = {
    Code.ACCEPTED, Code.KNOWN, Code.STALE, Code.PREDECESSOR_MISSING, Code.NOT_PERMITTED, Code.MALFORMED, Code.HELD, Code.ACT_REFUSED,
    Code.TOO_FEW_OFFICERS, Code.BAD_SIGNATURE, Code.WRONG_LEDGER, Code.KEY_ENDED, Code.KEY_EPOCH_CLOSED, Code.RULES_NOT_ANNOUNCED,
}  # fmt: skip
"""Every code that governing can bring about."""


class GovernedHistory:
    """Random submissions under rules 2, from a seed."""

    def __init__(self, driver: LedgerDriver, seed: int) -> None:
        self.driver = driver
        self.world: TestWorld = driver.world
        self.chance = random.Random(seed)
        self.sent: list[bytes] = []
        self.count = 0

    def submission(self) -> bytes:
        """One submission, good or bad."""
        drawn = self.chance.random()
        if drawn < 0.06 and self.sent:
            return self.chance.choice(self.sent)
        make = self.chance.choices(
            (self._act, self._record, self._seals, self._announcement), (0.4, 0.35, 0.15, 0.1)
        )[0]
        data = make()
        self.sent.append(data)
        return data

    def _act(self) -> bytes:
        governance, drawn = self.driver.state.governance, self.chance.random()
        officers = ("officer-one", "officer-three") if drawn > 0.08 else ("officer-two",)
        previous = governance.last_act if drawn < 0.85 else self.chance.choice((ZERO32, b"\x05" * 32))
        content = json.dumps({"format": "sento-act-1", "reason": "a test", "changes": [self._change()]})
        epoch = 1 if self.chance.random() > 0.04 else 2
        data = make_act(
            self.world, content.encode() if drawn < 0.8 else b"{}", officers, previous=previous, epoch=epoch
        )
        return data if self.chance.random() > 0.04 else data[:-1] + bytes((data[-1] ^ 1,))

    def _change(self) -> dict[str, object]:
        epoch = self.driver.state.governance.registries["residency"].key_epoch
        scope = [{"registry": "residency", "compartment": self.chance.choice(("", "basic"))}]
        key_id = self.world.key_id("kaga-city").hex()
        return self.chance.choice(
            [
                {"do": "permit", "institution": CITY, "may": "write", "scopes": scope},
                {"do": "withdraw", "institution": CITY, "may": "write", "scopes": scope},
                {"do": "start-key-epoch", "registry": "residency", "key_epoch": epoch + 1,
                 "previous": self.chance.choice(("accepted", "closed"))},
                {"do": "close-key-epoch", "registry": "residency", "key_epoch": max(1, epoch - 1)},
                {"do": "set-budget", "author": CITY,
                 "budget_per_10000_positions": {"records": self.chance.choice((5, 10_000)), "subjects": 10_000}},
                {"do": "revoke-key", "author": "kaga-city", "key_id": key_id},
                {"do": "set-rules", "rules": 3},
                {"do": "add-registry", "registry": f"new-{self.count}"},
            ]
        )  # fmt: skip

    def _record(self) -> bytes:
        self.count += 1
        author = self.chance.choice((CITY, CITY, "kaga-city"))
        record = self.driver.record(
            f"fact-{self.count}", author=author, compartment=self.chance.choice(("", "", "basic"))
        )
        newest = self.driver.state.governance.registries["residency"].key_epoch
        header = record.header._replace(key_epoch=max(1, newest - self.chance.choice((0, 0, 1, -1))))
        return make_submission(self.world, author, [make_record(header, b"")])

    def _seals(self) -> bytes:
        signer = self.chance.choice((CITY, CITY, CITY, HOSPITAL))
        epoch = self.driver.state.governance.registries["residency"].key_epoch
        scope = KekScope(CITY, "residency", "", epoch + self.chance.choice((0, 1, 2)))
        recipients = recipients_of(self.driver.state.governance, *scope[:3])
        (part,) = sealed_parts(
            self.world.ledger_id, scope, self.world.kek, recipients, self.chance.choice((0, 1))
        )
        numbers = self.world.numbers
        header = kek_seals_header(
            numbers.record_id(), CITY, self.world.key_id(signer), numbers.next_time_ms(), part
        )
        if self.chance.random() < 0.2:
            header = header._replace(subject=subject("somebody else"))
        return make_submission(self.world, signer, [make_record(header, b"")])

    def _announcement(self) -> bytes:
        site = self.chance.choice(SITES)
        signer, numbers = self.world.site_signers[site], self.world.numbers
        announced = SiteRules(
            self.chance.choice((site, site, SITES[0])), self.chance.choice(((1, 2), (1, 2, 3))), "1"
        )
        head = self.driver.state.fact_head(
            "governance", site_rules_header(bytes(16), bytes(16), 0, announced).fact
        )
        previous = ZERO32 if head is None else head.record_hash
        header = site_rules_header(
            numbers.record_id(), signer.public_key.key_id, numbers.next_time_ms(), announced, previous
        )
        return sign_submission(self.world.ledger_id, [make_record(header, b"")], signer)


def test_the_story_of_rules_4_is_decided_as_by_a_node() -> None:
    world = story_world("in memory", 4)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    driver.state.epoch = EPOCH
    ledger = ServedLedger(world)
    for part in (under_rules_2, under_rules_3, under_rules_4):
        for block in part(driver):
            result = driver.order(block)
            for data, told in zip(block, result.submissions, strict=True):
                answer = ledger.apply(data)
                codes = answer.code if isinstance(answer, Refused) else [one.code for one in answer]
                assert codes == (told.refusal or [one.code for one in told.outcomes])
            assert (ledger.size, ledger.root) == (driver.state.size, driver.state.frontier.root())
            assert ledger.governance == driver.governance


def run(seed: int) -> tuple[LedgerDriver, ServedLedger, Counter[Code]]:
    """A history through both, compared after each submission."""
    world = build_genesis(rules=2)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    driver.state.epoch = EPOCH
    ledger = ServedLedger(world)
    history = GovernedHistory(driver, seed)
    seen: Counter[Code] = Counter()
    for _ in range(LENGTH):
        data = history.submission()
        result = driver.order([data]).submissions[0]
        answer = ledger.apply(data)
        if result.refusal is not None:
            assert isinstance(answer, Refused)
            assert answer.code is result.refusal
            seen[result.refusal] += 1
        else:
            assert answer == tuple(
                Decided(one.code, one.record_hash, None if one.position == NOWHERE else one.position)
                for one in result.outcomes
            )
            seen.update(one.code for one in result.outcomes)
        assert (ledger.size, ledger.root) == (driver.state.size, driver.state.frontier.root())
        assert ledger.governance == driver.state.governance
    driver.flush()
    return driver, ledger, seen


@pytest.mark.parametrize("seed", SEEDS)
def test_governed_history_is_decided_and_given_out_as_by_a_node(seed: int) -> None:
    driver, ledger, _ = run(seed)
    for kept in driver.store.records(0, ledger.size):
        assert ledger.stored(kept.position) == stored_record(driver.store, kept, header_only=False)
    listed = ActList(driver.store).behind(-1, SITES)
    for after in (None, *listed):
        reply = ledger.acts(governance_pb2.ActsRequest(after_position=after))
        wanted = [position for position in listed if after is None or position > after]
        assert [record.position for record in reply.records] == wanted


def test_governed_histories_bring_every_code_that_governing_can() -> None:
    seen = Counter[Code]()
    for seed in SEEDS:
        seen += run(seed)[2]
    assert set(seen) >= EXPECTED, EXPECTED - set(seen)
