"""What can compute MACs under the registries' keys, as a port: keys as bytes in this process, or keys in a token that gives none out.

The port computes HMAC-SHA-256 and nothing else: what goes into a MAC is `sento_proto.pseudonyms`' business, so that both forms give the same names.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sento_proto.pseudonyms import KeyKind, check_message, registry_key_id


class KeyName(NamedTuple):
    """Which key: of a registry, for pseudonyms or for the index."""

    registry: str
    kind: KeyKind


class Mac(Protocol):
    """MACs under named keys."""

    @property
    def form(self) -> str:
        """Where the keys are: "software" or "token"."""
        ...

    @property
    def keys(self) -> frozenset[KeyName]:
        """The keys there are."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether `of` waits for something outside of this process, so that it belongs on a thread."""
        ...

    def of(self, key: KeyName, messages: Sequence[bytes]) -> list[bytes]:
        """The 32-byte MAC of each message. Raises KeyError for a key that is not there, MacFailed."""
        ...

    def close(self) -> None:
        """Let go of the keys."""
        ...


class MacFailed(Exception):
    """The keys cannot be used: the token is gone, or refuses. The text is for people and names no key's content."""


class SoftwareMac:
    """Keys as bytes in this process."""

    form = "software"
    blocks = False

    def __init__(self, keys: Mapping[KeyName, bytes]) -> None:
        self._keys = dict(keys)

    @property
    def keys(self) -> frozenset[KeyName]:
        """The keys there are."""
        return frozenset(self._keys)

    def of(self, key: KeyName, messages: Sequence[bytes]) -> list[bytes]:
        """The MAC of each message. Raises KeyError."""
        secret = self._keys[key]
        return [hmac.digest(secret, message, "sha256") for message in messages]

    def close(self) -> None:
        """Forget the keys."""
        self._keys.clear()


def key_ids(mac: Mac) -> dict[KeyName, bytes]:
    """The 16-byte id of every key. Raises MacFailed."""
    return {
        key: registry_key_id(mac.of(key, [check_message(key.kind, key.registry)])[0])
        for key in sorted(mac.keys)
    }
