"""The bytes of recovery: a share, its commitment, the key's expansion, the payload of the act. One encoding each, and refused otherwise."""

from __future__ import annotations

import hashlib

import pytest

from recovery_world import LEDGER_ID, derived, hold_ceremony, standing_of
from sento_proto.recovery import (
    PAYLOAD_MAX_BYTES,
    EntryKind,
    RecoveryPayload,
    RecoveryShare,
    SealedEntry,
    decode_payload,
    decode_share,
    recovery_public,
    recovery_secret,
    registry_key_info,
    share_info,
)
from sento_proto.wire import Malformed

SHARE = RecoveryShare(derived("ceremony", 16), 3, 2, derived("value"))


def test_a_share_is_its_layout() -> None:
    data = SHARE.encode()
    assert data == b"\x01" + derived("ceremony", 16) + b"\x03\x02" + derived("value")
    assert decode_share(data) == SHARE
    assert SHARE.commitment == hashlib.sha256(b"sento share v1" + data).digest()


def test_a_share_does_not_show_its_value() -> None:
    assert derived("value").hex() not in repr(SHARE)
    assert repr(derived("value")) not in repr(SHARE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SHARE.encode()[:-1],
        SHARE.encode() + b"\0",
        b"\x02" + SHARE.encode()[1:],
        SHARE.encode()[:17] + b"\x00" + SHARE.encode()[18:],
        SHARE.encode()[:18] + b"\x00" + SHARE.encode()[19:],
        SHARE.encode()[:18] + b"\x11" + SHARE.encode()[19:],
    ],
    ids=["nothing", "cut off", "too long", "format", "threshold 0", "index 0", "index 17"],
)
def test_bytes_that_are_no_share_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_share(data)


def test_the_key_is_expanded_as_x_wing_says() -> None:
    # First test vector of draft-connolly-cfrg-xwing-kem, appendix C: seed and the beginning of its public key.
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    public = recovery_public(seed)
    assert public[:32].hex() == "e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5"
    assert (len(public), len(recovery_secret(seed))) == (1216, 96)


def test_infos_of_different_purposes_are_different() -> None:
    ceremony = derived("ceremony", 16)
    infos = [
        share_info(LEDGER_ID, ceremony, 1, "ab"),
        share_info(LEDGER_ID, ceremony, 2, "ab"),
        share_info(LEDGER_ID, ceremony, 1, "abc"),
        share_info(LEDGER_ID, derived("other", 16), 1, "ab"),
        share_info(bytes(32), ceremony, 1, "ab"),
        registry_key_info(LEDGER_ID, EntryKind.PSEUDONYM_KEY, "ab"),
        registry_key_info(LEDGER_ID, EntryKind.INDEX_KEY, "ab"),
    ]
    assert len(set(infos)) == len(infos)


def test_the_payload_is_its_layout() -> None:
    payload = standing_of(hold_ceremony()).payload
    data = payload.encode()
    assert decode_payload(data) == payload
    first = payload.entries[0]
    head = (
        b"\x01"
        + payload.ceremony_id
        + b"\x00\x0e"
        + b"\x01"
        + b"\x07Abe Ren"
        + len(first.seal).to_bytes(2, "big")
    )
    assert data.startswith(head + first.seal)
    assert [entry.kind for entry in payload.entries] == [1, 2] * 5 + [3, 4] * 2


@pytest.mark.parametrize("cut", [0, 1, 16, 18, 19, 20, 30, 1000])
def test_a_payload_that_was_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(Malformed):
        decode_payload(hold_ceremony().payload.encode()[:cut])


@pytest.mark.parametrize(("at", "value"), [(0, 2), (19, 0), (19, 5)], ids=["format", "kind 0", "kind 5"])
def test_a_payload_with_an_unknown_number_is_refused(at: int, value: int) -> None:
    data = bytearray(hold_ceremony().payload.encode())
    data[at] = value
    with pytest.raises(Malformed, match="unknown"):
        decode_payload(bytes(data))


def test_a_payload_over_30_kib_says_what_is_in_it() -> None:
    entries = tuple(SealedEntry(EntryKind.PSEUDONYM_KEY, f"r{n}", bytes(1186)) for n in range(26))
    with pytest.raises(
        Malformed, match=rf"26 pseudonym and 0 index keys, over the limit of {PAYLOAD_MAX_BYTES}"
    ):
        RecoveryPayload(derived("c", 16), entries).encode()


def test_one_holder_cannot_stand_twice_in_a_payload() -> None:
    entries = (
        SealedEntry(EntryKind.OFFICER_SHARE, "a", b"x"),
        SealedEntry(EntryKind.DEPUTY_SHARE, "a", b"y"),
    )
    with pytest.raises(Malformed, match="twice"):
        RecoveryPayload(derived("c", 16), entries).encode()
