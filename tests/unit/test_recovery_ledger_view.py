"""From records that stand to what recovery asks of a ledger: ceremonies, unlock acts, seals to the recovery key, and scopes that must have one."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from recovery_world import (
    LEDGER_ID,
    NAMES,
    SCOPES,
    derived,
    hold_ceremony,
    kek_of,
    standing_of,
)
from sento_client.recovery.keks import Fault, Wanted, open_keks
from sento_client.recovery.ledger_view import LedgerView
from sento_client.recovery.proposal import change_of
from sento_client.recovery.reconstruct import reconstruct
from sento_client.recovery.standing import KekScope
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.kek_seal import KekName, kek_commit, seal_kek
from sento_proto.seal import XWingOpener, xwing_public
from sento_proto.wire import Malformed

HELD = hold_ceremony()
STANDING = standing_of(HELD)
PUBLIC = HELD.ceremony.public_key
READER = xwing_public(derived("a reader", 96))
OPENER = XWingOpener(reconstruct(HELD.shares[:3], HELD.ceremony).secret)


def act(*changes: Mapping[str, object]) -> bytes:
    return json.dumps({"format": "sento-act-1", "reason": "drill", "changes": list(changes)}).encode()


def seals_record(scope: KekScope, *recipients: bytes) -> Header:
    """The record with which an author seals the KEK of a scope."""
    name, kek = KekName(LEDGER_ID, *scope), kek_of(scope)
    sealed = tuple(seal_kek(kek, name, recipient) for recipient in recipients)
    carried = KekSeals(kek_commit(kek), scope.registry, scope.compartment, scope.key_epoch, 0, sealed)
    return kek_seals_header(derived("id", 16), scope.author, derived("key", 16), 1, carried)


def data_record(scope: KekScope) -> Header:
    return Header(
        record_id=derived("id", 16), author_key_id=derived("key", 16), time_ms=1, key_epoch=scope.key_epoch,
        payload_bytes=300, subject=derived("s"), fact=derived("f", 16), previous=ZERO32, group=ZERO16,
        dek_commit=derived("d"), registry=scope.registry, compartment=scope.compartment, kind="any",
    )  # fmt: skip


def view_with_ceremony() -> LedgerView:
    view = LedgerView(LEDGER_ID, "Fukuoka registry")
    view.take_act(7, act(change_of(HELD.ceremony)), STANDING.payload.encode())
    return view


def test_a_ceremonys_act_and_an_unlock_are_read_in_their_order() -> None:
    view = view_with_ceremony()
    unlock = {
        "do": "unlock", "registries": ["health"], "key_epochs": [1, 2], "recovery_key": "2027",
        "officers": list(NAMES[:3]), "reason": "flood",
    }  # fmt: skip
    view.take_act(9, act(unlock), b"")
    assert list(view.ceremonies()) == [STANDING]
    (found,) = view.unlock_acts()
    assert (found.position, found.unlock.reason) == (9, "flood")
    assert found.covers("2027", "health", 2)


def test_an_act_whose_payload_is_not_readable_leaves_the_shares_on_paper_usable() -> None:
    view = LedgerView(LEDGER_ID, "Fukuoka registry")
    view.take_act(7, act(change_of(HELD.ceremony)), b"rubbish")
    (found,) = view.ceremonies()
    assert found.payload.entries == ()
    assert reconstruct(HELD.shares[:3], found.ceremony).ceremony == HELD.ceremony


def test_the_seals_to_the_recovery_key_open_among_those_to_readers() -> None:
    view = view_with_ceremony()
    for scope in SCOPES:
        view.take_record(scope.author, seals_record(scope, READER, PUBLIC))
        view.take_record(scope.author, data_record(scope))
    opened = open_keks(view.seals(PUBLIC), OPENER, Wanted(), view.scopes_with_records())
    assert opened.keks == {scope: kek_of(scope) for scope in SCOPES}
    assert (opened.bad, opened.tried) == ((), len(SCOPES))


@pytest.mark.parametrize("arrangement", ["sealed to readers only", "sealed to nobody"])
def test_an_author_who_made_no_seal_for_the_recovery_key_is_named(arrangement: str) -> None:
    view = view_with_ceremony()
    if arrangement == "sealed to readers only":
        view.take_record(SCOPES[0].author, seals_record(SCOPES[0], READER))
    else:
        view.take_record(SCOPES[0].author, data_record(SCOPES[0]))
    opened = open_keks(view.seals(PUBLIC), OPENER, Wanted(), view.scopes_with_records())
    assert [(bad.scope, bad.fault) for bad in opened.bad] == [(SCOPES[0], Fault.MISSING)]


def test_records_without_a_payload_or_with_content_in_clear_need_no_seal() -> None:
    view = view_with_ceremony()
    view.take_record("iizuka-city", data_record(SCOPES[0])._replace(payload_bytes=0))
    view.take_record("iizuka-city", data_record(SCOPES[0])._replace(registry="governance"))
    assert list(view.scopes_with_records()) == []


def test_content_that_is_no_act_is_refused() -> None:
    with pytest.raises(Malformed):
        LedgerView(LEDGER_ID, "x").take_act(1, b"{}", b"")
