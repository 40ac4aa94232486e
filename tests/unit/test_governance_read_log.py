"""Delays of the read log, key agents, and what sites may write in their own name where releases are recorded."""

from __future__ import annotations

import pytest

from access_records import access_bytes, access_record, site_kek
from acts import (
    Change,
    assert_unfit,
    case_id,
    close_key_epoch,
    delay_read_log,
    end_key_agent,
    enrol_reader,
    enrol_site,
    governed,
    permit,
    release_read_log,
    require_key_agent,
    restarted,
    revoke_reader,
    rotate_site_key,
    start_key_epoch,
    withdraw,
    words,
)
from genesis_builder import SITES, ed25519, make_submission
from ledger_driver import LedgerDriver, code_of, subject
from sento_proto.access_record import PAYLOAD_MAX_BYTES, fact_of_access
from sento_proto.errors import Code
from sento_proto.governance.state import delayed_case, subject_of_delay
from sento_proto.header import ZERO16, ZERO32, decode
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.record import make_record
from sento_proto.submission import group_value, sign_submission

ACCEPTED, REFUSED = Code.ACCEPTED, Code.NOT_PERMITTED
CITY, HOSPITAL = "iizuka-city", "iizuka-hospital"
PSYCHIATRY = ("health", "psychiatry")


def written(driver: LedgerDriver, data: bytes) -> Code:
    """What a submission of one record comes to."""
    return code_of(driver.order([data]))


# -- delays -------------------------------------------------------------------------------------------------------------


def test_a_delay_holds_for_its_cases_in_its_registries_until_it_is_released() -> None:
    driver = governed(rules=4)
    assert driver.governance.delay_of("health", "case 1") is None
    assert driver.act(delay_read_log("inv-7", "case 1", "case 2", registries=["health", "tax"])) is ACCEPTED
    governance = driver.governance
    delay = governance.delay_of("health", "case 2")
    assert delay is not None
    assert (delay.name, delay.subject, delay.ordered_at) == ("inv-7", subject_of_delay("inv-7"), 0)
    assert governance.delay_of("tax", "case 1") == delay
    assert governance.delay_of("residency", "case 1") is None
    assert governance.delay_of("health", "case 3") is None
    assert driver.act(release_read_log("inv-7")) is ACCEPTED
    assert driver.governance.delay_of("health", "case 2") is None
    assert driver.governance.read_log_delays["inv-7"] == delay._replace(released_at=1)
    assert restarted(driver).governance == driver.governance


def test_the_act_names_a_case_by_a_salted_hash_alone() -> None:
    salt = bytes(range(16))
    assert delayed_case(salt, "2026-17") != delayed_case(salt[::-1], "2026-17")
    assert "2026-17" not in str(delay_read_log("inv-7", "2026-17"))


DELAYS: list[tuple[Change, str]] = [
    (delay_read_log("inv-7", "x"), "There was a delay inv-7 before; a name is used once"),
    (delay_read_log("inv-6", "x"), "There was a delay inv-6 before; a name is used once"),
    (delay_read_log("inv-8"), "No case is named, or one twice"),
    (delay_read_log("inv-8", "x", "x"), "No case is named, or one twice"),
    (delay_read_log("inv-8", "x", registries=[]), "No registry is named, or one twice"),
    (delay_read_log("inv-8", "x", registries=["tax", "tax"]), "No registry is named, or one twice"),
    (delay_read_log("inv-8", "x", registries=["land"]), "There is no registry land with a read log"),
    (delay_read_log("inv-8", "x", registries=["keys"]), "There is no registry keys with a read log"),
    (delay_read_log("inv-8", "x", salt="00"), "must be 32 characters of 0-9 a-f"),
    (delay_read_log("inv-8", "x", cases=["00"]), "must be 64 characters of 0-9 a-f"),
    (delay_read_log("Inv 8", "x"), "must be 1 to 32 characters of a-z 0-9 -"),
    (release_read_log("inv-8"), "There is no delay inv-8"),
    (release_read_log("inv-6"), "The delay inv-6 was released at position 2"),
]


@pytest.mark.parametrize(("change", "why"), DELAYS, ids=case_id)
def test_a_delay_that_does_not_fit_is_refused_with_its_reason(change: Change, why: str) -> None:
    driver = governed(rules=4)
    for one in (delay_read_log("inv-7", "a"), delay_read_log("inv-6", "b"), release_read_log("inv-6")):
        assert driver.act(one) is ACCEPTED
    assert_unfit(driver, change, why)


# -- key agents ---------------------------------------------------------------------------------------------------------


def with_agent() -> LedgerDriver:
    """A ledger on which agent-1 opens the keys of psychiatry, and other-1 reads there too."""
    driver = governed(rules=4)
    readers = enrol_reader("agent-1", PSYCHIATRY), enrol_reader("other-1", PSYCHIATRY)
    assert driver.act(*readers, require_key_agent(*PSYCHIATRY, "agent-1")) is ACCEPTED
    return driver


def test_a_compartments_keys_are_one_agents_until_that_ends() -> None:
    driver = with_agent()
    assert driver.governance.key_agent_of(*PSYCHIATRY) == "agent-1"
    assert driver.governance.key_agent_of("health", "") is None
    driver = restarted(driver)
    assert driver.governance.key_agent_of(*PSYCHIATRY) == "agent-1"
    assert driver.act(end_key_agent(*PSYCHIATRY), require_key_agent(*PSYCHIATRY, "other-1")) is ACCEPTED
    assert driver.governance.key_agents == {PSYCHIATRY: "other-1"}
    assert driver.act(end_key_agent(*PSYCHIATRY)) is ACCEPTED
    assert driver.governance.key_agent_of(*PSYCHIATRY) is None


def test_an_agent_of_an_open_part_reads_it_by_a_scope_of_the_whole_registry_too() -> None:
    driver = governed(rules=4)
    assert driver.act(require_key_agent("health", "", "relief-desk")) is ACCEPTED
    assert driver.governance.key_agent_of("health", "") == "relief-desk"


AGENTS: list[tuple[Change, str]] = [
    (require_key_agent(*PSYCHIATRY, "other-1"), "agent-1 is the key agent there already; end that first"),
    (require_key_agent("land", "x", "agent-1"), "There is no registry land with keys to leave to an agent"),
    (require_key_agent("keys", "", "agent-1"), "There is no registry keys with keys to leave"),
    (require_key_agent("health", "access", "relief-desk"), "Reading access records is not itself recorded"),
    (require_key_agent("health", "*", "relief-desk"), "must be 1 to 32 characters"),
    (end_key_agent("health", ""), "There is no key agent for the open part of health"),
    (end_key_agent("tax", "audit"), "There is no key agent for audit in tax"),
]


@pytest.mark.parametrize(("change", "why"), AGENTS, ids=case_id)
def test_a_key_agent_that_does_not_fit_is_refused_with_its_reason(change: Change, why: str) -> None:
    assert_unfit(with_agent(), change, why)


@pytest.mark.parametrize("agent", ["agent-1", "nobody", CITY])
def test_a_key_agent_must_be_a_reader_of_its_compartment(agent: str) -> None:
    driver = with_agent()
    judged = driver.judged(require_key_agent("health", "ward", agent))
    assert judged.code is Code.ACT_REFUSED
    assert f"{agent} is the key agent for ward in health and must be a reader of it" in judged.why


@pytest.mark.parametrize("loses", [revoke_reader("agent-1"), withdraw("agent-1", "read", PSYCHIATRY)])
def test_an_agent_loses_reading_only_in_an_act_that_ends_its_office(loses: Change) -> None:
    driver = with_agent()
    epoch = start_key_epoch("health", 2)
    assert "must be a reader of it" in driver.judged(loses, epoch).why
    assert driver.act(loses, epoch, end_key_agent(*PSYCHIATRY)) is ACCEPTED


def test_none_of_the_new_changes_exists_before_rules_4() -> None:
    changes = (
        delay_read_log("inv-7", "x"),
        release_read_log("inv-7"),
        require_key_agent(*PSYCHIATRY, "agent-1"),
        end_key_agent(*PSYCHIATRY),
    )
    for change in changes:
        assert "exists from rules 4 on; these are rules 3" in governed(rules=3).judged(change).why


# -- access records -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["access", "access-refused"])
def test_a_site_records_a_release_under_the_persons_subject(kind: str) -> None:
    driver = governed(rules=4)
    data = access_bytes(driver, kind=kind)
    assert written(driver, data) is ACCEPTED
    assert written(driver, data) is Code.KNOWN
    driver.flush()
    kept = driver.store.record(0)
    assert kept.author == f"/sites/{SITES[0]}"
    assert decode(kept.header_bytes).subject == subject("patient")


def test_no_budget_bounds_access_records_and_they_use_up_nobody_elses() -> None:
    driver = governed(rules=4, budget=(2, 2))
    assert [written(driver, access_bytes(driver)) for _ in range(5)] == [ACCEPTED] * 5
    assert driver.codes([driver.record(name) for name in "abc"]) == [ACCEPTED, ACCEPTED, Code.HELD]


def test_under_rules_3_a_site_writes_announcements_alone() -> None:
    driver = governed(rules=3)
    assert written(driver, access_bytes(driver)) is Code.MALFORMED
    assert written(driver, site_kek(driver)) is Code.MALFORMED
    assert driver.announce(SITES[0], [3, 4]) is ACCEPTED


def test_under_rules_3_an_institution_may_write_a_compartment_of_that_name_and_under_4_it_may_not() -> None:
    for rules, code in ((3, ACCEPTED), (4, REFUSED)):
        driver = governed(rules=rules)
        record = driver.record("x", author=HOSPITAL, registry="health", compartment="access")
        assert driver.codes([record], author=HOSPITAL) == [code]
        ward = driver.record("y", author=HOSPITAL, registry="health", compartment="ward")
        assert driver.codes([ward], author=HOSPITAL) == [ACCEPTED]


def test_an_institution_makes_no_kek_for_access_records() -> None:
    driver = governed(rules=4)
    for compartment, code in (("access", REFUSED), ("ward", ACCEPTED)):
        seals = KekSeals(b"\7" * 32, "health", compartment, 1, 0, (b"a seal" * 20,))
        numbers = driver.world.numbers
        header = kek_seals_header(
            numbers.record_id(), HOSPITAL, driver.world.key_id(HOSPITAL), numbers.next_time_ms(), seals
        )
        data = make_submission(driver.world, HOSPITAL, [make_record(header, b"")])
        assert written(driver, data) is code


BAD: list[tuple[dict[str, object], Code]] = [
    ({"registry": "land"}, REFUSED),
    ({"registry": "governance"}, Code.MALFORMED),
    ({"registry": "keys"}, Code.MALFORMED),
    ({"compartment": ""}, REFUSED),
    ({"compartment": "ward"}, REFUSED),
    ({"kind": "site-rules"}, REFUSED),
    ({"kind": "reading"}, REFUSED),
    ({"kind": "access-delayed"}, REFUSED),
    ({"key_epoch": 2}, REFUSED),
    ({"key_epoch": 0}, Code.KEY_EPOCH_CLOSED),
    ({"fact": ZERO16}, Code.MALFORMED),
    ({"previous": b"\1" * 32}, Code.MALFORMED),
    ({"content": b""}, Code.MALFORMED),
    ({"content": b"x" * (PAYLOAD_MAX_BYTES - 60)}, Code.MALFORMED),
]


@pytest.mark.parametrize(("fields", "code"), BAD, ids=lambda value: str(value)[:40])
def test_an_access_record_that_is_none_is_refused(fields: dict[str, object], code: Code) -> None:
    driver = governed(rules=4)
    assert written(driver, access_bytes(driver, **fields)) is code
    assert driver.state.size == 0


def test_the_largest_access_record_stands() -> None:
    driver = governed(rules=4)
    assert written(driver, access_bytes(driver, content=b"x" * 8188)) is ACCEPTED
    assert written(driver, access_bytes(driver, content=b"x" * 8189)) is Code.MALFORMED


def test_access_records_stand_alone_and_not_in_groups() -> None:
    driver = governed(rules=4)
    record_id = driver.world.numbers.record_id()
    fields = {"fact": fact_of_access(record_id), "group": group_value([record_id])}
    assert written(driver, access_bytes(driver, record_id=record_id, **fields)) is REFUSED


def test_a_second_version_of_an_access_record_cannot_be() -> None:
    driver = governed(rules=4)
    first = access_record(driver)
    site = driver.world.site_signers[SITES[0]]
    assert written(driver, sign_submission(driver.world.ledger_id, [first], site)) is ACCEPTED
    again = access_bytes(driver, SITES[1], record_id=first.header.record_id, fact=first.header.fact)
    assert written(driver, again) is Code.STALE
    follows = access_bytes(driver, SITES[1], fact=first.header.fact, previous=first.record_hash)
    assert written(driver, follows) is Code.MALFORMED


def test_only_a_sites_key_in_force_records_releases() -> None:
    driver = governed(rules=4)
    new = ed25519("jp-sapporo")
    driver.world.site_signers["jp-sapporo"] = new
    assert written(driver, access_bytes(driver, "jp-sapporo")) is Code.UNKNOWN_AUTHOR
    assert driver.act(enrol_site("jp-sapporo", new)) is ACCEPTED
    assert written(driver, access_bytes(driver, "jp-sapporo")) is ACCEPTED
    late, seals = access_bytes(driver, "jp-sapporo"), site_kek(driver, "jp-sapporo")
    assert driver.act(rotate_site_key("jp-sapporo", ed25519("rotated"))) is ACCEPTED
    assert [written(driver, data) for data in (late, seals)] == [Code.KEY_ENDED] * 2
    assert driver.act({"do": "retire-site", "name": "jp-sapporo"}) is ACCEPTED
    assert [written(driver, data) for data in (late, seals)] == [Code.KEY_ENDED] * 2


def test_an_author_under_a_sites_compartment_and_a_site_under_an_authors_key_are_two_things() -> None:
    driver = governed(rules=4)
    record = access_record(driver)
    named = record.header._replace(author_key_id=driver.world.key_id(HOSPITAL))
    data = make_submission(driver.world, HOSPITAL, [make_record(named, record.payload)])
    assert written(driver, data) is REFUSED


def test_late_access_records_stand_under_a_key_epoch_that_is_open_and_not_under_a_closed_one() -> None:
    driver = governed(rules=4)
    assert driver.act(start_key_epoch("health", 2)) is ACCEPTED
    assert written(driver, access_bytes(driver, key_epoch=1)) is ACCEPTED
    assert written(driver, access_bytes(driver, key_epoch=2)) is ACCEPTED
    assert driver.act(close_key_epoch("health", 1)) is ACCEPTED
    assert written(driver, access_bytes(driver, key_epoch=1)) is Code.KEY_EPOCH_CLOSED


def test_a_release_under_a_delay_stands_under_the_delays_subject_in_its_registries_also_late() -> None:
    driver = governed(rules=4)
    delayed: dict[str, object] = {"kind": "access-delayed", "about": subject_of_delay("inv-7")}
    assert written(driver, access_bytes(driver, **delayed)) is REFUSED
    assert driver.act(delay_read_log("inv-7", "case 1")) is ACCEPTED
    assert written(driver, access_bytes(driver, **delayed)) is ACCEPTED
    assert written(driver, access_bytes(driver, registry="tax", **delayed)) is REFUSED
    assert written(driver, access_bytes(driver, kind="access-delayed", about=subject("patient"))) is REFUSED
    assert driver.act(release_read_log("inv-7")) is ACCEPTED
    assert written(driver, access_bytes(driver, **delayed)) is ACCEPTED


# -- KEK seals of sites -------------------------------------------------------------------------------------------------


SEALS: list[tuple[dict[str, object], Code]] = [
    ({}, ACCEPTED),
    ({"registry": "tax"}, ACCEPTED),
    ({"compartment": ""}, REFUSED),
    ({"compartment": "ward"}, REFUSED),
    ({"key_epoch": 2}, REFUSED),
    ({"registry": "land"}, REFUSED),
    ({"registry": "keys"}, REFUSED),
    ({"registry": "governance"}, REFUSED),
    ({"author": HOSPITAL}, Code.MALFORMED),
    ({"author": f"/sites/{SITES[1]}"}, Code.MALFORMED),
    ({"kind": "other"}, Code.MALFORMED),
    ({"fact": ZERO16}, Code.MALFORMED),
    ({"subject": ZERO32}, Code.MALFORMED),
    ({"content": b"no seals"}, Code.MALFORMED),
]


@pytest.mark.parametrize(("fields", "code"), SEALS, ids=lambda value: str(value)[:40])
def test_a_site_seals_keks_of_its_own_access_records_alone(fields: dict[str, object], code: Code) -> None:
    driver = governed(rules=4)
    assert written(driver, site_kek(driver, **fields)) is code  # type: ignore[arg-type]


def test_seals_of_a_sites_kek_are_versions_of_one_fact() -> None:
    driver = governed(rules=4)
    assert written(driver, site_kek(driver)) is ACCEPTED
    assert written(driver, site_kek(driver)) is Code.STALE


def test_a_site_of_the_longest_name_seals_keks_too() -> None:
    name = "jp-" + "x" * 29
    driver = governed(rules=4, embassies=[name])
    assert len(f"/sites/{name}") > 32
    assert written(driver, site_kek(driver, name)) is ACCEPTED
    assert written(driver, access_bytes(driver, name)) is ACCEPTED


# -- words --------------------------------------------------------------------------------------------------------------


def test_changes_say_what_holds_from_then_on() -> None:
    driver = with_agent()
    assert "Releases for 2 cases in health are recorded under delay inv-7" in words(
        driver, delay_read_log("inv-7", "a", "b")
    )
    assert "What was recorded under delay inv-7 is shown" in words(driver, release_read_log("inv-7"))
    said = words(driver, require_key_agent("health", "", "agent-1"))
    assert "Keys of the open part of health are sealed to agent-1 and no other reader" in said
    assert "Readers of psychiatry in health open its keys themselves again" in words(
        driver, end_key_agent(*PSYCHIATRY)
    )


def test_who_may_read_access_records_is_a_scope_like_any_other() -> None:
    driver = governed(rules=4)
    assert driver.act(enrol_reader("patient-desk", ("health", "access"))) is ACCEPTED
    governance = driver.governance
    author = f"/sites/{SITES[0]}"
    assert governance.may_read("patient-desk", "health", "access", author)
    assert not governance.may_read("patient-desk", "tax", "access", author)
    assert driver.act(permit(CITY, "write", ("health", "*"))) is ACCEPTED
    assert not driver.governance.may_read(CITY, "health", "access", author)
    assert not driver.governance.may_write(CITY, "health", "access")
