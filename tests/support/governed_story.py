"""A ledger's life under officers' acts, block by block: acts of every kind, what each refuses, and ordinary records between them.

One story for golden ledgers, replay and adoption. `under_rules_2` goes for any ledger that officers govern, `under_rules_3` is what comes when companions
are known, `raising` leads from the one to the other; `raising_to_4` leads on, and `under_rules_4` is what comes when releases are recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import acts as do
from access_records import access_bytes, site_kek
from genesis_builder import (
    OFFICERS,
    SITES,
    TestWorld,
    act_content,
    build_genesis,
    ed25519,
    hybrid,
    make_act,
    make_submission,
    p256,
)
from ledger_driver import LedgerDriver, subject
from sento_proto.access_record import PAYLOAD_MAX_BYTES, fact_of_access
from sento_proto.governance.state import subject_of_delay
from sento_proto.header import ZERO16, ZERO32
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.record import Record, make_record
from sento_proto.submission import decode_submission, encode_submission, group_value

Blocks = Iterator[list[bytes]]
CITY, KAGA, DESK = "iizuka-city", "kaga-city", "relief-desk"
ONE, TWO, THREE = OFFICERS
DEPUTIES = {ONE: "deputy-one", TWO: "deputy-two"}
EMBASSY = "us-embassy"


def story_world(name: str, rules: int) -> TestWorld:
    """The world that the story is of: kaga-city's budget is small, officers have deputies."""
    return build_genesis(
        name=name, rules=rules, deputies=DEPUTIES, embassies=[EMBASSY], budgets={KAGA: (8, 6)}
    )


def record_of(data: bytes) -> Record:
    """The record in an act."""
    return decode_submission(data).records[0]


def writes(driver: LedgerDriver, *names: str, author: str = CITY, **fields: object) -> bytes:
    """A submission of new facts."""
    records = [driver.record(name, author=author, **fields) for name in names]  # type: ignore[arg-type]
    return make_submission(driver.world, author, records)


def many(driver: LedgerDriver, prefix: str, count: int) -> list[bytes]:
    """A block of ordinary records in submissions of ten."""
    names = [f"{prefix}-{at}" for at in range(count)]
    return [writes(driver, *names[at : at + 10], content=b"an entry") for at in range(0, count, 10)]


def stripped(world: TestWorld, data: bytes) -> bytes:
    """A submission with its first signature alone."""
    told = decode_submission(data)
    return encode_submission(world.ledger_id, told.author_key_id, told.records, told.signatures[:1])


def kek(driver: LedgerDriver, registry: str, key_epoch: int, compartment: str = "") -> bytes:
    """A record of KEK seals by the city."""
    seals = KekSeals(b"\7" * 32, registry, compartment, key_epoch, 0, (b"a seal" * 20, b"one more" * 20))
    numbers = driver.world.numbers
    header = kek_seals_header(
        numbers.record_id(), CITY, driver.world.key_id(CITY), numbers.next_time_ms(), seals
    )
    return make_submission(driver.world, CITY, [make_record(header, b"")])


def under_rules_2(driver: LedgerDriver) -> Blocks:
    """Acts of every kind that rules 2 know, each with what it refuses, accepted ones in their order."""
    yield from _acts_refused(driver)
    yield from _authors(driver)
    yield from _readers(driver)
    yield from _sites(driver)
    yield from _officers(driver)
    yield from _ledger(driver)


def _acts_refused(driver: LedgerDriver) -> Blocks:
    world, nothing = driver.world, do.set_threshold(2)
    other = do.governed(name="another")
    yield [*many(driver, "first", 160)]
    yield [
        driver.act_bytes(nothing, officers=[ONE]),
        driver.act_bytes(nothing, officers=[ONE, "deputy-one"]),
        other.act_bytes(nothing),
        make_act(world, act_content(nothing), epoch=driver.state.epoch + 1),
        make_act(world, act_content(nothing), epoch=driver.state.epoch, kind="other"),
        make_act(world, b'{"format":"sento-act-1","format":"sento-act-1"}', epoch=driver.state.epoch),
        driver.act_bytes(nothing, previous=b"\1" * 32),
        driver.act_bytes(do.permit("nobody", "write", ("tax", ""))),
        driver.act_bytes(do.enrol_author("ogi-town"), do.permit(CITY, "write", ("tax", ""))),
        driver.act_bytes(do.set_rules(9)),
    ]
    spoilt = driver.act_bytes(nothing)
    first, second = driver.act_bytes(nothing), driver.act_bytes(nothing)
    yield [spoilt[:-1] + bytes([spoilt[-1] ^ 1]), first, second, first]
    yield [
        driver.act_bytes(nothing, previous=ZERO32),
        driver.act_bytes(nothing, officers=["deputy-one", THREE]),
    ]


def _authors(driver: LedgerDriver) -> Blocks:
    world, ogi, second = driver.world, ed25519("ogi-town"), p256("second")
    world.other_signers["ogi-town"] = ogi
    yield [
        writes(driver, "early", author="ogi-town"),
        driver.act_bytes(do.enrol_author("ogi-town")),
        writes(driver, "town", author="ogi-town"),
    ]
    yield [driver.act_bytes(do.enrol_key("ogi-town", second), do.one_key("retire-key", "ogi-town", ogi))]
    yield [writes(driver, "late", author="ogi-town")]
    yield [
        driver.act_bytes(do.one_key("close-key", "ogi-town", ogi)),
        writes(driver, "too late", author="ogi-town"),
    ]
    world.other_signers["ogi-town"] = second
    suspect = do.one_key("revoke-key", "ogi-town", second, suspect_from_position=70)
    yield [
        writes(driver, "by token", author="ogi-town"),
        driver.act_bytes(suspect),
        writes(driver, "thief", author="ogi-town"),
    ]
    ward = ("health", "ward")
    yield [
        writes(driver, "ward", registry="health", compartment="ward"),
        driver.act_bytes(do.permit(CITY, "write", ward)),
    ]
    yield [writes(driver, "ward", registry="health", compartment="ward")]
    yield [
        driver.act_bytes(do.withdraw(CITY, "write", ward)),
        writes(driver, "bed", registry="health", compartment="ward"),
    ]
    yield [writes(driver, *[f"night-{at}" for at in range(12)], author=KAGA)]
    yield [driver.act_bytes(do.grant_budget(KAGA, 2, 4))]
    yield [writes(driver, *[f"day-{at}" for at in range(6)], author=KAGA)]
    yield [
        driver.act_bytes(do.set_budget(KAGA, 20, 20)),
        *[writes(driver, f"week-{at}", author=KAGA) for at in range(3)],
    ]


def _readers(driver: LedgerDriver) -> Blocks:
    yield [driver.act_bytes(do.enrol_reader("auditor", ("tax", ""), see=[("health", "*")]))]
    yield [
        driver.act_bytes(
            do.permit("auditor", "read", ("tax", "audit")), do.permit("auditor", "see", ("tax", "*"))
        )
    ]
    yield [
        driver.act_bytes(do.withdraw("auditor", "read", ("tax", "audit"))),
        driver.act_bytes(do.revoke_reader(DESK)),
    ]
    yield [
        driver.act_bytes(
            do.replace_seal_key("auditor", "another"), do.withdraw("auditor", "see", ("tax", "*"))
        )
    ]
    yield [driver.act_bytes(do.add_registry("libraries"), do.permit(CITY, "write", ("libraries", "")))]
    yield [
        writes(driver, "book", registry="libraries"),
        kek(driver, "libraries", 2),
        kek(driver, "libraries", 3),
        kek(driver, "health", 1),
    ]
    epochs = [do.start_key_epoch(registry, 2) for registry in ("residency", "tax", "health")]
    yield [driver.act_bytes(do.revoke_reader(DESK), *epochs), writes(driver, "old epoch")]
    closes = driver.act_bytes(do.close_key_epoch("residency", 1))
    yield [
        writes(driver, "last of old"),
        closes,
        writes(driver, "refused of old"),
        writes(driver, "new", key_epoch=2),
    ]
    yield [
        driver.act_bytes(do.start_key_epoch("residency", 3, "closed")),
        writes(driver, "closed", key_epoch=2),
    ]


def _sites(driver: LedgerDriver) -> Blocks:
    world, new = driver.world, ed25519("jp-sapporo")
    world.site_signers["jp-sapporo"] = new
    yield [driver.act_bytes(do.enrol_site("jp-sapporo", new)), driver.announcement(SITES[0], [1, 2])]
    yield [
        driver.act_bytes(do.set_receipt_set([*SITES, "jp-sapporo"], 3)),
        driver.announcement(SITES[0], [2, 1]),
    ]
    yield [driver.announcement("jp-sapporo", [1, 2]), driver.announcement(EMBASSY, [1, 2, 3])]
    yield [
        driver.act_bytes(do.set_receipt_set([*SITES, "jp-sapporo"], 3)),
        driver.announcement(SITES[1], [1, 2], kind="other"),
    ]
    yield [
        driver.act_bytes(do.rotate_site_key("jp-sapporo", ed25519("rotated"))),
        driver.announcement("jp-sapporo", [1, 2, 3]),
    ]
    yield [driver.act_bytes(do.set_receipt_set(SITES, 2), do.retire_site("jp-sapporo"))]
    yield [driver.act_bytes(do.retire_site(SITES[0]))]


def _officers(driver: LedgerDriver) -> Blocks:
    world = driver.world
    four, five = ed25519("officer-four"), p256("deputy-four")
    world.officer_signers["officer-four"] = four
    world.officer_signers["another"] = ed25519("another")
    yield [driver.act_bytes(do.enrol_officer("officer-four", four, ("deputy-four", five)))]
    yield [
        driver.act_bytes(do.enrol_officer("officer-four", four, ("deputy-four", five)), do.set_threshold(3))
    ]
    yield [driver.act_bytes(do.set_deputy(ONE, ("another", ed25519("another"))), officers=[ONE, TWO])]
    yield [
        driver.act_bytes(
            do.set_deputy(ONE, ("another", ed25519("another"))), officers=[ONE, TWO, "officer-four"]
        )
    ]
    retires = driver.act_bytes(
        do.retire_officer("officer-four"), do.set_threshold(2), officers=["another", TWO, THREE]
    )
    yield [
        retires,
        driver.act_bytes(
            do.set_threshold(2), officers=[ONE, TWO, "officer-four"], previous=record_of(retires).record_hash
        ),
    ]
    yield [driver.act_bytes(do.set_deputy(TWO, None))]


def _ledger(driver: LedgerDriver) -> Blocks:
    record = driver.record("forgotten", content=b"to be erased", key_epoch=3)
    yield [make_submission(driver.world, CITY, [record]), driver.act_bytes(do.erase(record.record_hash))]
    yield [driver.act_bytes(do.erase(record.record_hash))]
    yield [driver.act_bytes(do.set_recovery_key("2026", OFFICERS, 2))]
    yield [driver.act_bytes(do.unlock("2026", [ONE]))]
    yield [
        driver.act_bytes(do.unlock("2026", [ONE, THREE])),
        *[writes(driver, f"end-{at}", key_epoch=3) for at in range(60)],
    ]


def raising(driver: LedgerDriver, sites: Sequence[str] = SITES) -> Blocks:
    """From rules 2 to 3: refused before all have announced; in force from the block behind the act's."""
    both = hybrid("city")
    yield [driver.act_bytes(do.set_rules(3)), driver.act_bytes(do.enrol_key(CITY, both))]
    for site in sites:
        yield [driver.announcement(site, [1, 2, 3])]
    raises = driver.act_bytes(do.set_rules(3))
    within = driver.act_bytes(do.enrol_key(CITY, both), previous=record_of(raises).record_hash)
    yield [
        raises,
        within,
        writes(driver, "within", key_epoch=driver.governance.registries["residency"].key_epoch),
    ]


def under_rules_3(driver: LedgerDriver) -> Blocks:
    """Companions: enrolled, demanded by policy, and never left out."""
    world, both = driver.world, hybrid("city")
    key_epoch = driver.governance.registries["residency"].key_epoch
    plain = world.signer(CITY)
    yield [driver.act_bytes(do.set_policy(CITY, on=True)), driver.act_bytes(do.enrol_key(CITY, both))]
    world.other_signers[CITY] = both
    data = writes(driver, "signed twice", key_epoch=key_epoch)
    yield [stripped(world, data), data]
    yield [driver.act_bytes(do.set_policy(CITY, on=True))]
    yield [driver.act_bytes(do.enrol_key(CITY, ed25519("no companion")))]
    world.other_signers[CITY] = plain
    refused = writes(driver, "signed once", key_epoch=key_epoch)
    yield [refused]
    yield [driver.act_bytes(do.set_policy(CITY, on=False)), refused]
    world.other_signers[KAGA] = p256("kaga")
    yield [
        driver.act_bytes(do.enrol_key(KAGA, p256("kaga"))),
        writes(driver, "token", author=KAGA, key_epoch=key_epoch),
    ]


def raising_to_4(driver: LedgerDriver) -> Blocks:
    """From rules 3 to 4: an order that stood before; what rules 4 bring is refused before they are in force."""
    record = driver.record("ordered before", content=b"under rules 3", key_epoch=3)
    yield [make_submission(driver.world, CITY, [record]), driver.act_bytes(do.erase(record.record_hash))]
    early = do.erase_subject("residency", subject("early"))
    yield [
        driver.act_bytes(do.set_rules(4)),
        driver.act_bytes(early),
        driver.act_bytes(do.carry_out_erasure(driver.governance.last_act_at)),
        access_bytes(driver, key_epoch=2),
        site_kek(driver),
    ]
    for site in SITES:
        yield [driver.announcement(site, [1, 2, 3, 4])]
    raises = driver.act_bytes(do.set_rules(4))
    yield [
        raises,
        driver.act_bytes(early, previous=record_of(raises).record_hash),
        access_bytes(driver, key_epoch=2),
    ]
    ordered = driver.governance.erasures[record.record_hash]
    yield [driver.act_bytes(do.carry_out_erasure(ordered))]


def under_rules_4(driver: LedgerDriver) -> Blocks:
    """Erasure in two acts, the read log, key agents, and what sites write in their own name."""
    yield from _erasures(driver)
    yield from _read_log(driver)
    yield from _key_agents(driver)


def _erasures(driver: LedgerDriver) -> Blocks:
    newest = driver.governance.registries["residency"].key_epoch
    patient = subject("patient")
    forgotten = driver.record("forgotten twice", content=b"gone", key_epoch=newest)
    orders = do.erase_subject("residency", patient), do.erase(forgotten.record_hash)
    yield [
        make_submission(driver.world, CITY, [forgotten]),
        driver.act_bytes(*orders, do.erase_subject("health", patient)),
    ]
    first = driver.governance.last_act_at
    yield [
        writes(driver, "while ordered", about="patient", key_epoch=newest),
        driver.act_bytes(do.erase_subject("residency", patient)),
        driver.act_bytes(do.erase_subject("governance", patient)),
        driver.act_bytes(do.erase_subject("residency", subject("other"), wait=" ")),
        driver.act_bytes(do.carry_out_erasure(first + 1)),
    ]
    yield [driver.act_bytes(do.carry_out_erasure(first)), driver.act_bytes(do.withdraw_erasure(first))]
    yield [
        driver.act_bytes(do.carry_out_erasure(first)),
        driver.act_bytes(do.withdraw_erasure(first)),
        writes(driver, "once more", about="patient", content=b"new", key_epoch=newest),
        driver.act_bytes(do.erase_subject("residency", patient, wait="a week")),
    ]
    second = driver.governance.last_act_at
    yield [driver.act_bytes(do.withdraw_erasure(second))]
    yield [
        driver.act_bytes(do.carry_out_erasure(second)),
        driver.act_bytes(do.withdraw_erasure(second)),
        driver.act_bytes(do.erase(b"\5" * 32), do.carry_out_erasure(driver.state.size)),
    ]
    yield [driver.act_bytes(do.erase(b"\5" * 32))]


def _read_log(driver: LedgerDriver) -> Blocks:
    world, newest = driver.world, driver.governance.registries["health"].key_epoch
    access = access_bytes(driver, key_epoch=newest)
    alone = world.numbers.record_id()
    in_a_group = {"record_id": alone, "fact": fact_of_access(alone), "group": group_value([alone])}
    delayed = {"kind": "access-delayed", "about": subject_of_delay("inv-7"), "key_epoch": newest}
    yield [
        site_kek(driver, key_epoch=newest),
        site_kek(driver, key_epoch=newest),
        site_kek(driver, SITES[1], key_epoch=newest + 1),
        site_kek(driver, SITES[1], key_epoch=newest, compartment="ward"),
        site_kek(driver, SITES[1], key_epoch=newest, author=CITY),
        access,
        access,
        access_bytes(driver, SITES[1], kind="access-refused", key_epoch=newest),
        access_bytes(driver, SITES[2], key_epoch=newest + 1),
        access_bytes(driver, SITES[2], key_epoch=newest, compartment="ward"),
        access_bytes(driver, SITES[2], key_epoch=newest, kind="reading"),
        access_bytes(driver, SITES[2], key_epoch=newest, **in_a_group),
        access_bytes(driver, SITES[2], key_epoch=newest, fact=ZERO16),
        access_bytes(driver, SITES[2], key_epoch=newest, content=b"x" * PAYLOAD_MAX_BYTES),
        access_bytes(driver, SITES[2], **delayed),
    ]
    world.site_signers["jp-sapporo"] = ed25519("rotated")
    yield [
        access_bytes(driver, "jp-sapporo", key_epoch=newest),
        driver.act_bytes(do.permit(CITY, "write", ("health", "*"))),
        writes(driver, "as a site", registry="health", compartment="access", key_epoch=newest),
        writes(driver, "as itself", registry="health", compartment="ward", key_epoch=newest),
        kek(driver, "health", newest, "access"),
    ]
    yield [
        driver.act_bytes(do.delay_read_log("inv-7", "case 1", "case 2")),
        access_bytes(driver, SITES[2], **delayed),
        access_bytes(driver, SITES[2], registry="residency", **delayed),
    ]
    yield [driver.act_bytes(do.delay_read_log("inv-7", "case 3"))]
    yield [driver.act_bytes(do.delay_read_log("inv-8", registries=["keys"]))]
    yield [driver.act_bytes(do.release_read_log("inv-7"))]
    yield [
        driver.act_bytes(do.release_read_log("inv-7")),
        access_bytes(driver, SITES[2], **delayed),
        driver.act_bytes(do.start_key_epoch("health", newest + 1, "closed")),
        access_bytes(driver, SITES[0], key_epoch=newest),
    ]
    yield [access_bytes(driver, SITES[0], key_epoch=newest), access_bytes(driver, key_epoch=newest + 1)]


def _key_agents(driver: LedgerDriver) -> Blocks:
    psychiatry = ("health", "psychiatry")
    yield [driver.act_bytes(do.require_key_agent(*psychiatry, "agent-1"))]
    yield [
        driver.act_bytes(do.require_key_agent(*psychiatry, "agent-1"), do.enrol_reader("agent-1", psychiatry))
    ]
    yield [driver.act_bytes(do.require_key_agent("health", "access", "agent-1"))]
    yield [driver.act_bytes(do.require_key_agent(*psychiatry, "auditor"))]
    epoch = do.start_key_epoch("health", driver.governance.registries["health"].key_epoch + 1)
    yield [
        driver.act_bytes(do.revoke_reader("agent-1"), epoch),
        driver.act_bytes(do.end_key_agent("tax", "")),
    ]
    yield [driver.act_bytes(do.end_key_agent(*psychiatry), do.revoke_reader("agent-1"), epoch)]


WHOLE_STORY = (under_rules_2, raising, under_rules_3, raising_to_4, under_rules_4)
"""From rules 2 to the newest."""
