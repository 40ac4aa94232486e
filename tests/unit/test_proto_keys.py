"""Keys: which may be enrolled, and what a signature must be to count."""

from __future__ import annotations

import hashlib
from typing import cast

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from golden_vectors.ground import AUTHOR, OTHER_AUTHOR, SITES
from golden_vectors.odd_signatures import refused_keys, with_order_added
from sento_proto.keys import PublicKey, Signature, Suite, check_public_key, key_id_of, verifies
from sento_proto.wire import Malformed

REFUSED = refused_keys()
FORGED = [vector for vector in REFUSED if vector["forged"]]


def key_of(vector: dict[str, object]) -> PublicKey:
    return PublicKey(cast("int", vector["suite"]), bytes.fromhex(cast("str", vector["public_key"])))


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: cast("str", vector["name"]))
def test_a_key_that_must_never_be_enrolled_is_refused(vector: dict[str, object]) -> None:
    with pytest.raises(Malformed, match=r"^public key:"):
        check_public_key(key_of(vector))


@pytest.mark.parametrize("vector", FORGED, ids=lambda vector: cast("str", vector["name"]))
def test_a_forgery_under_a_key_of_small_order_does_not_count(vector: dict[str, object]) -> None:
    forged = cast("dict[str, str]", vector["forged"])
    signature = Signature(Suite.ED25519, bytes.fromhex(forged["signature"]))
    assert not verifies(key_of(vector), signature, bytes.fromhex(forged["message"]))


def test_the_forgeries_are_real_the_library_alone_takes_them() -> None:
    taken = 0
    for vector in FORGED:
        forged = cast("dict[str, str]", vector["forged"])
        try:
            Ed25519PublicKey.from_public_bytes(key_of(vector).data).verify(
                bytes.fromhex(forged["signature"]), bytes.fromhex(forged["message"])
            )
        except InvalidSignature:
            continue
        taken += 1
    assert taken >= 8, "all eight points of small order verify what nobody signed, so the check is needed"


def test_ordinary_keys_are_taken() -> None:
    for signer in (AUTHOR, OTHER_AUTHOR, *SITES.values()):
        check_public_key(signer.public_key)


def test_a_key_id_covers_suite_and_key() -> None:
    key = AUTHOR.public_key
    assert key.key_id == hashlib.sha256(b"\x01" + key.data).digest()[:16] == key_id_of(1, key.data)
    assert key_id_of(2, key.data) != key.key_id


def test_a_signature_counts_for_its_message_its_key_and_its_suite_alone() -> None:
    signature = AUTHOR.sign(b"message")
    assert verifies(AUTHOR.public_key, signature, b"message")
    assert not verifies(AUTHOR.public_key, signature, b"message.")
    assert not verifies(OTHER_AUTHOR.public_key, signature, b"message")
    assert not verifies(AUTHOR.public_key, signature._replace(suite=Suite.ML_DSA_65), b"message")
    assert not verifies(AUTHOR.public_key._replace(suite=Suite.ML_DSA_65), signature, b"message")


@pytest.mark.parametrize("size_bytes", [0, 63, 65, 128])
def test_a_signature_of_another_length_does_not_count(size_bytes: int) -> None:
    data = (AUTHOR.sign(b"message").data * 2)[:size_bytes]
    assert not verifies(AUTHOR.public_key, Signature(Suite.ED25519, data), b"message")


def test_a_signature_has_one_form() -> None:
    signature = AUTHOR.sign(b"message")
    assert not verifies(
        AUTHOR.public_key, signature._replace(data=with_order_added(signature.data)), b"message"
    )
