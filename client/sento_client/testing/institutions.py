"""Institutions of a throw-away world: what each may do, the keys it holds, and its client's installation, without a file on disk.

KEKs are made as an author makes them: one for each (author, registry, compartment), sealed by HPKE to the author and to each institution that may
read there. A seal is made when it is first needed, because nobody knows beforehand which compartments a program will write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sento_client.config import Limits, OutboxPlace, decode_config
from sento_client.governing.following import Followed
from sento_client.keyfiles import SealedKek
from sento_client.keyring import Keyring
from sento_client.opening import Installation
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing.world import BUDGET, Scopes, World, derived
from sento_proto.genesis import Budget, Scope
from sento_proto.kek_seal import KekName, XWingOpener, seal_kek, xwing_public
from sento_proto.pseudonyms import subject_of
from sento_proto.record import Record
from sento_proto.sealing import open_payload

KEY_EPOCH = 1
PLENTY = Budget(*BUDGET)
NOWHERE = Path("/sento-testing")
"""Where the files of an installation in memory would lie."""


@dataclass(frozen=True, slots=True)
class Institution:
    """A ministry, office or reader. A registry's name alone means all of its compartments; `Scope(registry, compartment)` means one.

    It reads what it writes; of others' records it can open those in `reads`. Its budget is per 10,000 positions."""

    name: str
    writes: Sequence[str | Scope] = ()
    reads: Sequence[str | Scope] = ()
    budget: Budget = PLENTY

    @property
    def write_scopes(self) -> Scopes:
        """(registry, compartment) pairs."""
        return _pairs(self.writes)

    @property
    def read_scopes(self) -> Scopes:
        """(registry, compartment) pairs."""
        return _pairs(self.reads)


def _pairs(scopes: Sequence[str | Scope]) -> Scopes:
    return [
        (scope, "*") if isinstance(scope, str) else (scope.registry, scope.compartment) for scope in scopes
    ]


class KeyCabinet:
    """All KEKs and pseudonym keys of a world, and who gets which. Keys belong to `key_name`."""

    def __init__(self, world: World, institutions: Sequence[Institution], key_name: str) -> None:
        self.world = world
        self._institutions = {institution.name: institution for institution in institutions}
        self._key_name = key_name

    def pseudonym_keys(self, institution: str) -> dict[str, bytes]:
        """Registry -> pseudonym key, of the registries that the institution writes or reads; of all for one that may do nothing yet."""
        who = self._institutions[institution]
        registries = dict.fromkeys(registry for registry, _ in (*who.write_scopes, *who.read_scopes))
        registries = registries or dict.fromkeys(self.world.genesis.registries)
        return {registry: self._pseudonym_key(registry) for registry in registries}

    def keyring_without_keks(self, institution: str) -> Keyring:
        """A keyring whose KEKs must come from the ledger."""
        opener = XWingOpener(self.world.seal_secrets[institution])
        return Keyring(self.world.ledger_id, opener, (), self.pseudonym_keys(institution))

    def pseudonym(self, registry: str, subject: str) -> bytes:
        """A person's pseudonym in a registry."""
        return subject_of(self._pseudonym_key(registry), subject)

    def seals_to(
        self, institution: str, author: str, registry: str, compartment: str
    ) -> tuple[SealedKek, ...]:
        """The seal of a KEK to an institution, none when it is neither the author nor may read there."""
        reads = [Scope(*pair) for pair in self._institutions[institution].read_scopes]
        entitled = institution == author or any(scope.covers(registry, compartment) for scope in reads)
        if author not in self.world.author_signers or not entitled:
            return ()
        name = KekName(self.world.ledger_id, author, registry, compartment, KEY_EPOCH)
        public = xwing_public(self.world.seal_secrets[institution])
        seal = seal_kek(self._kek(author, registry, compartment), name, public)
        return (SealedKek(author, registry, compartment, KEY_EPOCH, seal),)

    def open(self, author: str, record: Record) -> bytes:
        """The content of any record that was sealed in this world. Raises CannotOpen, Malformed."""
        header = record.header
        if not header.payload_bytes:
            return header.content
        kek = self._kek(author, header.registry, header.compartment)
        return open_payload(record.header_bytes, header, record.payload, kek=kek)

    def _pseudonym_key(self, registry: str) -> bytes:
        return derived(self._key_name, "pseudonym", registry)

    def _kek(self, author: str, registry: str, compartment: str) -> bytes:
        return derived(self._key_name, "kek", author, registry, compartment)


class CabinetKeyring(Keyring):
    """An institution's keyring that asks the cabinet for a seal when it needs one."""

    def __init__(self, cabinet: KeyCabinet, institution: str) -> None:
        self._cabinet = cabinet
        self._institution = institution
        self._opened: dict[tuple[str, str, str, int], bytes] = {}
        self._opener = XWingOpener(cabinet.world.seal_secrets[institution])
        super().__init__(cabinet.world.ledger_id, self._opener, (), cabinet.pseudonym_keys(institution))

    def kek_for(self, author: str, registry: str, compartment: str, key_epoch: int) -> bytes:
        """The 32-byte KEK. Raises SetupError NO_KEK when it is not this institution's to open."""
        scope = (author, registry, compartment, key_epoch)
        if scope not in self._opened:
            self._opened[scope] = self._with_seals(author, registry, compartment).kek_for(*scope)
        return self._opened[scope]

    def newest_key_epoch(self, author: str, registry: str, compartment: str) -> int:
        """The key epoch to write under. Raises SetupError NO_KEK."""
        return self._with_seals(author, registry, compartment).newest_key_epoch(author, registry, compartment)

    def _with_seals(self, author: str, registry: str, compartment: str) -> Keyring:
        seals = self._cabinet.seals_to(self._institution, author, registry, compartment)
        return Keyring(self._cabinet.world.ledger_id, self._opener, seals, {})


def install(cabinet: KeyCabinet, institution: str, limits: Limits, outbox: Path | None) -> Installation:
    """What `open_installation` would find in the institution's files. `outbox`: its directory, beside which receipts lie; None for neither.

    Raises SetupError NOT_ENROLLED."""
    world = cabinet.world
    if institution not in world.seal_secrets:
        known = ", ".join(world.seal_secrets)
        raise SetupError(
            Setup.NOT_ENROLLED, f"{institution} is not one of this registry's institutions ({known})"
        )
    signer = world.author_signers.get(institution)
    addresses = {site.name: f"{site.name}.invalid:1" for site in world.genesis.sites}
    text = sento_toml(institution, addresses, signs=signer is not None, more=limits_toml(limits))
    config = decode_config(text.encode(), NOWHERE / institution / "sento.toml")
    return Installation(
        config=replace(
            config,
            outbox=None if outbox is None else OutboxPlace(outbox),
            receipts=None if outbox is None else outbox.parent / "receipts",
        ),
        genesis=world.genesis,
        followed=Followed.start(world.genesis),
        signer=signer,
        keyring=CabinetKeyring(cabinet, institution),
        genesis_bytes=world.genesis_bytes,
    )


def limits_toml(limits: Limits) -> str:
    """The section `limits`."""
    return "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in asdict(limits).items())


def sento_toml(institution: str, addresses: Mapping[str, str], *, signs: bool, more: str = "") -> str:
    """A client's configuration over files of the usual names. `more`: further sections."""
    signing = 'signing = "signing.key"\n' if signs else ""
    sites = "".join(
        f'[[sites]]\nname = "{name}"\naddress = "{address}"\n' for name, address in addresses.items()
    )
    return (
        f'genesis = "genesis.json"\ninstitution = "{institution}"\n'
        '[tls]\nca = "node-ca.pem"\ncertificate = "client.pem"\nkey = "client.key"\n'
        f'[keys]\n{signing}seal = "seal.key"\nkek_seals = "kek-seals.json"\npseudonyms = "pseudonyms.json"\n'
        f"{more}{sites}"
    )
