"""Keys that live on a token: signing with Ed25519 or P-256, and opening seals to P-256. The private key is never in this process.

A key that could be read out of the token is refused: whoever buys a token wants to know that it holds the only copy. What the token signs is verified before
it is given out, so that a token that was pulled out, exchanged or broken between two calls makes no record that all sites refuse. Calls wait for hardware
(`blocking`
is True, see `sento_proto.keys.is_blocking`): an asyncio program makes them on a thread.

Source: PKCS#11 v3.0, sections 2.3.3 (CKA_EC_POINT), 2.3.6 (CKM_ECDSA), 2.3.14 (CKM_EDDSA), 2.3.18 (CKM_ECDH1_DERIVE).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.token import OpenToken, Token, TokenTrouble
from sento_proto.hpke_p256 import POINT_BYTES, check_point, open_with
from sento_proto.keys import ED25519_KEY_BYTES, PublicKey, Signature, Suite, check_public_key, verifies
from sento_proto.seal import SealParts, SealSuite, recipient_key_id
from sento_proto.suites.ecdsa_p256 import low_s_of_raw
from sento_proto.wire import Malformed

if TYPE_CHECKING:
    from pkcs11 import PrivateKey

_P256_PARAMETERS = bytes.fromhex("06082a8648ce3d030107")
_ED25519_PARAMETERS = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""The curve as an object identifier, or by its name as PKCS#11 v3.0 has it."""


class TokenSigner:
    """Signs with the key of that label. Raises SetupError when it is opened or used and the token does not do its part."""

    blocking = True

    def __init__(self, token: Token, label: str) -> None:
        self._token = token
        self._label = label
        self._public = token.use(self._read_public)

    @property
    def public_key(self) -> PublicKey:
        """As read from the token when this was opened."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """A whole signature over `message`, verified. Raises SetupError; may be called again once the token is back."""
        data = self._token.use(lambda opened: self._sign(opened, message))
        try:
            if self._public.suite == Suite.ECDSA_P256:
                data = low_s_of_raw(data)
        except Malformed:
            data = b""
        signature = Signature(self._public.suite, data)
        if not verifies(self._public, signature, message):
            why = "what it signed does not verify; another key may have taken its place"
            raise SetupError(Setup.TOKEN_FAILED, f"key {self._label} on token {self._token.label}: {why}")
        return signature

    def _sign(self, opened: OpenToken, message: bytes) -> bytes:
        from pkcs11 import Mechanism
        from pkcs11.types import SignMixin

        key = opened.private_key(self._label)
        if not isinstance(key, SignMixin):
            raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{self._label} may not be used for signing")
        if self._public.suite == Suite.ED25519:
            return bytes(key.sign(message, mechanism=Mechanism.EDDSA))
        return bytes(key.sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA))

    def _read_public(self, opened: OpenToken) -> PublicKey:
        point, is_edwards = _point(opened, self._label)
        key = (
            PublicKey(Suite.ED25519, point)
            if is_edwards
            else PublicKey(Suite.ECDSA_P256, bytes((2 + point[-1] % 2,)) + point[1:33])
        )
        try:
            check_public_key(key)
        except Malformed as error:
            raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{self._label}: {error}") from None
        return key


class TokenSealOpener:
    """Opens seals made to the P-256 key of that label. Raises SetupError when it is opened or used and the token does not do its part."""

    blocking = True

    def __init__(self, token: Token, label: str) -> None:
        self._token = token
        self._label = label
        self._public = token.use(self._read_public)
        self._recipient_key_id = recipient_key_id(SealSuite.P256, self._public)

    @property
    def public_key(self) -> bytes:
        """65 bytes, as read from the token when this was opened."""
        return self._public

    @property
    def recipient_key_id(self) -> bytes:
        """Names it in seals."""
        return self._recipient_key_id

    def open(self, sealed_parts: SealParts, info: bytes) -> bytes:
        """The plaintext. Raises CannotOpen, Malformed; SetupError, and then it may be called again once the token is back."""
        parts = sealed_parts
        return open_with(self._shared_x, self._public, parts.encapsulated, parts.ciphertext, info)

    def _shared_x(self, point: bytes) -> bytes:
        return self._token.use(lambda opened: self._derive(opened, point))

    def _derive(self, opened: OpenToken, point: bytes) -> bytes:
        from pkcs11 import KDF, Attribute, KeyType, Mechanism
        from pkcs11.types import DeriveMixin

        key = opened.private_key(self._label)
        if not isinstance(key, DeriveMixin):
            raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{self._label} may not be used for ECDH")
        secret = key.derive_key(
            KeyType.GENERIC_SECRET,
            256,
            mechanism=Mechanism.ECDH1_DERIVE,
            mechanism_param=(KDF.NULL, None, point),
            template={Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
        )
        try:
            return bytes(secret[Attribute.VALUE])
        finally:
            secret.destroy()

    def _read_public(self, opened: OpenToken) -> bytes:
        point, is_edwards = _point(opened, self._label)
        if is_edwards:
            raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{self._label}: seals are opened with a P-256 key")
        return point


def _point(opened: OpenToken, label: str) -> tuple[bytes, bool]:
    """A key's public point, and whether it is one of Ed25519 (32 bytes) or P-256 (65 bytes). Raises TokenTrouble."""
    from pkcs11 import Attribute, KeyType

    _check_stays_inside(opened.private_key(label), label)
    public = opened.public_key(label)
    parameters, data = bytes(public[Attribute.EC_PARAMS]), bytes(public[Attribute.EC_POINT])
    if public.key_type == KeyType.EC_EDWARDS and parameters in _ED25519_PARAMETERS:
        return _unwrapped(data, ED25519_KEY_BYTES, label), True
    if public.key_type != KeyType.EC or parameters != _P256_PARAMETERS:
        raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{label} is neither an Ed25519 nor a P-256 key")
    point = _unwrapped(data, POINT_BYTES, label)
    try:
        check_point(point, label)
    except Malformed as error:
        raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, str(error)) from None
    return point, False


def _unwrapped(data: bytes, size_bytes: int, label: str) -> bytes:
    """The standard says a DER octet string; some modules give the point itself."""
    if len(data) == size_bytes + 2 and data[:2] == bytes((0x04, size_bytes)):
        return data[2:]
    if len(data) == size_bytes:
        return data
    raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{label}: its public point has {len(data)} bytes")


def _check_stays_inside(key: PrivateKey, label: str) -> None:
    from pkcs11 import Attribute

    if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
        raise TokenTrouble(
            Setup.TOKEN_KEY_UNSUITED, f"{label} can be read out of the token; make a key there that cannot"
        )
