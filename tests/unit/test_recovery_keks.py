"""Every KEK that was asked for opens to the committed one or is named with its author, registry, compartment and epoch; nothing is skipped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recovery_world import (
    LEDGER_ID,
    NAMES,
    REGISTRIES,
    SCOPES,
    committed_seal,
    derived,
    hold_ceremony,
    kek_of,
    registry_keys,
    standing_of,
    world_with,
)
from sento_client.pseudonym_service.key_file import read_keys
from sento_client.recovery import kek_workers
from sento_client.recovery.kek_workers import try_all
from sento_client.recovery.keks import Fault, Wanted, gather, open_keks
from sento_client.recovery.ledger_copy import LedgerCopy, copy_lines
from sento_client.recovery.reconstruct import reconstruct
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import CommittedSeal, KekScope
from sento_client.recovery.unlocked_files import KEKS_NAME, SERVICE_KEYS_NAME, read_unlocked, write_unlocked
from sento_client.recovery.unlocking import (
    RegistryKeys,
    acts_for,
    check_named,
    open_registry_keys,
    wanted_of,
)
from sento_client.setup_errors import Setup, SetupError
from sento_proto.recovery import EntryKind, RecoveryPayload, SealedEntry, registry_key_info
from sento_proto.seal import XWingOpener, seal, xwing_public

HELD = hold_ceremony()
KEY = reconstruct(HELD.shares[:3], HELD.ceremony)
OPENER = XWingOpener(KEY.secret)
PUBLIC = HELD.ceremony.public_key
ALL = Wanted()
SCOPE = SCOPES[0]
GOOD = committed_seal(SCOPE, PUBLIC)
STRANGER = xwing_public(derived("a reader", 96))


def test_what_is_named_opens_and_nothing_else() -> None:
    world = world_with(HELD)
    opened = open_keks(world.seals(PUBLIC), OPENER, wanted_of(["health"], [2]), world.scopes)
    chosen = {scope for scope in SCOPES if (scope.registry, scope.key_epoch) == ("health", 2)}
    assert opened.keks == {scope: kek_of(scope) for scope in chosen}
    assert (opened.bad, opened.tried) == ((), 2)


@pytest.mark.parametrize(
    ("sealed", "fault", "why"),
    [
        (committed_seal(SCOPE, STRANGER), Fault.DOES_NOT_OPEN, "another recipient"),
        (committed_seal(SCOPE, PUBLIC, sealed_as=SCOPES[1]), Fault.DOES_NOT_OPEN, "made for another author"),
        (committed_seal(SCOPE, PUBLIC, sealed_as=SCOPE._replace(compartment="x")), Fault.DOES_NOT_OPEN, "made for another"),
        (committed_seal(SCOPE, PUBLIC, kek=bytes(32)), Fault.OTHER_KEK, ""),
        (GOOD._replace(seal=GOOD.seal[:-1]), Fault.DOES_NOT_OPEN, "kek seal"),
        (GOOD._replace(seal=b""), Fault.DOES_NOT_OPEN, "kek seal"),
        (GOOD._replace(seal=GOOD.seal[:-1] + bytes((GOOD.seal[-1] ^ 1,))), Fault.DOES_NOT_OPEN, "altered"),
        (CommittedSeal(GOOD.name, GOOD.commitment, seal(bytes(48), GOOD.name.info(), PUBLIC)), Fault.DOES_NOT_OPEN, "32 bytes"),
    ],
    ids=["to another key", "for another epoch", "for another compartment", "another KEK than committed", "cut off", "empty", "altered", "no KEK"],
)  # fmt: skip
def test_a_seal_that_is_bad_is_named_and_the_others_open(
    sealed: CommittedSeal, fault: Fault, why: str
) -> None:
    others = [committed_seal(scope, PUBLIC) for scope in SCOPES[1:]]
    opened = open_keks([*others, sealed], OPENER, ALL, SCOPES)
    assert set(opened.keks) == set(SCOPES[1:])
    (bad, missing) = opened.bad
    assert {bad.fault, missing.fault} == {fault, Fault.MISSING}
    found = bad if bad.fault is fault else missing
    assert found.scope == SCOPE
    assert why in found.why
    assert "author iizuka-city, registry health, compartment '', key epoch 1" in found.words


def test_a_scope_with_records_and_no_seal_is_named_as_missing() -> None:
    nobody = KekScope("south-clinic", "health", "mental", 1)
    opened = open_keks([GOOD], OPENER, ALL, [SCOPE, nobody])
    assert [(bad.scope, bad.fault) for bad in opened.bad] == [(nobody, Fault.MISSING)]


def test_what_was_not_asked_for_is_not_missed() -> None:
    opened = open_keks([GOOD], OPENER, wanted_of(["health"], [1]), SCOPES[:2])
    assert opened.bad == ()


def test_a_bad_seal_beside_a_good_one_is_named_though_the_kek_is_there() -> None:
    opened = open_keks([committed_seal(SCOPE, STRANGER), GOOD], OPENER, ALL, [SCOPE])
    assert opened.keks == {SCOPE: kek_of(SCOPE)}
    assert [bad.fault for bad in opened.bad] == [Fault.DOES_NOT_OPEN]


def test_two_different_keks_under_one_name_are_told() -> None:
    second = CommittedSeal(
        GOOD.name,
        committed_seal(SCOPES[1], PUBLIC).commitment,
        seal(kek_of(SCOPES[1]), GOOD.name.info(), PUBLIC),
    )
    opened = open_keks([GOOD, second], OPENER, ALL, [SCOPE])
    assert opened.keks == {SCOPE: kek_of(SCOPE)}
    assert [bad.fault for bad in opened.bad] == [Fault.SECOND_KEK]


def test_processes_give_what_one_process_gives_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kek_workers, "_PORTION", 1)
    monkeypatch.setattr(kek_workers, "_AHEAD", 1)
    seals = [
        committed_seal(scope, STRANGER if number == 3 else PUBLIC) for number, scope in enumerate(SCOPES)
    ]
    alone = list(try_all(seals, KEY.secret, processes=1))
    together = list(try_all(seals, KEY.secret, processes=2))
    assert together == alone
    assert [tried.fault for tried in alone].index(Fault.DOES_NOT_OPEN) == 3


def test_a_rehearsal_keeps_no_kek() -> None:
    world = world_with(HELD)
    opened = gather(try_all(world.seals(PUBLIC), KEY.secret), ALL, SCOPES, keep=False)
    assert (opened.keks, opened.bad, opened.tried) == ({}, (), len(SCOPES))


def test_what_was_opened_shows_no_key_when_it_is_printed() -> None:
    opened = open_keks([GOOD], OPENER, ALL)
    assert kek_of(SCOPE).hex() not in repr(opened) + repr(KEY)
    assert repr(kek_of(SCOPE)) not in repr(opened)


# Pseudonym and index keys.


def test_the_keys_of_the_named_registries_open_and_no_others() -> None:
    keys = open_registry_keys(LEDGER_ID, KEY, standing_of(HELD).payload, ["health"])
    assert (keys.keys, keys.bad) == (registry_keys("health"), ())


def test_a_registry_whose_keys_do_not_stand_in_the_ceremony_is_named() -> None:
    keys = open_registry_keys(LEDGER_ID, KEY, standing_of(HELD, ["health"]).payload, REGISTRIES)
    assert keys.keys == registry_keys("health")
    assert keys.bad == (
        "pseudonym key of registry residency: it does not stand in the ceremony",
        "index key of registry residency: it does not stand in the ceremony",
    )


def test_a_key_of_another_registry_does_not_pass_for_this_one() -> None:
    info = registry_key_info(LEDGER_ID, EntryKind.INDEX_KEY, "residency")
    entry = SealedEntry(EntryKind.INDEX_KEY, "health", seal(bytes(32), info, PUBLIC))
    keys = open_registry_keys(
        LEDGER_ID, KEY, RecoveryPayload(HELD.ceremony.ceremony_id, (entry,)), ["health"]
    )
    assert keys.keys == {}
    assert "index key of registry health" in keys.bad[1]


# The act.


def test_an_act_stands_for_what_it_names() -> None:
    world = world_with(HELD)
    world.act(["health"], [1], officers=NAMES[:3])
    world.act(["health"], [2], officers=NAMES[2:])
    acts = acts_for("2027", ["health"], [1, 2], world.unlock_acts())
    assert [act.position for act in acts] == [4000, 4001]
    check_named([1, 5], HELD.ceremony, acts)


@pytest.mark.parametrize(
    ("key", "registries", "epochs", "uncovered"),
    [
        ("2027", ["health", "residency"], [1], "registry residency, key epoch 1"),
        ("2027", ["health"], [1, 2], "registry health, key epoch 2"),
        ("2026", ["health"], [1], "recovery key 2026"),
        ("2027", [], [1], "no registry"),
        ("2027", ["health"], [], "no key epoch"),
    ],
    ids=["another registry", "another epoch", "another recovery key", "no registry", "no epoch"],
)
def test_without_an_act_for_all_of_it_nothing_is_opened(
    key: str, registries: list[str], epochs: list[int], uncovered: str
) -> None:
    world = world_with(HELD)
    world.act(["health"], [1])
    with pytest.raises(RecoveryRefused) as error:
        acts_for(key, registries, epochs, world.unlock_acts())
    assert error.value.code is Refusal.NO_UNLOCK_ACT
    assert uncovered in "; ".join(error.value.details)


def test_a_share_of_an_officer_whom_no_act_names_is_refused() -> None:
    world = world_with(HELD)
    world.act(officers=NAMES[:3])
    with pytest.raises(RecoveryRefused) as error:
        check_named([1, 2, 4], HELD.ceremony, world.unlock_acts())
    assert error.value.details == ("share 4 is of the office of Doi Hana, whom no act names",)


# Files.


def unlocked_into(directory: Path) -> None:
    world = world_with(HELD)
    opened = open_keks(world.seals(PUBLIC), OPENER, ALL, world.scopes)
    write_unlocked(directory, LEDGER_ID, "2027", opened, RegistryKeys(registry_keys(*REGISTRIES)))


def test_a_keyring_of_the_unlocked_files_opens_and_finds_but_does_not_write(tmp_path: Path) -> None:
    unlocked_into(tmp_path / "unlocked")
    keyring = read_unlocked(tmp_path / "unlocked", LEDGER_ID)
    assert all(keyring.kek_for(*scope) == kek_of(scope) for scope in SCOPES)
    with pytest.raises(SetupError) as error:
        keyring.kek_for("south-clinic", "health", "", 1)
    assert error.value.code is Setup.NO_KEK
    with pytest.raises(SetupError):
        keyring.newest_key_epoch("iizuka-city", "health", "")
    assert read_keys(tmp_path / "unlocked" / SERVICE_KEYS_NAME) == registry_keys(*REGISTRIES)


def test_unlocked_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    unlocked_into(tmp_path / "unlocked")
    assert (tmp_path / "unlocked").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "unlocked").iterdir()} == {0o600}
    (tmp_path / "unlocked" / KEKS_NAME).chmod(0o640)
    with pytest.raises(SetupError) as error:
        read_unlocked(tmp_path / "unlocked", LEDGER_ID)
    assert error.value.code is Setup.KEY_FILE_OPEN


@pytest.mark.parametrize("change", ["cut", "ledger", "kek", "epoch"])
def test_unlocked_files_that_do_not_fit_are_refused(tmp_path: Path, change: str) -> None:
    unlocked_into(tmp_path / "unlocked")
    path = tmp_path / "unlocked" / KEKS_NAME
    value = json.loads(path.read_bytes())
    if change == "ledger":
        value["ledger"] = bytes(32).hex()
    if change == "kek":
        value["keks"][0]["kek"] = "AAAA"
    if change == "epoch":
        value["keks"][0]["key_epoch"] = True
    text = json.dumps(value)
    path.write_text(text[:-5] if change == "cut" else text)
    with pytest.raises(SetupError) as error:
        read_unlocked(tmp_path / "unlocked", LEDGER_ID)
    assert error.value.code is Setup.KEY_FILE_INVALID


def test_a_copy_of_the_ledger_says_what_the_ledger_says(tmp_path: Path) -> None:
    world = world_with(HELD)
    world.standing.append(standing_of(hold_ceremony("2028")))
    world.act()
    (tmp_path / "copy").write_bytes(b"".join(copy_lines(world)))
    copy = LedgerCopy(tmp_path / "copy")
    assert (copy.ledger_id, copy.ledger_name) == (world.ledger_id, world.ledger_name)
    assert list(copy.ceremonies()) == world.standing
    assert list(copy.unlock_acts()) == world.acts
    assert list(copy.scopes_with_records()) == world.scopes
    assert list(copy.seals(PUBLIC)) == list(world.seals(PUBLIC))
    assert list(copy.seals(world.standing[1].ceremony.public_key)) == []


def test_a_seal_that_is_to_another_key_stays_in_the_copy_and_is_found_there(tmp_path: Path) -> None:
    world = world_with(HELD)
    world.kek_seals[0] = (PUBLIC, committed_seal(SCOPE, STRANGER))
    (tmp_path / "copy").write_bytes(b"".join(copy_lines(world)))
    opened = open_keks(LedgerCopy(tmp_path / "copy").seals(PUBLIC), OPENER, ALL, SCOPES)
    assert {bad.fault for bad in opened.bad} == {Fault.DOES_NOT_OPEN, Fault.MISSING}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda lines: lines[:-1], "ends before its last line"),
        (lambda lines: lines[:3] + lines[4:], "ends before its last line"),
        (lambda lines: [*lines, lines[-2]], "stands after the last one"),
        (lambda lines: [b"{}\n", *lines[1:]], "format is missing"),
        (lambda lines: [lines[0], b'{"what": 1}\n', *lines[1:]], "no known kind"),
        (lambda lines: [lines[0], b'{"scope": ["a", "b", "c", -1]}\n', *lines[1:]], "key epoch"),
    ],
    ids=["cut off", "a line lost", "a line too many", "no head", "unknown line", "wrong scope"],
)  # fmt: skip
def test_a_copy_that_is_not_whole_is_refused(tmp_path: Path, spoil: object, words: str) -> None:
    world = world_with(HELD)
    assert callable(spoil)
    (tmp_path / "copy").write_bytes(b"".join(spoil(list(copy_lines(world)))))
    with pytest.raises(RecoveryRefused, match=words) as error:
        LedgerCopy(tmp_path / "copy")
    assert error.value.code is Refusal.FILE_INVALID


def test_a_copy_whose_payload_is_another_ceremonys_is_refused(tmp_path: Path) -> None:
    world = world_with(HELD)
    world.standing = [replace(world.standing[0], payload=hold_ceremony("2028").payload)]
    (tmp_path / "copy").write_bytes(b"".join(copy_lines(world)))
    with pytest.raises(RecoveryRefused, match="another ceremony"):
        LedgerCopy(tmp_path / "copy")
