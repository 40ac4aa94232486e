"""What the ledger says about recovery: ceremonies, unlock acts, KEK seals; and the ports by which it is asked.

Everything here is public. The ports are callables, so that a client's verified governance, a copy on an offline computer and a test are the same
to the rest of this package. What they give must have been verified already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sento_proto.governance.ledger_changes import SetRecoveryKey, Unlock
from sento_proto.kek_seal import KekName
from sento_proto.recovery import RecoveryPayload
from sento_proto.seal import XWING_PUBLIC_BYTES
from sento_proto.strict_json import Fields
from sento_proto.wire import Malformed


class CommittedShare(NamedTuple):
    """One share as the act names it: its number, whose office it belongs to, and SHA-256 over it."""

    number: int
    officer: str
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A recovery key as the change `set-recovery-key` describes it. `name` is the year's; `public_key` 1,216 bytes."""

    name: str
    ceremony_id: bytes
    threshold: int
    public_key: bytes
    shares: tuple[CommittedShare, ...]

    @property
    def words(self) -> str:
        """For people: name and the beginning of the id, because two ledgers may have a key of one name."""
        return f"{self.name} ({self.ceremony_id.hex()[:8]})"

    @property
    def threshold_words(self) -> str:
        """`3 of 5`."""
        return f"{self.threshold} of {len(self.shares)}"

    def share(self, number: int) -> CommittedShare | None:
        """What the act says of the share of this number."""
        return next((share for share in self.shares if share.number == number), None)


def ceremony_of_change(change: SetRecoveryKey) -> Ceremony:
    """The ceremony that an act's change describes. Raises Malformed where it could not be one of ours."""
    shares = tuple(CommittedShare(*share) for share in change.shares)
    numbers = [share.number for share in shares]
    if len(change.public_key) != XWING_PUBLIC_BYTES or numbers != list(range(1, len(numbers) + 1)):
        raise Malformed(
            "recovery key: it needs an X-Wing public key, and shares with the numbers from 1 upwards"
        )
    if not len(shares) // 2 < change.threshold <= len(shares):
        raise Malformed("recovery key: more than half of the shares must be needed, and no more than all")
    return Ceremony(change.name, change.ceremony, change.threshold, change.public_key, shares)


def read_ceremony(fields: Fields) -> Ceremony:
    """A ceremony off a change {"do": "set-recovery-key", ...}. Raises Malformed."""
    fields.choice("do", (SetRecoveryKey.DO,))
    return ceremony_of_change(SetRecoveryKey.read(fields))


@dataclass(frozen=True, slots=True)
class StandingCeremony:
    """A ceremony whose act stands, with the act's payload."""

    ceremony: Ceremony
    payload: RecoveryPayload


class UnlockAct(NamedTuple):
    """An act's change `unlock` that stands at `position`: which officers said that this may be opened, and why."""

    unlock: Unlock
    position: int

    def covers(self, recovery_key: str, registry: str, key_epoch: int) -> bool:
        """Whether the act speaks of this registry's KEKs of this epoch, under this recovery key."""
        unlock = self.unlock
        return (
            recovery_key == unlock.recovery_key
            and registry in unlock.registries
            and key_epoch in unlock.key_epochs
        )


class KekScope(NamedTuple):
    """What a KEK is for, without the ledger. Sorts by author, so that lists are read by whom they concern."""

    author: str
    registry: str
    compartment: str
    key_epoch: int

    @property
    def words(self) -> str:
        """For people."""
        author, registry, compartment, key_epoch = self
        return f"author {author}, registry {registry}, compartment '{compartment}', key epoch {key_epoch}"

    @classmethod
    def of(cls, name: KekName) -> KekScope:
        """The scope of a KEK's name."""
        return cls(name.author, name.registry, name.compartment, name.key_epoch)


class CommittedSeal(NamedTuple):
    """A KEK as its author sealed it to a recovery key, and the commitment that stands beside the seal: SHA-256("sento kek v1" || KEK)."""

    name: KekName
    commitment: bytes
    seal: bytes


class SealSource(Protocol):
    """The KEK seals that stand in the ledger."""

    def seals(self, recovery_public: bytes) -> Iterable[CommittedSeal]:
        """Every seal that its author made for this recovery key, also one whose bytes say otherwise: those are the bad ones."""
        ...

    def scopes_with_records(self) -> Iterable[KekScope]:
        """Every scope under which at least one record was sealed, so that a seal nobody made is missed. Registries whose content is in clear have none."""
        ...


class Standing(Protocol):
    """All that recovery asks of a ledger."""

    @property
    def ledger_id(self) -> bytes:
        """32 bytes."""
        ...

    @property
    def ledger_name(self) -> str:
        """The genesis file's name for people."""
        ...

    def ceremonies(self) -> Sequence[StandingCeremony]:
        """Oldest first."""
        ...

    def unlock_acts(self) -> Sequence[UnlockAct]:
        """Those that stand, oldest first."""
        ...

    @property
    def seal_source(self) -> SealSource:
        """Where KEK seals come from."""
        ...


def ceremony_names(standing: Iterable[StandingCeremony]) -> Mapping[bytes, str]:
    """Ceremony id -> what people call it."""
    return {one.ceremony.ceremony_id: one.ceremony.words for one in standing}


def check_payload(ceremony: Ceremony, payload: RecoveryPayload) -> None:
    """Raises Malformed when the payload is another ceremony's."""
    if payload.ceremony_id != ceremony.ceremony_id:
        raise Malformed("recovery payload: it belongs to another ceremony than the act's")
