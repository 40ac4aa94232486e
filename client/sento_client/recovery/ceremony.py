"""The ceremony of a year's recovery key, decided without IO: who gets which share, what is sealed to whom, and what the officers' act will say.

    random bytes ── seed ──► public key, in the act
                      └── k of n shares ──► sealed to each officer and the deputy ──► payload of the act
                                      └──► commitments, in the act

An officer and the deputy hold the same share under one index: they count once, as their signatures do. Everything that can be wrong with the people named is
found before the first random byte is drawn. The result is checked against itself before it is given out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sento_client.pseudonym_service.macs import KeyName
from sento_client.recovery.reconstruct import reconstruct
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import Ceremony, CommittedShare
from sento_proto.governance.parts import Officer
from sento_proto.recovery import (
    CEREMONY_ID_BYTES,
    REGISTRY_KEY_BYTES,
    SEED_BYTES,
    EntryKind,
    RecoveryPayload,
    RecoveryShare,
    SealedEntry,
    recovery_public,
    registry_key_info,
    share_info,
)
from sento_proto.seal import seal
from sento_proto.shamir import SHARES_MAX, split
from sento_proto.wire import Malformed

DEFAULT_THRESHOLD = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a ceremony is to make. Officers get the indices 1, 2, ... in this order."""

    ledger_id: bytes
    name: str
    threshold: int
    officers: tuple[Officer, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A ceremony's outcome. `shares` are secret and for paper only: whoever does not print them drops them."""

    ceremony: Ceremony
    payload: RecoveryPayload
    shares: tuple[RecoveryShare, ...]


def check_plan(plan: Plan) -> None:
    """Raises RecoveryRefused CEREMONY_UNFIT with every mistake found."""
    count = len(plan.officers)
    mistakes = []
    if count > SHARES_MAX:
        mistakes.append(f"{count} officers; a ceremony has room for {SHARES_MAX}")
    if plan.threshold < 2:
        mistakes.append(f"a threshold of {plan.threshold}: one person alone could open everything")
    if plan.threshold > count:
        mistakes.append(
            f"a threshold of {plan.threshold} with {count} officers: nobody could ever open anything"
        )
    elif plan.threshold <= count // 2:
        mistakes.append(
            f"a threshold of {plan.threshold} with {count} officers: it must be more than half, so that no two groups can act apart"
        )
    mistakes += _holder_mistakes(plan.officers)
    if mistakes:
        raise RecoveryRefused(Refusal.CEREMONY_UNFIT, *mistakes)


def _holder_mistakes(officers: Sequence[Officer]) -> list[str]:
    mistakes: list[str] = []
    names: set[str] = set()
    keys: dict[bytes, str] = {}
    for officer in officers:
        for holder in (officer, officer.deputy):
            if holder is None:
                continue
            if holder.name in names:
                mistakes.append(f"{holder.name} stands twice and would hold two shares")
            names.add(holder.name)
            if not holder.seal_key:
                mistakes.append(f"{holder.name} has no seal key: enrol-officer and set-deputy give one")
            elif holder.seal_key in keys:
                mistakes.append(f"{holder.name} has the seal key of {keys[holder.seal_key]}")
            else:
                keys[holder.seal_key] = holder.name
    return mistakes


def hold(plan: Plan, random: Callable[[int], bytes]) -> Held:
    """A new recovery key for `plan`. `random(count)` gives secret, uniform bytes.

    Raises RecoveryRefused CEREMONY_UNFIT when the plan does not fit, or the payload would be over 30 KiB."""
    check_plan(plan)
    ceremony_id, seed = random(CEREMONY_ID_BYTES), random(SEED_BYTES)
    values = split(seed, plan.threshold, len(plan.officers), random((plan.threshold - 1) * SEED_BYTES))
    shares = tuple(
        RecoveryShare(ceremony_id, plan.threshold, index, value)
        for index, value in enumerate(values, start=1)
    )
    ceremony = Ceremony(
        name=plan.name,
        ceremony_id=ceremony_id,
        threshold=plan.threshold,
        public_key=recovery_public(seed),
        shares=tuple(
            CommittedShare(share.index, officer.name, share.commitment)
            for share, officer in zip(shares, plan.officers, strict=True)
        ),
    )
    # The first and the last k cover every share (k > n/2), so a fault of this computer is found while the ceremony can be repeated.
    for chosen in (shares[: plan.threshold], shares[-plan.threshold :]):
        reconstruct(chosen, ceremony)
    entries = [
        entry
        for share, officer in zip(shares, plan.officers, strict=True)
        for entry in _sealed(plan, share, officer)
    ]
    return Held(ceremony, _fitting(RecoveryPayload(ceremony_id, tuple(entries))), shares)


def _sealed(plan: Plan, share: RecoveryShare, officer: Officer) -> list[SealedEntry]:
    holders = [(EntryKind.OFFICER_SHARE, officer.name, officer.seal_key)]
    if officer.deputy is not None:
        holders.append((EntryKind.DEPUTY_SHARE, officer.deputy.name, officer.deputy.seal_key))
    entries = []
    for kind, name, seal_key in holders:
        info = share_info(plan.ledger_id, share.ceremony_id, share.index, name)
        try:
            entries.append(SealedEntry(kind, name, seal(share.encode(), info, seal_key)))
        except Malformed as error:
            raise RecoveryRefused(Refusal.CEREMONY_UNFIT, f"{name}: {error}") from None
    return entries


def with_registry_keys(
    ledger_id: bytes, payload: RecoveryPayload, recovery_public: bytes, keys: Mapping[KeyName, bytes]
) -> RecoveryPayload:
    """The payload with registries' pseudonym and index keys (32 bytes) sealed to the recovery key; needs no secret of the ceremony.

    What stands under the same registry and kind is replaced. Raises RecoveryRefused CEREMONY_UNFIT when it would be over 30 KiB."""
    sealed: list[SealedEntry] = []
    for name, key in sorted(keys.items()):
        if len(key) != REGISTRY_KEY_BYTES:
            raise RecoveryRefused(
                Refusal.CEREMONY_UNFIT, f"registry {name.registry}: its key must have 32 bytes"
            )
        kind = EntryKind(name.kind)
        info = registry_key_info(ledger_id, kind, name.registry)
        sealed.append(SealedEntry(kind, name.registry, seal(key, info, recovery_public)))
    return with_sealed_keys(payload, sealed)


def with_sealed_keys(payload: RecoveryPayload, sealed: Sequence[SealedEntry]) -> RecoveryPayload:
    """The payload with registries' keys that were sealed elsewhere, by whoever keeps them. Replaces and raises as `with_registry_keys`."""
    replaced = {(entry.kind, entry.name) for entry in sealed}
    kept = [entry for entry in payload.entries if (entry.kind, entry.name) not in replaced]
    return _fitting(RecoveryPayload(payload.ceremony_id, (*kept, *sealed)))


def _fitting(payload: RecoveryPayload) -> RecoveryPayload:
    try:
        payload.encode()
    except Malformed as error:
        raise RecoveryRefused(Refusal.CEREMONY_UNFIT, str(error)) from None
    return payload
