"""KEK seals open for their reader and their purpose, and for nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from golden_vectors.ground import LEDGER_ID, digest
from sento_proto.kek_seal import (
    XWING_PUBLIC_BYTES,
    KekName,
    kek_commit,
    open_kek,
    recipient_key_id,
    seal_kek,
    xwing_public,
)
from sento_proto.seal import seal
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed

SECRET = digest("reader's secret", 96)
KEK = digest("kek to seal")
NAME = KekName(LEDGER_ID, "iizuka-city", "residency", "", 1)
SEAL = seal_kek(KEK, NAME, xwing_public(SECRET))


def test_a_sealed_kek_opens_to_itself_and_no_two_seals_are_alike() -> None:
    assert open_kek(SEAL, NAME, SECRET) == KEK
    assert seal_kek(KEK, NAME, xwing_public(SECRET)) != SEAL
    assert SEAL[:18] == b"\x01\x01" + recipient_key_id(1, xwing_public(SECRET))


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger_id": bytes(32)},
        {"author": "kaga-city"},
        {"registry": "tax"},
        {"compartment": "protected"},
        {"key_epoch": 2},
        {"registry": "residenc", "compartment": "y"},
    ],
    ids=["ledger", "author", "registry", "compartment", "key epoch", "names pushed together"],
)
def test_a_seal_opens_for_no_other_purpose(changes: dict[str, object]) -> None:
    other = replace(NAME, **changes)  # type: ignore[arg-type]
    with pytest.raises(CannotOpen, match="another author, registry"):
        open_kek(SEAL, other, SECRET)


def test_a_seal_opens_for_no_other_reader() -> None:
    with pytest.raises(CannotOpen, match="another recipient"):
        open_kek(SEAL, NAME, digest("another secret", 96))


@pytest.mark.parametrize("at", [2, 17, 18, 1105, 1106, 1137, 1138, 1185])
def test_an_altered_seal_does_not_open(at: int) -> None:
    altered = SEAL[:at] + bytes((SEAL[at] ^ 1,)) + SEAL[at + 1 :]
    with pytest.raises(CannotOpen):
        open_kek(altered, NAME, SECRET)


@pytest.mark.parametrize("size_bytes", [0, 1, 2, 17, 18, 1138, 1185])
def test_a_truncated_seal_is_malformed(size_bytes: int) -> None:
    with pytest.raises(Malformed):
        open_kek(SEAL[:size_bytes], NAME, SECRET)


@pytest.mark.parametrize("seal", [SEAL + b"\x00", b"\x02" + SEAL[1:], b"\x01\x02" + SEAL[2:]])
def test_another_format_or_suite_or_a_byte_too_many_is_malformed(seal: bytes) -> None:
    with pytest.raises(Malformed):
        open_kek(seal, NAME, SECRET)


def test_keys_that_are_none_are_refused_in_words() -> None:
    public = xwing_public(SECRET)
    for kek, recipient in (
        (KEK[:31], public),
        (KEK, public[:-1]),
        (KEK, b"\xff" * XWING_PUBLIC_BYTES),
        (KEK, public[:-32] + bytes(32)),
    ):
        with pytest.raises(Malformed, match=r"^(kek )?seal:"):
            seal_kek(kek, NAME, recipient)
    for size_bytes in (0, 95, 97):
        with pytest.raises(Malformed, match="96 bytes"):
            open_kek(SEAL, NAME, bytes(size_bytes))


def test_a_kek_is_named_by_a_commitment_that_no_other_kek_has() -> None:
    assert kek_commit(KEK) == hashlib.sha256(b"sento kek v1" + KEK).digest()
    assert kek_commit(KEK) != kek_commit(digest("another kek"))


@pytest.mark.parametrize("size_bytes", [16, 31, 33, 128])
def test_a_seal_of_something_that_is_no_kek_is_malformed(size_bytes: int) -> None:
    with pytest.raises(Malformed, match="not a KEK"):
        open_kek(seal(bytes(size_bytes), NAME.info(), xwing_public(SECRET)), NAME, SECRET)
