"""Keys and signatures at the edges of ECDSA P-256 and ML-DSA: each has one form, and a key under which anybody could sign is none.

The vectors are computed here. Source: FIPS 186-5, SEC 1 section 2.3 (points), FIPS 204 sections 5.3 and 7.2; Project Wycheproof's categories for ECDSA.
Ed25519's edges are in `golden_vectors.odd_signatures`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from golden_vectors.ground import AUTHOR, digest
from sento_proto.keys import (
    SIGNATURE_MAX_BYTES,
    PublicKey,
    Signature,
    Signer,
    Suite,
    check_public_key,
    is_blocking,
    sign_all,
    verifies,
)
from sento_proto.software_signers import EcdsaP256Signer, HybridSigner, MlDsa44Signer, MlDsa65Signer
from sento_proto.suites.ecdsa_p256 import ORDER
from sento_proto.wire import Malformed

MESSAGE = b"message"
FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
CURVE_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
SCALAR = int.from_bytes(digest("p-256 author"), "big")
P256 = EcdsaP256Signer.from_scalar(SCALAR.to_bytes(32, "big"))
ML_65, ML_44 = MlDsa65Signer(digest("ml-dsa author")), MlDsa44Signer(digest("ml-dsa site"))
SIGNERS: dict[Suite, Signer] = {
    Suite.ED25519: AUTHOR,
    Suite.ECDSA_P256: P256,
    Suite.ML_DSA_65: ML_65,
    Suite.ML_DSA_44: ML_44,
}


@pytest.mark.parametrize("suite", SIGNERS, ids=lambda suite: suite.name)
def test_what_each_suite_signs_counts_for_its_message_and_key_alone(suite: Suite) -> None:
    signer = SIGNERS[suite]
    check_public_key(signer.public_key)
    (signature,) = sign_all(signer, MESSAGE)
    assert signature.suite == signer.public_key.suite == suite
    assert len(signature.data) <= SIGNATURE_MAX_BYTES
    assert verifies(signer.public_key, signature, MESSAGE)
    assert not verifies(signer.public_key, signature, MESSAGE + b".")
    assert not verifies(signer.public_key, signature, b"")


@pytest.mark.parametrize("claimed", [0, 1, 2, 3, 4, 5, 255])
@pytest.mark.parametrize("suite", SIGNERS, ids=lambda suite: suite.name)
def test_a_signature_or_a_key_under_another_suites_number_does_not_count(suite: Suite, claimed: int) -> None:
    signer, signature = SIGNERS[suite], SIGNERS[suite].sign(MESSAGE)
    if claimed == suite:
        return
    relabelled = PublicKey(claimed, signer.public_key.data)
    assert not verifies(signer.public_key, signature._replace(suite=claimed), MESSAGE)
    assert not verifies(relabelled, signature, MESSAGE)
    assert not verifies(relabelled, signature._replace(suite=claimed), MESSAGE)
    with pytest.raises(Malformed, match=r"^public key:"):
        check_public_key(relabelled)


@pytest.mark.parametrize("suite", SIGNERS, ids=lambda suite: suite.name)
@pytest.mark.parametrize("cut", [lambda d: d[:-1], lambda d: d + b"\x00", lambda d: b"", lambda d: d * 2])
def test_keys_and_signatures_of_another_length_do_not_count(
    suite: Suite, cut: Callable[[bytes], bytes]
) -> None:
    signer, signature = SIGNERS[suite], SIGNERS[suite].sign(MESSAGE)
    key = PublicKey(suite, cut(signer.public_key.data))
    assert not verifies(signer.public_key, Signature(suite, cut(signature.data)), MESSAGE)
    assert not verifies(key, signature, MESSAGE)
    with pytest.raises(Malformed, match=r"^public key:.*bytes"):
        check_public_key(key)


def _y_of(x: int) -> int:
    """A y with y^2 = x^3 - 3 x + b; the result is no root where there is none."""
    return pow(x**3 - 3 * x + CURVE_B, (FIELD + 1) // 4, FIELD)


def _is_on_curve(x: int) -> bool:
    return (_y_of(x) ** 2 - (x**3 - 3 * x + CURVE_B)) % FIELD == 0


def _compressed(x: int, prefix: int = 2) -> bytes:
    return bytes((prefix,)) + x.to_bytes(32, "big")


OFF_CURVE_X = next(x for x in range(1, 100) if not _is_on_curve(x))
ON_CURVE_X = next(x for x in range(1, 100) if _is_on_curve(x))
UNCOMPRESSED = P256._private.public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
)
HYBRID_POINT = bytes((6 + UNCOMPRESSED[-1] % 2,)) + UNCOMPRESSED[1:]
REFUSED_POINTS = {
    "no point has this x": _compressed(OFF_CURVE_X),
    "x of a point, plus p": _compressed(ON_CURVE_X + FIELD),
    "x = p": _compressed(FIELD),
    "x of 2^256 - 1": _compressed(2**256 - 1),
    "point at infinity": b"\x00",
    "point at infinity, filled up": bytes(33),
    "uncompressed": UNCOMPRESSED,
    "hybrid form": HYBRID_POINT,
    "prefix 04 with 33 bytes": _compressed(ON_CURVE_X, 4),
    "prefix 05": _compressed(ON_CURVE_X, 5),
    "x alone": ON_CURVE_X.to_bytes(32, "big"),
}


@pytest.mark.parametrize("name", REFUSED_POINTS)
def test_a_p256_key_that_is_no_compressed_point_is_refused(name: str) -> None:
    key = PublicKey(Suite.ECDSA_P256, REFUSED_POINTS[name])
    with pytest.raises(Malformed, match=r"^public key:"):
        check_public_key(key)
    assert not verifies(key, P256.sign(MESSAGE), MESSAGE)


def test_both_signs_of_a_p256_point_are_keys() -> None:
    for prefix in (2, 3):
        check_public_key(PublicKey(Suite.ECDSA_P256, _compressed(ON_CURVE_X, prefix)))


def _raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


GOOD = P256.sign(MESSAGE).data
R, S = int.from_bytes(GOOD[:32], "big"), int.from_bytes(GOOD[32:], "big")
ODD_ECDSA = {
    "high s": _raw(R, ORDER - S),
    "s + n in 33 bytes": R.to_bytes(32, "big") + (S + ORDER).to_bytes(33, "big"),
    "r = 0": _raw(0, S),
    "s = 0": _raw(R, 0),
    "r = s = 0": bytes(64),
    "r = n": _raw(ORDER, S),
    "s = n": _raw(R, ORDER),
    "r = 2^256 - 1": _raw(2**256 - 1, S),
    "s = 2^256 - 1": _raw(R, 2**256 - 1),
    "r and s = 1": _raw(1, 1),
    "r and s changed about": _raw(S, R),
    "DER": encode_dss_signature(R, S),
    "DER cut to 64 bytes": encode_dss_signature(R, S)[:64],
    "little-endian": GOOD[:32][::-1] + GOOD[32:][::-1],
    "leading zero": b"\x00" + GOOD,
}


@pytest.mark.parametrize("name", ODD_ECDSA)
def test_an_ecdsa_signature_in_another_form_does_not_count(name: str) -> None:
    assert verifies(P256.public_key, Signature(Suite.ECDSA_P256, GOOD), MESSAGE)
    assert not verifies(P256.public_key, Signature(Suite.ECDSA_P256, ODD_ECDSA[name]), MESSAGE)


def test_the_high_s_is_real_the_library_alone_takes_it() -> None:
    public = P256._private.public_key()
    public.verify(encode_dss_signature(R, ORDER - S), MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_signers_always_give_the_lower_s() -> None:
    for n in range(40):
        message = b"%d" % n
        signature = P256.sign(message)
        assert int.from_bytes(signature.data[32:], "big") <= ORDER // 2
        assert verifies(P256.public_key, signature, message)


def _ecdsa_with(nonce: int) -> bytes:
    """A signature with a nonce of the tester's choice, before s is lowered."""
    r = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers().x % ORDER
    z = int.from_bytes(hashlib.sha256(MESSAGE).digest(), "big")
    return _raw(r, pow(nonce, -1, ORDER) * (z + r * SCALAR) % ORDER)


def test_the_lower_s_alone_counts_whichever_way_the_nonce_fell() -> None:
    for nonce in range(1, 30):
        raw = _ecdsa_with(nonce)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        low, high = _raw(r, min(s, ORDER - s)), _raw(r, max(s, ORDER - s))
        assert verifies(P256.public_key, Signature(Suite.ECDSA_P256, low), MESSAGE)
        assert not verifies(P256.public_key, Signature(Suite.ECDSA_P256, high), MESSAGE)


def _forged(key: bytes, challenge_bytes: int, z_bits: int, z_polynomials: int, hint_bytes: int) -> bytes:
    """A signature of zeros: with t1 = 0 the commitment is the high part of nothing (768 zero bytes), and its hash with the message is the challenge."""
    tr = hashlib.shake_256(key).digest(64)
    mu = hashlib.shake_256(tr + b"\x00\x00" + MESSAGE).digest(64)
    challenge = hashlib.shake_256(mu + bytes(768)).digest(challenge_bytes)
    packed = sum(1 << (z_bits - 1 + z_bits * n) for n in range(256)).to_bytes(32 * z_bits, "little")
    return challenge + packed * z_polynomials + bytes(hint_bytes)


FORGED_65 = PublicKey(Suite.ML_DSA_65, digest("rho") + bytes(1920))
FORGED_44 = PublicKey(Suite.ML_DSA_44, digest("rho") + bytes(1280))
FORGERIES = {
    "ML-DSA-65": (FORGED_65, _forged(FORGED_65.data, 48, 20, 5, 61)),
    "ML-DSA-44": (FORGED_44, _forged(FORGED_44.data, 32, 18, 4, 84)),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_an_ml_dsa_key_under_which_anybody_can_sign_is_refused(name: str) -> None:
    key, forged = FORGERIES[name]
    with pytest.raises(Malformed, match="anybody can make signatures"):
        check_public_key(key)
    assert not verifies(key, Signature(key.suite, forged), MESSAGE)


def test_the_ml_dsa_forgeries_are_real_the_library_alone_takes_them() -> None:
    MLDSA65PublicKey.from_public_bytes(FORGED_65.data).verify(FORGERIES["ML-DSA-65"][1], MESSAGE)
    MLDSA44PublicKey.from_public_bytes(FORGED_44.data).verify(FORGERIES["ML-DSA-44"][1], MESSAGE)


@pytest.mark.parametrize("signer", [ML_65, ML_44], ids=["65", "44"])
def test_an_ml_dsa_signature_with_any_part_altered_does_not_count(signer: Signer) -> None:
    good = signer.sign(MESSAGE)
    size = len(good.data)
    for at in (0, 31, 47, 48, 100, size // 2, size - 85, size - 62, size - 7, size - 1):
        altered = good.data[:at] + bytes((good.data[at] ^ 1,)) + good.data[at + 1 :]
        assert not verifies(signer.public_key, good._replace(data=altered), MESSAGE)
    for filler in (b"\x00", b"\xff"):
        assert not verifies(signer.public_key, good._replace(data=filler * size), MESSAGE)


def test_an_ml_dsa_signature_made_for_a_context_does_not_count() -> None:
    signed = ML_65._private.sign(MESSAGE, b"context")
    assert not verifies(ML_65.public_key, Signature(Suite.ML_DSA_65, signed), MESSAGE)


def test_a_hybrid_signer_signs_with_both_keys_and_suites_rise() -> None:
    for primary in (AUTHOR, P256):
        hybrid = HybridSigner(primary, ML_65)
        assert (hybrid.public_key, hybrid.companion_key) == (primary.public_key, ML_65.public_key)
        first, second = sign_all(hybrid, MESSAGE)
        assert (first.suite, second.suite) == (primary.public_key.suite, Suite.ML_DSA_65)
        assert verifies(hybrid.public_key, first, MESSAGE)
        assert verifies(hybrid.companion_key, second, MESSAGE)


class Failing:
    """A companion whose signing fails."""

    public_key = ML_65.public_key
    blocking = True

    def sign(self, message: bytes) -> Signature:
        raise OSError("gone")


def test_when_the_companion_fails_no_signature_is_given() -> None:
    with pytest.raises(OSError, match="gone"):
        sign_all(HybridSigner(AUTHOR, Failing()), MESSAGE)


def test_a_companion_is_ml_dsa_65_beside_another_suite() -> None:
    for primary, companion in ((AUTHOR, P256), (AUTHOR, ML_44), (ML_65, ML_65)):
        with pytest.raises(ValueError, match="companion"):
            HybridSigner(primary, companion)


def test_a_signer_says_whether_it_waits_for_hardware() -> None:
    assert not is_blocking(AUTHOR)
    assert not is_blocking(HybridSigner(AUTHOR, ML_65))
    assert is_blocking(HybridSigner(AUTHOR, Failing()))


def test_a_signer_of_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="P-256"):
        EcdsaP256Signer(ec.generate_private_key(ec.SECP384R1()))
