"""To whom a site's key for access records is sealed, and when seals are due."""

from __future__ import annotations

from acts import governed
from sento_node.releases.sealing import (
    Sealed,
    is_other_kek,
    kek_name,
    recipients_of,
    seal_parts,
    seals_due,
    seals_record,
    what_stands,
)
from sento_proto.genesis import Scope
from sento_proto.governance.parts import Reader
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.kek_seal import XWING_SECRET_BYTES, kek_commit, xwing_public
from sento_proto.seal import recipient_key_id, seal_suite_of

SITE, KEK, OTHER_KEK = "jp-fukuoka", bytes([1]) * 32, bytes([2]) * 32


def public(nth: int) -> bytes:
    return xwing_public(bytes([nth]) * XWING_SECRET_BYTES)


def key_id(nth: int) -> bytes:
    key = public(nth)
    return recipient_key_id(seal_suite_of(key), key)


def governance(*scopes: tuple[str, str]) -> Governance:
    """With one reader for each scope, of residency and a compartment."""
    readers = {
        f"reader-{nth}": Reader(f"reader-{nth}", may_read=(Scope(*scope),), seal_key=public(nth))
        for nth, scope in enumerate(scopes, 1)
    }
    return governed(4).governance.changed(readers=readers)


def header_of(kek: bytes, recipients: tuple[int, ...], first_part: int = 0) -> Header:
    known = governance(*[("residency", "access")] * 9)
    wanted = [one for one in recipients_of(known, "residency") if one.key_id in map(key_id, recipients)]
    (part,) = seal_parts(kek_name(known, SITE, "residency", 1), kek, wanted, first_part)
    return seals_record(SITE, bytes(16), bytes.fromhex("018f0000000070008000000000000000"), 1, part).header


def test_readers_of_the_access_compartment_hold_seals_and_no_others() -> None:
    known = governance(("residency", "access"), ("residency", "basic"), ("residency", "*"), ("tax", "access"))
    assert {one.key_id for one in recipients_of(known, "residency")} == {key_id(1), key_id(3)}


def test_seals_are_due_to_whoever_came_later_and_to_nobody_twice() -> None:
    known = governance(("residency", "access"), ("residency", "access"))
    sealed = what_stands([header_of(KEK, (1,))])
    assert sealed == Sealed(kek_commit(KEK), frozenset({key_id(1)}), 1)
    assert [one.key_id for one in seals_due(recipients_of(known, "residency"), sealed)] == [key_id(2)]
    both = what_stands([header_of(KEK, (1,)), header_of(KEK, (2,), 1)])
    assert (seals_due(recipients_of(known, "residency"), both), both.next_part) == ((), 2)


def test_the_first_record_decides_which_kek_it_is_and_seals_of_another_count_for_nothing() -> None:
    sealed = what_stands([header_of(KEK, (1,)), header_of(OTHER_KEK, (2,), 1)])
    assert (sealed.commitment, sealed.holders) == (kek_commit(KEK), frozenset({key_id(1)}))
    assert is_other_kek(sealed, OTHER_KEK)
    assert is_other_kek(sealed, None)
    assert not is_other_kek(sealed, KEK)
    assert not is_other_kek(what_stands([]), None)
