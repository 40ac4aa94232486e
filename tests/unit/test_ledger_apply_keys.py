"""Apply, authors' keys in use: suites by rules, companions that cannot be left out, keys that end, key epochs, KEK seals, granted budgets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from acts import budget, enrol_key, governed, grant_budget, one_key, set_budget
from genesis_builder import ed25519, hybrid, make_submission, p256
from ledger_driver import LedgerDriver, code_of
from sento_node.ledger import judging, memory_store, state
from sento_node.ledger.memory_store import MemoryStore
from sento_proto.errors import Code
from sento_proto.governance import author_changes
from sento_proto.governance import state as governance_state
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.keys import Signer
from sento_proto.record import make_record
from sento_proto.software_signers import HybridSigner, MlDsa65Signer
from sento_proto.submission import decode_submission, encode_submission, sign_submission

ACCEPTED, CITY = Code.ACCEPTED, "iizuka-city"


def under(driver: LedgerDriver, signer: Signer, *names: str) -> bytes:
    """A submission of these facts under a key."""
    driver.world.other_signers[CITY] = signer
    return make_submission(driver.world, CITY, [driver.record(name) for name in names])


def without_signature(driver: LedgerDriver, data: bytes, *kept: int) -> bytes:
    """The submission with the signatures of these numbers alone."""
    told = decode_submission(data)
    return encode_submission(
        driver.world.ledger_id, told.author_key_id, told.records, [told.signatures[at] for at in kept]
    )


# -- suites and companions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "code"), [(1, Code.BAD_SIGNATURE), (2, ACCEPTED), (3, ACCEPTED)])
def test_a_p256_key_signs_from_rules_2_on(rules: int, code: Code) -> None:
    driver = governed(rules=rules, signers={CITY: p256("city")})
    assert code_of(driver.order([make_submission(driver.world, CITY, [driver.record("a")])])) is code


@pytest.mark.parametrize(("rules", "code"), [(1, Code.BAD_SIGNATURE), (2, Code.BAD_SIGNATURE), (3, ACCEPTED)])
def test_a_key_with_a_companion_signs_from_rules_3_on(rules: int, code: Code) -> None:
    driver = governed(rules=rules, signers={CITY: hybrid("city")})
    assert code_of(driver.order([make_submission(driver.world, CITY, [driver.record("a")])])) is code


@pytest.mark.parametrize("primary", [ed25519("city"), p256("city")], ids=["ed25519", "p-256"])
def test_neither_signature_of_a_key_with_a_companion_can_be_left_out_or_be_anothers(primary: Signer) -> None:
    both = HybridSigner(primary, MlDsa65Signer(b"\7" * 32))
    driver = governed(rules=3, signers={CITY: both})
    data = make_submission(driver.world, CITY, [driver.record("a")])
    stripped = [without_signature(driver, data, 0), without_signature(driver, data, 1)]
    foreign = HybridSigner(primary, MlDsa65Signer(bytes([8]) * 32))
    stripped.append(sign_submission(driver.world.ledger_id, decode_submission(data).records, foreign))
    for false in stripped:
        assert code_of(driver.order([false])) is Code.BAD_SIGNATURE
    assert code_of(driver.order([data])) is ACCEPTED


def test_a_signature_too_many_under_a_key_without_a_companion_is_refused() -> None:
    driver = governed(rules=3)
    primary = driver.world.signer(CITY)
    both = HybridSigner(primary, MlDsa65Signer(b"\7" * 32))
    data = sign_submission(driver.world.ledger_id, [driver.record("a")], both)
    assert code_of(driver.order([data])) is Code.BAD_SIGNATURE
    assert code_of(driver.order([without_signature(driver, data, 0)])) is ACCEPTED


def test_what_verified_before_a_companion_was_there_is_not_remembered_for_another_key() -> None:
    """The same bytes, known to have verified under one key alone, under a memo that must ask by which keys."""
    driver = governed(rules=3)
    both = hybrid("city")
    data = under(driver, both, "a")
    assert code_of(driver.order([data])) is Code.UNKNOWN_AUTHOR
    assert driver.act(enrol_key(CITY, both)) is ACCEPTED
    assert code_of(driver.order([without_signature(driver, data, 0)])) is Code.BAD_SIGNATURE
    assert code_of(driver.order([data])) is ACCEPTED


# -- keys that end ------------------------------------------------------------------------------------------------------


def test_nothing_under_a_revoked_key_counts_from_exactly_that_position_on() -> None:
    driver = governed()
    key = driver.world.signer(CITY)
    before, behind = under(driver, key, "before"), under(driver, key, "behind")
    result = driver.order([before, driver.act_bytes(one_key("revoke-key", CITY, key)), behind])
    assert [code_of(result, at) for at in range(3)] == [ACCEPTED, ACCEPTED, Code.KEY_ENDED]
    assert driver.governance.author_keys[key.public_key.key_id].ended_at == 1
    assert code_of(driver.order([before])) is Code.KNOWN


def test_late_records_under_a_retired_key_count_until_it_is_closed() -> None:
    driver = governed()
    key, second = driver.world.signer(CITY), ed25519("second")
    assert driver.act(enrol_key(CITY, second), one_key("retire-key", CITY, key)) is ACCEPTED
    late, last = under(driver, key, "late"), under(driver, key, "last")
    assert code_of(driver.order([late])) is ACCEPTED
    assert driver.act(one_key("close-key", CITY, key)) is ACCEPTED
    assert code_of(driver.order([last])) is Code.KEY_ENDED
    assert code_of(driver.order([late])) is Code.KNOWN
    assert code_of(driver.order([under(driver, second, "new")])) is ACCEPTED


def test_an_author_whose_only_key_was_revoked_writes_again_under_a_new_one_and_its_ids_stay_its_own() -> None:
    driver = governed()
    key, second = driver.world.signer(CITY), p256("second")
    first = driver.record("a")
    driver.write([first])
    assert driver.act(one_key("revoke-key", CITY, key), enrol_key(CITY, second)) is ACCEPTED
    driver.world.other_signers[CITY] = second
    assert driver.codes([driver.record("x", record_id=first.header.record_id)]) == [Code.RECORD_ID_REUSED]
    assert driver.codes([driver.record("a", previous=first.record_hash)]) == [ACCEPTED]


# -- KEK seals ----------------------------------------------------------------------------------------------------------


def seals(driver: LedgerDriver, **fields: object) -> bytes:
    """A record with seals of a KEK of the city; `fields`: the header's, set otherwise."""
    kek = KekSeals(bytes(32), "residency", "", 1, 0, (b"seal" * 10,))
    kek = kek._replace(**{name: fields.pop(name) for name in list(fields) if name in KekSeals._fields})  # type: ignore[arg-type]
    key_id = driver.world.key_id(CITY)
    numbers = driver.world.numbers
    header = kek_seals_header(numbers.record_id(), CITY, key_id, numbers.next_time_ms(), kek)
    record = make_record(header._replace(**fields), b"")  # type: ignore[arg-type]
    return make_submission(driver.world, CITY, [record])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ACCEPTED),
        ({"key_epoch": 2}, Code.NOT_PERMITTED),
        ({"registry": "health"}, Code.NOT_PERMITTED),
        ({"compartment": "closed"}, Code.NOT_PERMITTED),
        ({"subject": bytes([1]) * 32}, Code.MALFORMED),
        ({"fact": bytes([1]) * 16}, Code.MALFORMED),
        ({"kind": "seals"}, Code.MALFORMED),
        ({"content": b""}, Code.MALFORMED),
    ],
)
def test_kek_seals_stand_where_their_author_may_write_and_never_before_their_key_epoch(
    fields: dict[str, object], code: Code
) -> None:
    driver = governed()
    assert code_of(driver.order([seals(driver, **fields)])) is code


def test_an_author_does_not_seal_in_anothers_name() -> None:
    driver = governed()
    city = decode_submission(seals(driver)).records[0]
    stolen = city.header._replace(author_key_id=driver.world.key_id("kaga-city"))
    data = make_submission(driver.world, "kaga-city", [make_record(stolen, b"")])
    assert code_of(driver.order([data])) is Code.MALFORMED


# -- granted budgets ----------------------------------------------------------------------------------------------------

WINDOW = 10


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "BUDGET_WINDOW_POSITIONS", WINDOW)
    for module in (state, memory_store, author_changes, governance_state):
        monkeypatch.setattr(module, "BUDGET_WINDOW_POSITIONS", WINDOW)


def codes(driver: LedgerDriver, names: Sequence[str], about: str | None = None) -> list[Code]:
    return driver.codes([driver.record(name, about=about) for name in names])


def others(driver: LedgerDriver, count: int) -> None:
    records = [driver.record(f"k{driver.state.size}-{at}", author="kaga-city") for at in range(count)]
    assert set(driver.codes(records, "kaga-city")) == {ACCEPTED}


@pytest.mark.usefixtures("small_window")
def test_what_was_held_stands_after_a_grant_exactly_so_many_in_this_window_and_none_more_in_the_next() -> (
    None
):
    driver = governed(budgets={CITY: (2, 9)})
    assert codes(driver, "abcde") == [ACCEPTED, ACCEPTED] + [Code.HELD] * 3
    assert driver.act(grant_budget(CITY, 2, 0)) is ACCEPTED
    assert codes(driver, "cde") == [ACCEPTED, ACCEPTED, Code.HELD]
    others(driver, WINDOW - driver.state.size)
    assert driver.state.size == WINDOW
    assert codes(driver, "efg") == [ACCEPTED, ACCEPTED, Code.HELD]


@pytest.mark.usefixtures("small_window")
def test_subjects_are_granted_apart_from_records_and_two_grants_in_one_window_add_up() -> None:
    driver = governed(budgets={CITY: (3, 1)})
    assert codes(driver, "ab") == [ACCEPTED, Code.HELD]
    assert driver.act(grant_budget(CITY, 0, 1)) is ACCEPTED
    assert codes(driver, "bc") == [ACCEPTED, Code.HELD]
    assert driver.act(grant_budget(CITY, 1, 1)) is ACCEPTED
    assert codes(driver, ["c"]) == [ACCEPTED]
    assert codes(driver, ["d"], about="a") == [ACCEPTED]
    assert codes(driver, ["e"], about="a") == [Code.HELD]


@pytest.mark.usefixtures("small_window")
def test_a_grant_in_the_last_position_of_a_window_is_of_no_use_in_the_next() -> None:
    driver = governed(budgets={CITY: (1, 9)})
    others(driver, WINDOW - 1)
    assert driver.act(grant_budget(CITY, 5, 5)) is ACCEPTED
    assert driver.state.size == WINDOW
    assert codes(driver, "ab") == [ACCEPTED, Code.HELD]


@pytest.mark.usefixtures("small_window")
def test_a_grant_and_what_was_used_of_it_outlive_a_restart() -> None:
    driver = governed(budgets={CITY: (1, 9)})
    assert codes(driver, "ab") == [ACCEPTED, Code.HELD]
    assert driver.act(grant_budget(CITY, 2, 0)) is ACCEPTED
    assert codes(driver, "b") == [ACCEPTED]
    driver.flush()
    assert isinstance(driver.store, MemoryStore)
    again = LedgerDriver(driver.world, driver.store.crash())
    assert again.governance == driver.governance
    assert codes(again, "cd") == [ACCEPTED, Code.HELD]


def test_a_raised_budget_lets_what_was_held_stand() -> None:
    driver = governed(budgets={CITY: (1, 1)})
    held = driver.record("b")
    assert driver.codes([driver.record("a"), held]) == [ACCEPTED, Code.HELD]
    assert driver.act(set_budget(CITY, **budget(5, 5))) is ACCEPTED
    assert driver.codes([held]) == [ACCEPTED]
