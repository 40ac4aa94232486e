"""A ledger's recovery, in memory: officers with deputies, ceremonies, KEK seals and unlock acts; alike in every run but for HPKE's own randomness."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sento_client.pseudonym_service.macs import KeyName
from sento_client.recovery.ceremony import Held, Plan, hold, with_registry_keys
from sento_client.recovery.standing import CommittedSeal, KekScope, StandingCeremony, UnlockAct
from sento_proto.governance.ledger_changes import Unlock
from sento_proto.governance.parts import Deputy, Officer
from sento_proto.kek_seal import KekName, kek_commit, seal_kek
from sento_proto.keys import Ed25519Signer, PublicKey
from sento_proto.pseudonyms import KeyKind
from sento_proto.seal import xwing_public

LEDGER_ID = hashlib.sha256(b"recovery world").digest()
NAMES = ("Abe Ren", "Baba Yui", "Chiba Sora", "Doi Hana", "Endo Riku")
REGISTRIES = ("health", "residency")


def derived(label: str, size: int = 32) -> bytes:
    """Bytes that are the same in every run."""
    return hashlib.shake_256(label.encode()).digest(size)


def stream(label: str) -> Callable[[int], bytes]:
    """A source of "random" bytes that is the same in every run."""
    calls = iter(range(1_000_000))
    return lambda size: derived(f"{label} {next(calls)}", size)


def seal_secret(holder: str) -> bytes:
    """The 96-byte secret of a holder's seal key."""
    return derived(f"seal key of {holder}", 96)


def _signing_key(holder: str) -> PublicKey:
    return Ed25519Signer(derived(f"signing key of {holder}")).public_key


def officer(name: str, *, deputy: bool = True) -> Officer:
    """An officer with a seal key; the deputy is `<name>'s deputy`."""
    second = f"{name}'s deputy"
    return Officer(
        name,
        _signing_key(name),
        xwing_public(seal_secret(name)),
        Deputy(second, _signing_key(second), xwing_public(seal_secret(second))) if deputy else None,
    )


OFFICERS = tuple(officer(name) for name in NAMES)


def kek_of(scope: KekScope) -> bytes:
    """The KEK of a scope."""
    return derived(f"kek {scope}")


def registry_keys(*registries: str) -> dict[KeyName, bytes]:
    """Both keys of each registry."""
    return {KeyName(one, kind): derived(f"{kind.word} {one}") for one in registries for kind in KeyKind}


def hold_ceremony(name: str = "2027", threshold: int = 3, officers: Sequence[Officer] = OFFICERS) -> Held:
    """A ceremony, whose key and shares depend on its name alone."""
    return hold(Plan(LEDGER_ID, name, threshold, tuple(officers)), stream(f"ceremony {name}"))


def standing_of(held: Held, registries: Iterable[str] = REGISTRIES) -> StandingCeremony:
    """The ceremony as it stands, with the keys of these registries."""
    keys = registry_keys(*registries)
    return StandingCeremony(
        held.ceremony, with_registry_keys(LEDGER_ID, held.payload, held.ceremony.public_key, keys)
    )


def committed_seal(
    scope: KekScope,
    public_key: bytes,
    *,
    kek: bytes | None = None,
    sealed_as: KekScope | None = None,
    ledger_id: bytes = LEDGER_ID,
) -> CommittedSeal:
    """An author's seal; with `kek` of another KEK than is committed to, with `sealed_as` for another purpose than its name says."""
    name = KekName(ledger_id, *scope)
    inside = KekName(ledger_id, *(sealed_as or scope))
    return CommittedSeal(name, kek_commit(kek_of(scope)), seal_kek(kek or kek_of(scope), inside, public_key))


SCOPES = tuple(
    KekScope(author, registry, "", epoch)
    for author in ("iizuka-city", "north-clinic")
    for registry in REGISTRIES
    for epoch in (1, 2)
)


@dataclass
class World:
    """A `Standing` and its `SealSource`, which a test puts together by hand."""

    standing: list[StandingCeremony] = field(default_factory=list)
    acts: list[UnlockAct] = field(default_factory=list)
    kek_seals: list[tuple[bytes, CommittedSeal]] = field(default_factory=list)
    scopes: list[KekScope] = field(default_factory=list)
    ledger_id: bytes = LEDGER_ID
    ledger_name: str = "Fukuoka registry"

    @property
    def seal_source(self) -> World:
        return self

    def ceremonies(self) -> Sequence[StandingCeremony]:
        return self.standing

    def unlock_acts(self) -> Sequence[UnlockAct]:
        return self.acts

    def scopes_with_records(self) -> Iterable[KekScope]:
        return self.scopes

    def seals(self, recovery_public: bytes) -> Iterable[CommittedSeal]:
        return [sealed for public_key, sealed in self.kek_seals if public_key == recovery_public]

    def add_seals(self, public_key: bytes, scopes: Iterable[KekScope] = ()) -> None:
        """Records under each scope, and a good seal to this recovery key."""
        for scope in scopes:
            self.scopes.append(scope)
            self.kek_seals.append((public_key, committed_seal(scope, public_key, ledger_id=self.ledger_id)))

    def act(
        self,
        registries: Sequence[str] = REGISTRIES,
        epochs: Sequence[int] = (1, 2),
        key: str = "2027",
        officers: Sequence[str] = NAMES,
    ) -> None:
        unlock = Unlock(tuple(registries), tuple(epochs), key, tuple(officers), "the capital is flooded")
        self.acts.append(UnlockAct(unlock, 4_000 + len(self.acts)))


def world_with(held: Held) -> World:
    """A ledger with this ceremony, records under every scope, and a good seal for each."""
    world = World([standing_of(held)])
    world.add_seals(held.ceremony.public_key, SCOPES)
    return world


def officers_json(officers: Iterable[Officer] = OFFICERS) -> bytes:
    """The file that `sento recovery ceremony --officers` takes."""

    def person(who: Officer | Deputy) -> dict[str, object]:
        key = {"suite": "ed25519", "public_key": base64.b64encode(who.key.data).decode()}
        return {"name": who.name, "key": key, "seal_key": base64.b64encode(who.seal_key).decode()}

    people = [
        person(one) | ({"deputy": person(one.deputy)} if one.deputy is not None else {}) for one in officers
    ]
    return json.dumps({"format": "sento-officers-1", "officers": people}).encode()
