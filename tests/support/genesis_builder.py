"""A small ledger's beginning for tests: a genesis file with every key at hand, and records, submissions and blocks made under it.

Everything is derived from fixed seeds, so that two runs see the same bytes. `TestWorld.numbers` hands out record ids, times, DEKs and other
random bytes in order; a test that must not depend on other tests builds a world of its own (about 2 ms) or passes its own `Numbers`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sento_proto.block import Lane, sign_block
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.ids import uuid7
from sento_proto.kek_seal import xwing_public
from sento_proto.keys import Ed25519Signer, PublicKey
from sento_proto.record import Record
from sento_proto.record import make_record as record_without_payload
from sento_proto.sealing import seal_record
from sento_proto.submission import sign_act, sign_submission

SITES = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
REGISTRIES = ("governance", "keys", "residency", "tax", "health")
OFFICERS = ("officer-one", "officer-two", "officer-three")
READERS = ("relief-desk",)
FIRST_TIME_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

Scopes = Sequence[tuple[str, str]]
"""(registry, compartment) pairs; compartment "*" is any."""

AUTHORS: Mapping[str, Scopes] = {
    "iizuka-city": (("residency", ""), ("tax", "")),
    "iizuka-hospital": (("health", "*"),),
    "kaga-city": (("residency", ""),),
}


class Numbers:
    """Time and randomness for tests, from a seed: a clock that goes on 1 ms a question, and bytes."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.time_ms = FIRST_TIME_MS

    def next_time_ms(self) -> int:
        """One millisecond later than the last answer."""
        self.time_ms += 1
        return self.time_ms

    def take(self, count: int) -> bytes:
        """`count` bytes that only look random."""
        return self._random.randbytes(count)

    def record_id(self) -> bytes:
        """The next UUIDv7, later than all before it."""
        return uuid7(self.next_time_ms(), self.take(10))


@dataclass(frozen=True, slots=True)
class TestWorld:
    """A genesis with the private side of every key in it. `kek` is the one KEK that `make_record` seals under."""

    __test__: ClassVar[bool] = False

    genesis: Genesis
    genesis_bytes: bytes
    site_signers: dict[str, Ed25519Signer]
    author_signers: dict[str, Ed25519Signer]
    officer_signers: dict[str, Ed25519Signer]
    seal_secrets: dict[str, bytes]
    kek: bytes
    numbers: Numbers = field(default_factory=Numbers)

    @property
    def ledger_id(self) -> bytes:
        """SHA-256 of the genesis file."""
        return self.genesis.ledger_id

    @property
    def site_keys(self) -> dict[str, PublicKey]:
        """Site name -> its public key."""
        return {site.name: site.key for site in self.genesis.sites}

    def key_id(self, author: str) -> bytes:
        """The 16-byte key id under which `author` signs."""
        return self.author_signers[author].public_key.key_id


def derived(*names: str, size: int = 32) -> bytes:
    """`size` bytes that belong to these names and to nothing else: keys for tests, never for anything real."""
    return hashlib.shake_256("/".join(("sento test key", *names)).encode()).digest(size)


def build_genesis(
    sites: Sequence[str] = SITES,
    authors: Mapping[str, Scopes] = AUTHORS,
    *,
    registries: Sequence[str] = REGISTRIES,
    officers: Sequence[str] = OFFICERS,
    readers: Sequence[str] = READERS,
    budget: tuple[int, int] = (10_000, 10_000),
    budgets: Mapping[str, tuple[int, int]] | None = None,
    embassies: Sequence[str] = (),
    receipt_set: Sequence[str] | None = None,
    rules: int = 1,
    name: str = "sento-test",
) -> TestWorld:
    """A world of its own. `budget` is (records, subjects) per 10,000 positions for authors that `budgets` does not name.

    `embassies` are sites without a vote. The receipt set is the voting sites unless named; its quorum is the smallest majority."""
    site_signers = {site: _signer(name, "site", site) for site in (*sites, *embassies)}
    author_signers = {author: _signer(name, "author", author) for author in authors}
    officer_signers = {officer: _signer(name, "officer", officer) for officer in officers}
    seal_secrets = {who: derived(name, "seal", who, size=96) for who in (*authors, *readers)}
    receipt_sites = list(sites if receipt_set is None else receipt_set)
    budgets = budgets or {}
    document = {
        "format": "sento-genesis-1",
        "name": name,
        "purpose": "training",
        "created": "2026-01-01T00:00:00Z",
        "rules": rules,
        "registries": list(registries),
        "sites": [_site(site, signer, site in sites) for site, signer in site_signers.items()],
        "receipt_set": {"sites": receipt_sites, "quorum": len(receipt_sites) // 2 + 1},
        "officers": {
            "threshold": len(officers) // 2 + 1 if officers else 0,
            "people": [{"name": officer, "key": _key(signer)} for officer, signer in officer_signers.items()],
        },
        "authors": [
            {
                "name": author,
                "keys": [_key(author_signers[author])],
                "may_write": _scopes(scopes),
                "budget_per_10000_positions": dict(
                    zip(("records", "subjects"), budgets.get(author, budget), strict=True)
                ),
                "seal_key": _base64(xwing_public(seal_secrets[author])),
            }
            for author, scopes in authors.items()
        ],
        "readers": [
            {
                "name": reader,
                "may_read": _scopes([(registry, "*") for registry in registries]),
                "seal_key": _base64(xwing_public(seal_secrets[reader])),
            }
            for reader in readers
        ],
    }
    data = json.dumps(document, indent=2).encode() + b"\n"
    return TestWorld(
        genesis=decode_genesis(data),
        genesis_bytes=data,
        site_signers=site_signers,
        author_signers=author_signers,
        officer_signers=officer_signers,
        seal_secrets=seal_secrets,
        kek=derived(name, "kek"),
    )


def _signer(*names: str) -> Ed25519Signer:
    return Ed25519Signer(derived(*names))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _key(signer: Ed25519Signer) -> dict[str, str]:
    return {"suite": "ed25519", "public_key": _base64(signer.public_key.data)}


def _scopes(scopes: Scopes) -> list[dict[str, str]]:
    return [{"registry": registry, "compartment": compartment} for registry, compartment in scopes]


def _site(name: str, signer: Ed25519Signer, votes: bool) -> dict[str, object]:
    return {
        "name": name,
        "key": _key(signer),
        "votes": votes,
        "country": name.partition("-")[0].upper(),
        "region": name.rpartition("-")[2],
        "hazard_zone": f"zone-{name}",
        "power": f"grid-{name}",
        "carrier": f"carrier-{name}",
        "provider": f"provider-{name}",
        "legal_basis": "test",
    }


def make_record(
    world: TestWorld,
    author: str,
    registry: str,
    kind: str,
    subject: bytes,
    fact: bytes,
    previous: bytes = ZERO32,
    content: bytes | None = b"...",
    record_id: bytes | None = None,
    compartment: str = "",
    *,
    group: bytes = ZERO16,
    clear: bytes = b"",
    numbers: Numbers | None = None,
) -> Record:
    """A record by `author`, sealed under the world's KEK. `content=None` makes one without payload; `clear` is content in clear."""
    numbers = numbers or world.numbers
    header = Header(
        record_id=numbers.record_id() if record_id is None else record_id,
        author_key_id=world.key_id(author),
        time_ms=numbers.next_time_ms(),
        key_epoch=1,
        payload_bytes=0,
        subject=subject,
        fact=fact,
        previous=previous,
        group=group,
        dek_commit=ZERO32,
        registry=registry,
        compartment=compartment,
        kind=kind,
        content=clear,
    )
    if content is None:
        return record_without_payload(header, b"")
    return seal_record(header, content, dek=numbers.take(32), kek=world.kek)


def make_submission(world: TestWorld, author: str, records: Sequence[Record]) -> bytes:
    """Submission bytes over `records`, signed by `author`."""
    return sign_submission(world.ledger_id, records, world.author_signers[author])


def make_act(
    world: TestWorld,
    clear: bytes,
    officers: Sequence[str] = OFFICERS[:2],
    *,
    previous: bytes = ZERO32,
    epoch: int = 1,
    kind: str = "act",
    numbers: Numbers | None = None,
) -> bytes:
    """Bytes of an officers' act in registry governance with content `clear`. All acts are versions of the fact of sixteen zeros."""
    numbers = numbers or world.numbers
    header = Header(
        record_id=numbers.record_id(),
        author_key_id=ZERO16,
        time_ms=numbers.next_time_ms(),
        key_epoch=0,
        payload_bytes=0,
        subject=ZERO32,
        fact=ZERO16,
        previous=previous,
        group=ZERO16,
        dek_commit=ZERO32,
        registry="governance",
        compartment="",
        kind=kind,
        content=clear,
    )
    record = record_without_payload(header, b"")
    return sign_act(world.ledger_id, epoch, record, [world.officer_signers[officer] for officer in officers])


def make_block(
    world: TestWorld,
    site: str,
    submissions: Sequence[bytes],
    seq: int = 1,
    *,
    epoch: int = 1,
    boot_number: int = 1,
    lane: int = 0,
) -> bytes:
    """Block bytes over `submissions`, signed by `site`."""
    return sign_block(
        world.ledger_id, epoch, Lane(site, boot_number, lane), seq, submissions, world.site_signers[site]
    )
