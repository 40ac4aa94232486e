"""An institution's client for tests: its files on disk as they would be delivered, and sites in memory to talk to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from genesis_builder import SITES, TestWorld, build_genesis
from sento_client.client import SentoClient
from sento_client.keyfiles import (
    SealedKek,
    write_kek_seals,
    write_pseudonyms,
    write_seal_key,
    write_signing_key,
)
from sento_client.opening import Installation, open_installation
from sento_client.testing.institutions import sento_toml
from sento_client.testing.served import ServedLedger
from sento_client.testing.sites import Site, sites_over
from sento_client.testing.transport import MemoryTransport
from sento_client.testing.world import derived
from sento_proto.kek_seal import KekName, seal_kek, xwing_public

AUTHOR = "iizuka-city"
NUMBER = "123456789018"
PAGE_MAX = 3
"""Pages are short, so that tests turn them."""


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
    ledger: ServedLedger
    sites: tuple[Site, ...]
    config: Path
    transport: MemoryTransport

    def client(self, config: Path | None = None) -> SentoClient:
        """A client over the sites in memory; while it is in use `transport` is its own."""
        installation = open_installation(self.config if config is None else config)
        return SentoClient(installation, transport=self._new_transport)

    def _new_transport(self, _: Installation) -> MemoryTransport:
        self.transport = MemoryTransport(self.sites)
        return self.transport


def build_client_world(
    directory: Path, institution: str = AUTHOR, budgets: Mapping[str, tuple[int, int]] | None = None
) -> ClientWorld:
    """Everything under `directory`. A reader's client has no signing key."""
    world = build_genesis(budgets=budgets)
    ledger = ServedLedger(world, page_max=PAGE_MAX)
    sites = sites_over(ledger)
    config = write_client_files(directory, world, institution, dict.fromkeys(SITES, "127.0.0.1:1"))
    return ClientWorld(world, ledger, sites, config, MemoryTransport(sites))


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
    signs = institution in world.author_signers
    if signs:
        write_signing_key(directory / "signing.key", derived(world.genesis.name, "author", institution))
    config = directory / "sento.toml"
    config.write_text(sento_toml(institution, addresses, signs=signs, more=limits))
    return config


@functools.cache
def _seal(ledger_id: bytes, registry: str, compartment: str, epoch: int, secret: bytes) -> bytes:
    """Sealing costs more than all else in a client world, and the same seal serves every test."""
    kek = derived("kek", registry, compartment, str(epoch))
    return seal_kek(kek, KekName(ledger_id, AUTHOR, registry, compartment, epoch), xwing_public(secret))
