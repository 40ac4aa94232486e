"""Apply: records of one group stand all or not at all, where the first of them stands."""

from __future__ import annotations

from collections.abc import Sequence

from genesis_builder import build_genesis, make_submission
from ledger_driver import LedgerDriver, fact
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import NOWHERE
from sento_proto.errors import Code
from sento_proto.header import ZERO32
from sento_proto.record import Record
from sento_proto.submission import group_value

ACCEPTED, KNOWN, REFUSED = Code.ACCEPTED, Code.KNOWN, Code.GROUP_REFUSED


def new_driver(**budget: tuple[int, int]) -> LedgerDriver:
    world = build_genesis(budgets=budget and {"iizuka-city": budget["budget"]})
    return LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))


def group(driver: LedgerDriver, *parts: tuple[str, bytes]) -> list[Record]:
    """Records of one group: (fact name, previous) each."""
    ids = [driver.world.numbers.record_id() for _ in parts]
    tie = group_value(ids)
    return [
        driver.record(name, previous=previous, record_id=record_id, group=tie)
        for (name, previous), record_id in zip(parts, ids, strict=True)
    ]


def codes_and_positions(driver: LedgerDriver, records: Sequence[Record]) -> list[tuple[Code, int]]:
    return [(outcome.code, outcome.position) for outcome in driver.write(records)]


def test_a_group_whose_members_all_may_stand_stands_whole() -> None:
    driver = new_driver()
    members = group(driver, ("a", ZERO32), ("b", ZERO32))
    assert codes_and_positions(driver, members) == [(ACCEPTED, 0), (ACCEPTED, 1)]


def test_one_refused_member_keeps_its_own_code_and_takes_the_others_with_it() -> None:
    driver = new_driver()
    driver.write([driver.record("b")])
    members = group(driver, ("a", ZERO32), ("b", ZERO32), ("c", ZERO32))
    assert codes_and_positions(driver, members) == [
        (REFUSED, NOWHERE),
        (Code.STALE, NOWHERE),
        (REFUSED, NOWHERE),
    ]
    assert driver.state.size == 1
    assert driver.state.fact_head("residency", fact("a")) is None


def test_a_refused_group_leaves_no_trace_for_the_records_after_it() -> None:
    driver = new_driver()
    members = group(driver, ("a", ZERO32), ("b", b"\1" * 32))
    after = driver.record("a")
    assert codes_and_positions(driver, [*members, after]) == [
        (REFUSED, NOWHERE), (Code.PREDECESSOR_MISSING, NOWHERE), (ACCEPTED, 0),
    ]  # fmt: skip


def test_members_follow_each_other_within_the_group() -> None:
    driver = new_driver()
    first = driver.record("a")
    ids = [first.header.record_id, driver.world.numbers.record_id()]
    tie = group_value(ids)
    first = driver.record("a", record_id=ids[0], group=tie)
    second = driver.record("a", previous=first.record_hash, record_id=ids[1], group=tie)
    assert codes_and_positions(driver, [first, second]) == [(ACCEPTED, 0), (ACCEPTED, 1)]


def test_a_group_sees_what_stands_before_it_in_the_same_block() -> None:
    driver = new_driver()
    first = driver.record("a")
    members = group(driver, ("a", first.record_hash), ("b", ZERO32))
    result = driver.order(
        [
            make_submission(driver.world, "iizuka-city", [first]),
            make_submission(driver.world, "iizuka-city", members),
        ]
    )
    assert [outcome.code for outcome in result.submissions[1].outcomes] == [ACCEPTED, ACCEPTED]
    assert result.standing[1].previous_of_fact == 0


def test_a_known_member_counts_as_standing() -> None:
    driver = new_driver()
    members = group(driver, ("a", ZERO32), ("b", ZERO32))
    driver.write(members)
    assert codes_and_positions(driver, members) == [(KNOWN, 0), (KNOWN, 1)]
    assert driver.state.size == 2


def test_a_known_member_stays_known_when_the_group_is_refused() -> None:
    """It cannot be by an honest site, since the group stood whole; a member's id used again shows that the code holds."""
    driver = new_driver()
    members = group(driver, ("a", ZERO32), ("b", ZERO32))
    driver.write(members)
    other = driver.record("c", record_id=members[1].header.record_id, group=members[1].header.group)
    assert codes_and_positions(driver, [members[0], other]) == [(KNOWN, 0), (Code.RECORD_ID_REUSED, NOWHERE)]


def test_interleaved_groups_are_hoisted_to_where_their_first_members_stand() -> None:
    driver = new_driver()
    one, two = group(driver, ("a", ZERO32), ("b", ZERO32)), group(driver, ("c", ZERO32), ("d", b"\1" * 32))
    alone = driver.record("e")
    mixed = [one[0], two[0], alone, one[1], two[1]]
    assert codes_and_positions(driver, mixed) == [
        (ACCEPTED, 0), (REFUSED, NOWHERE), (ACCEPTED, 2), (ACCEPTED, 1), (Code.PREDECESSOR_MISSING, NOWHERE),
    ]  # fmt: skip


def test_a_record_after_the_first_member_cannot_come_before_the_last() -> None:
    """The group stands where its first member does: a single record between them finds the head already taken."""
    driver = new_driver()
    members = group(driver, ("a", ZERO32), ("b", ZERO32))
    between = driver.record("b")
    assert codes_and_positions(driver, [members[0], between, members[1]]) == [
        (ACCEPTED, 0), (Code.STALE, NOWHERE), (ACCEPTED, 1),
    ]  # fmt: skip


def test_a_group_counts_what_stood_before_it_in_the_block_against_the_budget() -> None:
    driver = new_driver(budget=(3, 3))
    singles = [driver.record("a"), driver.record("b")]
    members = group(driver, ("c", ZERO32), ("d", ZERO32))
    assert codes_and_positions(driver, [*singles, *members]) == [
        (ACCEPTED, 0), (ACCEPTED, 1), (REFUSED, NOWHERE), (Code.HELD, NOWHERE),
    ]  # fmt: skip
    assert driver.codes([driver.record("e")]) == [ACCEPTED]


def test_a_group_that_fills_the_budget_exactly_stands() -> None:
    driver = new_driver(budget=(3, 3))
    single = driver.record("a")
    members = group(driver, ("b", ZERO32), ("c", ZERO32))
    assert [code for code, _ in codes_and_positions(driver, [single, *members])] == [ACCEPTED] * 3
    assert driver.codes([driver.record("d")]) == [Code.HELD]
