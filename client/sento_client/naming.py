"""Where names of persons and facts come from: pseudonym keys on this computer, or the pseudonym service, which keeps them.

Two forms of one port. With keys here a name is there at once and composing needs no waiting; with the service many names are asked for in one round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sento_client.keyring import Keyring


class Asked(NamedTuple):
    """A fact about a person in the ministry's words: registry, identifier, kind, natural key. None of it leaves the ministry."""

    registry: str
    identifier: str
    kind: str
    natural_key: str


class Named(NamedTuple):
    """The 32-byte subject and the 16-byte fact that stand for it in the ledger."""

    subject: bytes
    fact: bytes


class Why(NamedTuple):
    """Purpose and case number of a reading: the pseudonym service writes them into its log."""

    purpose: str
    case_number: str


class Naming(Protocol):
    """Names persons and facts."""

    async def names(self, asked: Sequence[Asked], why: Why | None, timeout_ms: int) -> list[Named]:
        """One for each, in order. Raises SentoError; SetupError NO_PSEUDONYM_KEY."""
        ...

    async def subject(self, registry: str, identifier: str, why: Why | None, timeout_ms: int) -> bytes:
        """A person's 32-byte pseudonym. Raises as `names`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class LocalNaming:
    """With the keys of this installation."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def names(self, asked: Sequence[Asked], _why: Why | None, _timeout_ms: int) -> list[Named]:
        """Computed at once. Raises SetupError NO_PSEUDONYM_KEY."""
        return [self._name(one) for one in asked]

    async def subject(self, registry: str, identifier: str, _why: Why | None, _timeout_ms: int) -> bytes:
        """Computed at once. Raises SetupError NO_PSEUDONYM_KEY."""
        return self._keyring.subject(registry, identifier)

    async def close(self) -> None:
        """There is nothing to close."""

    def _name(self, asked: Asked) -> Named:
        subject = self._keyring.subject(asked.registry, asked.identifier)
        return Named(subject, self._keyring.fact(asked.registry, subject, asked.kind, asked.natural_key))
