"""permission-decision-equality: at equal positions every site holds the same governance, and answers every question as the reference does.

After each block that a site applied, after each chunk that it adopted, and at the start of each life, its governance is compared as a value with that of the
site which was there first, and a sample of questions, the same for all sites at that block, is put to it and to the reference: who may write, read, see; which
keys count; which key epochs are open; what is left of a budget; who is in office; whose cosignatures make a receipt; which payloads are
withheld, and which destroyed; whose releases are delayed; who opens keys.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.acts_of_the_read_log import CASES
from tests.simulation.reference import Reference
from tests.simulation.rulebook import Rulebook

from sento_node.ledger.state import LedgerState
from sento_proto.errors import Code
from sento_proto.governance.state import Governance

QUESTIONS = 3
REGISTRIES = ("residency", "tax", "health", "housing", "governance", "keys", "nowhere")
COMPARTMENTS = ("", "ward", "clinic")
KEY_EPOCHS_MAX = 5


class Question(NamedTuple):
    """Everything that is asked about one institution, place, key and officer."""

    institution: str
    registry: str
    compartment: str
    key_epoch: int
    key_id: bytes
    officer_key_id: bytes
    size: int
    writer: str
    record_hash: bytes
    about: tuple[str, bytes]
    position: int
    case_number: str


class Decisions:
    """Compares, and counts what was compared. `differs` is told what is not equal."""

    def __init__(self, window: int, differs: Callable[[str], None]) -> None:
        self._window = window
        self._differs = differs
        self._values: dict[int, Governance] = {}
        self._asked: dict[int, list[tuple[Question, tuple[object, ...]]]] = {}
        self.count = 0

    def forget_from(self, block: int) -> None:
        """The log forgot these blocks."""
        self._values = {number: value for number, value in self._values.items() if number < block}
        self._asked = {number: asked for number, asked in self._asked.items() if number < block}

    def compare(self, site: str, state: LedgerState, reference: Reference) -> None:
        """The site is behind its block now."""
        block, governance = state.block, state.governance
        first = self._values.setdefault(block, governance)
        if first is not governance and first != governance:
            self._differs(f"{site} has another governance than others behind block {block}")
        book = reference.books[block]
        if block not in self._asked:
            size = reference.blocks[block - 1].size_after if block else 0
            self._asked[block] = [
                (one, expected(book, one, size, self._window)) for one in _sample(book, block, size)
            ]
        for question, wanted in self._asked[block]:
            told = answers(governance, question, state.size)
            self.count += len(told)
            if told != wanted:
                words = [
                    f"{one!r} for {other!r}" for one, other in zip(told, wanted, strict=True) if one != other
                ]
                self._differs(
                    f"{site} behind block {block}, of {question.institution} in {question.registry}: {words}"
                )


def _sample(book: Rulebook, block: int, size: int) -> list[Question]:
    chance, later = random.Random(block), random.Random(f"later rules {block}")
    named = [
        bytes(32),
        *(bytes.fromhex(one) for order in book.orders.values() for one in sorted(order.records)),
    ]
    about = [
        ("tax", bytes([1]) * 32),
        *((registry, bytes.fromhex(one)) for order in book.orders.values() for registry, one in sorted(order.subjects)),
    ]  # fmt: skip
    institutions = sorted({*book.may_write, *book.may_read, "nobody"})
    keys = [*sorted(book.keys), bytes(16)]
    officers = [*sorted(book.officer_keys), bytes(16)]
    return [
        Question(
            chance.choice(institutions),
            chance.choice(REGISTRIES),
            chance.choice(COMPARTMENTS),
            chance.randint(1, KEY_EPOCHS_MAX),
            chance.choice(keys),
            chance.choice(officers),
            chance.randint(0, size),
            chance.choice(institutions),
            later.choice(named),
            later.choice(about),
            later.randint(0, size + 3),
            later.choice(CASES),
        )
        for _ in range(QUESTIONS)
    ]


def answers(governance: Governance, asked: Question, size: int) -> tuple[object, ...]:
    """What product code says."""
    who, registry, compartment, key_epoch, key_id, officer, former_size, writer = asked[:8]
    of_record = asked.record_hash, *asked.about, asked.position
    delay = governance.delay_of(registry, asked.case_number)
    known = governance.author_keys.get(key_id)
    key = Code.UNKNOWN_AUTHOR if known is None else Code.KEY_ENDED if known.ended_at is not None else None
    budget = governance.budget(who, size) if who in governance.authors else None
    receipt = governance.receipt_quorum_at(former_size)
    return (
        governance.may_write(who, registry, compartment),
        governance.may_read(who, registry, compartment, writer),
        governance.may_see(who, registry, compartment, writer),
        governance.key_epoch_refusal(registry, key_epoch),
        key,
        None if budget is None else (budget.records, budget.subjects),
        governance.office_of_key(officer),
        (sorted(receipt.keys), receipt.quorum),
        governance.rules,
        governance.withheld_by(*of_record),
        governance.destroyed_by(*of_record),
        None if delay is None else delay.name,
        governance.key_agent_of(registry, compartment),
        governance.may_write(who, registry, "access"),
    )


def expected(book: Rulebook, asked: Question, size: int, window: int) -> tuple[object, ...]:
    """What the reference says."""
    who, registry, compartment, key_epoch, key_id, officer, former_size, writer = asked[:8]
    of_record = asked.record_hash, *asked.about, asked.position
    sites, quorum = book.receipt(former_size)
    return (
        book.writes(who, registry, compartment),
        book.reads(who, registry, compartment, writer),
        book.sees(who, registry, compartment, writer),
        book.key_epoch_refusal(registry, key_epoch),
        book.key_refusal(key_id),
        book.budget(who, size, window) if who in book.budgets else None,
        book.office(officer),
        (sorted(sites), quorum),
        book.rules,
        book.withheld(*of_record),
        book.destroyed(*of_record),
        book.delayed(registry, asked.case_number),
        book.agents.get((registry, compartment)),
        book.writes(who, registry, "access"),
    )
