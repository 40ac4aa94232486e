"""A small ledger's beginning for tests: a genesis file with every key at hand, and records, submissions and blocks made under it.

Everything is derived from fixed seeds, so that two runs see the same bytes. `TestWorld.numbers` hands out record ids, times, DEKs and other
random bytes in order; a test that must not depend on other tests builds a world of its own (about 2 ms) or passes its own `Numbers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

from sento_client.testing.world import BUDGET, Numbers, Scopes, World, build_world, derived
from sento_proto.block import Lane, sign_block
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.keys import PublicKey
from sento_proto.record import Record
from sento_proto.record import make_record as record_without_payload
from sento_proto.sealing import seal_record
from sento_proto.submission import sign_act, sign_submission

SITES = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
REGISTRIES = ("governance", "keys", "residency", "tax", "health")
OFFICERS = ("officer-one", "officer-two", "officer-three")
READERS = ("relief-desk",)
AUTHORS: Mapping[str, Scopes] = {
    "iizuka-city": (("residency", ""), ("tax", "")),
    "iizuka-hospital": (("health", "*"),),
    "kaga-city": (("residency", ""),),
}


@dataclass(frozen=True, slots=True)
class TestWorld(World):
    """A throw-away world whose records are all sealed under one `kek`."""

    __test__: ClassVar[bool] = False

    kek: bytes
    numbers: Numbers = field(default_factory=Numbers)

    @property
    def site_keys(self) -> dict[str, PublicKey]:
        """Site name -> its public key."""
        return {site.name: site.key for site in self.genesis.sites}


def build_genesis(
    sites: Sequence[str] = SITES,
    authors: Mapping[str, Scopes] = AUTHORS,
    *,
    registries: Sequence[str] = REGISTRIES,
    officers: Sequence[str] = OFFICERS,
    readers: Sequence[str] = READERS,
    budget: tuple[int, int] = BUDGET,
    budgets: Mapping[str, tuple[int, int]] | None = None,
    embassies: Sequence[str] = (),
    receipt_set: Sequence[str] | None = None,
    rules: int = 1,
    name: str = "sento-test",
) -> TestWorld:
    """A world of its own. `budget` is (records, subjects) per 10,000 positions for authors that `budgets` does not name.

    `embassies` are sites without a vote. The receipt set is the voting sites unless named; its quorum is the smallest majority."""
    world = build_world(
        name,
        sites=sites,
        authors=authors,
        readers={reader: [(registry, "*") for registry in registries] for reader in readers},
        registries=registries,
        officers=officers,
        budgets=dict.fromkeys(authors, budget) | dict(budgets or {}),
        embassies=embassies,
        receipt_set=receipt_set,
        rules=rules,
    )
    parts = {part.name: getattr(world, part.name) for part in fields(world)}
    return TestWorld(**parts, kek=derived(name, "kek"))


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
