"""An institution's client for tests: its files on disk as they would be delivered, and sites in memory to talk to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from fake_ledger import FakeLedger
from fake_sites import FakeSite, FakeTransport
from genesis_builder import SITES, TestWorld, build_genesis, derived
from sento_client.client import SentoClient
from sento_client.keyfiles import (
    SealedKek,
    write_kek_seals,
    write_pseudonyms,
    write_seal_key,
    write_signing_key,
)
from sento_client.opening import open_installation
from sento_proto.kek_seal import KekName, seal_kek, xwing_public

AUTHOR = "iizuka-city"
NUMBER = "123456789018"


class Why(TypedDict):
    """What every read carries."""

    purpose: str
    case_number: str


class FactName(TypedDict):
    """A fact in the ministry's words."""

    registry: str
    kind: str
    subject: str
    fact: str


WHY: Why = {"purpose": "address proof", "case_number": "2026-118"}


def address(fact: str = "address", subject: str = NUMBER) -> FactName:
    """A fact about a person in the residency registry."""
    return {"registry": "residency", "kind": "residence/entry", "subject": subject, "fact": fact}


SCOPES = (("residency", ""), ("tax", ""))


@dataclass
class ClientWorld:
    """A genesis, a ledger, sites, and the configuration file of one institution."""

    world: TestWorld
    ledger: FakeLedger
    sites: list[FakeSite]
    config: Path
    transport: FakeTransport

    def client(self, config: Path | None = None) -> SentoClient:
        """A client over the sites in memory."""
        installation = open_installation(self.config if config is None else config)
        return SentoClient(installation, transport=lambda _: self.transport)


def build_client_world(directory: Path, institution: str = AUTHOR) -> ClientWorld:
    """Everything under `directory`. A reader's client has no signing key."""
    world = build_genesis()
    ledger = FakeLedger(world)
    sites = [FakeSite(name, ledger) for name in SITES]
    config = write_client_files(directory, world, institution, dict.fromkeys(SITES, "127.0.0.1:1"))
    return ClientWorld(world, ledger, sites, config, FakeTransport(sites))


def write_client_files(
    directory: Path, world: TestWorld, institution: str, addresses: dict[str, str], limits: str = ""
) -> Path:
    """Genesis, key files and sento.toml of one institution; returns the path of the last. TLS files are named and not made."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "genesis.json").write_bytes(world.genesis_bytes)
    secret = world.seal_secrets[institution]
    write_seal_key(directory / "seal.key", secret)
    seals = [
        SealedKek(
            AUTHOR, registry, compartment, epoch, _seal(world.ledger_id, registry, compartment, epoch, secret)
        )
        for registry, compartment in SCOPES
        for epoch in (1, 2)
    ]
    write_kek_seals(directory / "kek-seals.json", seals)
    write_pseudonyms(
        directory / "pseudonyms.json",
        {registry: derived("pseudonym", registry) for registry in ("residency", "tax", "health")},
    )
    signing = ""
    if institution in world.author_signers:
        write_signing_key(directory / "signing.key", derived(world.genesis.name, "author", institution))
        signing = 'signing = "signing.key"\n'
    sites = "".join(
        f'[[sites]]\nname = "{name}"\naddress = "{address}"\n' for name, address in addresses.items()
    )
    config = directory / "sento.toml"
    config.write_text(
        f'genesis = "genesis.json"\ninstitution = "{institution}"\n'
        '[tls]\nca = "node-ca.pem"\ncertificate = "client.pem"\nkey = "client.key"\n'
        f'[keys]\n{signing}seal = "seal.key"\nkek_seals = "kek-seals.json"\npseudonyms = "pseudonyms.json"\n'
        f"{limits}{sites}"
    )
    return config


@functools.cache
def _seal(ledger_id: bytes, registry: str, compartment: str, epoch: int, secret: bytes) -> bytes:
    """Sealing costs more than all else in a client world, and the same seal serves every test."""
    kek = derived("kek", registry, compartment, str(epoch))
    return seal_kek(kek, KekName(ledger_id, AUTHOR, registry, compartment, epoch), xwing_public(secret))
