"""The decision to unlock: an act must stand for every registry and key epoch that is asked for; then a threshold of shares opens what it names.

The act does not open anything and cannot hinder a threshold of officers with software of their own: it is there so that an unlock made in the ordinary way
cannot be made unseen. A rehearsal needs no act, keeps nothing, and looks at everything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sento_client.pseudonym_service.macs import KeyName
from sento_client.recovery.keks import Wanted
from sento_client.recovery.reconstruct import RecoveredKey
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import Ceremony, UnlockAct
from sento_proto.pseudonyms import KeyKind
from sento_proto.recovery import REGISTRY_KEY_BYTES, EntryKind, RecoveryPayload, registry_key_info
from sento_proto.seal import XWingOpener, open_seal
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed


def acts_for(
    recovery_key: str, registries: Collection[str], key_epochs: Collection[int], standing: Sequence[UnlockAct]
) -> tuple[UnlockAct, ...]:
    """The acts that stand for all of it, oldest first. Raises RecoveryRefused NO_UNLOCK_ACT, which names what no act covers."""
    if not registries or not key_epochs:
        raise RecoveryRefused(Refusal.NO_UNLOCK_ACT, "no registry or no key epoch was named")
    pairs = [(registry, epoch) for registry in sorted(set(registries)) for epoch in sorted(set(key_epochs))]
    open_pairs = [pair for pair in pairs if not any(act.covers(recovery_key, *pair) for act in standing)]
    if open_pairs:
        raise RecoveryRefused(
            Refusal.NO_UNLOCK_ACT,
            *(
                f"registry {registry}, key epoch {epoch}, recovery key {recovery_key}"
                for registry, epoch in open_pairs
            ),
        )
    return tuple(act for act in standing if any(act.covers(recovery_key, *pair) for pair in pairs))


def check_named(numbers: Collection[int], ceremony: Ceremony, acts: Sequence[UnlockAct]) -> None:
    """The shares with these numbers are of officers whom the acts name, so that the ledger tells the truth about who opened it. Raises RecoveryRefused
    NO_UNLOCK_ACT."""
    named = {officer for act in acts for officer in act.unlock.officers}
    offices = {share.number: share.officer for share in ceremony.shares}
    strangers = [number for number in sorted(set(numbers)) if offices.get(number) not in named]
    if strangers:
        raise RecoveryRefused(
            Refusal.NO_UNLOCK_ACT,
            *(
                f"share {number} is of the office of {offices.get(number)}, whom no act names"
                for number in strangers
            ),
        )


@dataclass(frozen=True, slots=True, repr=False)
class RegistryKeys:
    """Pseudonym and index keys, without which nobody could be found. `bad`: a sentence for each that is missing or does not open."""

    keys: dict[KeyName, bytes] = field(default_factory=dict)
    bad: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"RegistryKeys({len(self.keys)} keys, {len(self.bad)} bad)"

    def of_kind(self, kind: KeyKind) -> dict[str, bytes]:
        """Registry -> its key of this kind."""
        return {name.registry: key for name, key in sorted(self.keys.items()) if name.kind is kind}


def open_registry_keys(
    ledger_id: bytes, key: RecoveredKey, payload: RecoveryPayload, registries: Collection[str]
) -> RegistryKeys:
    """The pseudonym and index keys of these registries, out of the ceremony's payload."""
    opener = XWingOpener(key.secret)
    keys: dict[KeyName, bytes] = {}
    bad: list[str] = []
    for registry in sorted(set(registries)):
        for kind in KeyKind:
            entry_kind = EntryKind(kind)
            entry = payload.find([entry_kind], registry)
            try:
                if entry is None:
                    raise CannotOpen("it does not stand in the ceremony")
                data = open_seal(entry.seal, registry_key_info(ledger_id, entry_kind, registry), opener)
                if len(data) != REGISTRY_KEY_BYTES:
                    raise Malformed(f"it does not have {REGISTRY_KEY_BYTES} bytes")
                keys[KeyName(registry, kind)] = data
            except (CannotOpen, Malformed) as error:
                bad.append(f"{kind.word} key of registry {registry}: {error}")
    return RegistryKeys(keys, tuple(bad))


def wanted_of(registries: Collection[str], key_epochs: Collection[int]) -> Wanted:
    """These and no others."""
    return Wanted(frozenset(registries), frozenset(key_epochs))
