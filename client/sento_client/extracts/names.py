"""Names for an island: which pseudonym stands for whom in an extract, sealed to this institution's own key, for programs that ask the pseudonym service.

    names = seal of 32 fresh bytes to the own seal key, length u16 before it || AES-256-GCM(key, nonce of 12 zero bytes, {identifier: hex 32}, AAD = extract id)

The service is out of reach where the extract is opened, and identifiers are few enough to be tried out, so that no hash of them may lie about. Programs that
hold pseudonym keys need no such file. Pure but for the key that is handed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sento_proto.seal import SealOpener, open_seal, seal
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed, Reader, u16

_INFO = b"sento extract names v1"
_NONCE = bytes(12)
SEAL_MAX_BYTES = 2048


def seal_names(names: Mapping[str, bytes], extract_id: bytes, own_public: bytes, key: bytes) -> bytes:
    """`names`: pseudonyms by identifier; `key`: 32 fresh random bytes."""
    content = json.dumps({who: subject.hex() for who, subject in names.items()}).encode("utf-8")
    sealed = seal(key, _INFO + extract_id, own_public)
    return u16(len(sealed)) + sealed + AESGCM(key).encrypt(_NONCE, content, extract_id)


def open_names(data: bytes, extract_id: bytes, opener: SealOpener) -> dict[str, bytes]:
    """Pseudonyms by identifier. Raises CannotOpen, Malformed."""
    reader = Reader(data, "names of an extract")
    sealed = reader.take(reader.u16("length"), "seal")
    ciphertext = reader.take(len(data) - reader.at, "names")
    key = open_seal(sealed, _INFO + extract_id, opener)
    try:
        content = AESGCM(key).decrypt(_NONCE, ciphertext, extract_id)
        value = cast("dict[str, str]", json.loads(content))
        return {who: bytes.fromhex(subject) for who, subject in value.items()}
    except InvalidTag:
        raise CannotOpen("The names beside the extract are not its own, or were altered.") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise Malformed(f"names of an extract: {error}") from None
