"""A small ledger's beginning for tests: a genesis file with every key at hand, and records, submissions and blocks made under it.

Everything is derived from fixed seeds, so that two runs see the same bytes. `TestWorld.numbers` hands out record ids, times, DEKs and other
random bytes in order; a test that must not depend on other tests builds a world of its own (about 2 ms) or passes its own `Numbers`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

from sento_client.testing.world import BUDGET, Numbers, Scopes, World, build_world, derived
from sento_proto.block import Lane, sign_block
from sento_proto.genesis import decode_genesis
from sento_proto.governance.acts import FORMAT, act_header
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.keys import CompanionSigner, Ed25519Signer, PublicKey, Signer, Suite
from sento_proto.record import Record
from sento_proto.record import make_record as record_without_payload
from sento_proto.sealing import seal_record
from sento_proto.software_signers import EcdsaP256Signer, HybridSigner, MlDsa65Signer
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
    other_signers: dict[str, Signer] = field(default_factory=dict)
    """Authors whose key is not a plain Ed25519 one; a test that enrols a key puts its signer here, under a name of its own."""

    def signer(self, author: str) -> Signer:
        """Who signs for the author."""
        return self.other_signers.get(author) or self.author_signers[author]

    def key_id(self, author: str) -> bytes:
        """The key id under which `author` signs."""
        return self.signer(author).public_key.key_id

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
    deputies: Mapping[str, str] | None = None,
    signers: Mapping[str, Signer] | None = None,
) -> TestWorld:
    """A world of its own. `budget` is (records, subjects) per 10,000 positions for authors that `budgets` does not name.

    `embassies` are sites without a vote. The receipt set is the voting sites unless named; its quorum is the smallest majority. `deputies`: officer ->
    name of the deputy, who signs as `officer_signers[name]`. `signers`: authors that sign with another key than an Ed25519 one of their own."""
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
    if deputies or signers:
        parts |= _changed_genesis(world, deputies or {}, signers or {})
    return TestWorld(**parts, kek=derived(name, "kek"), other_signers=dict(signers or {}))


def _changed_genesis(
    world: World, deputies: Mapping[str, str], signers: Mapping[str, Signer]
) -> dict[str, object]:
    """The parts of a world that are others when officers have deputies and authors other keys."""
    document = json.loads(world.genesis_bytes)
    by_deputy = {deputy: Ed25519Signer(derived("deputy", deputy)) for deputy in deputies.values()}
    for officer in document["officers"]["people"]:
        if officer["name"] in deputies:
            deputy = deputies[officer["name"]]
            officer["deputy"] = {"name": deputy, "key": key_json(by_deputy[deputy])}
    for author in document["authors"]:
        if author["name"] in signers:
            author["keys"] = [key_json(signers[author["name"]])]
    data = json.dumps(document, indent=2).encode() + b"\n"
    return {
        "genesis": decode_genesis(data),
        "genesis_bytes": data,
        "officer_signers": world.officer_signers | by_deputy,
    }


def ed25519(name: str) -> Ed25519Signer:
    """An Ed25519 key of this name, enrolled nowhere."""
    return Ed25519Signer(derived("ed25519", name))


def p256(name: str) -> EcdsaP256Signer:
    """A P-256 key of this name, enrolled nowhere."""
    return EcdsaP256Signer.from_scalar(derived("p-256", name))


def hybrid(name: str) -> HybridSigner:
    """An Ed25519 key of this name with its ML-DSA-65 companion, enrolled nowhere."""
    return HybridSigner(ed25519(f"{name} hybrid"), MlDsa65Signer(derived("ml-dsa-65", name)))


def base64_of(data: bytes) -> str:
    """As genesis files and acts write bytes."""
    return base64.b64encode(data).decode()


def key_json(signer: Signer) -> dict[str, object]:
    """A signing key, with its companion if it has one, as genesis files and acts name it."""
    key = signer.public_key
    suite = "ed25519" if key.suite == Suite.ED25519 else "ecdsa-p256"
    value: dict[str, object] = {"suite": suite, "public_key": base64_of(key.data)}
    if isinstance(signer, CompanionSigner):
        value["ml_dsa_65"] = base64_of(signer.companion_key.data)
    return value


def act_content(*changes: Mapping[str, object], reason: str = "a test needs it") -> bytes:
    """The clear content of an act with these changes."""
    return json.dumps({"format": FORMAT, "reason": reason, "changes": list(changes)}).encode()


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
    key_epoch: int = 1,
    numbers: Numbers | None = None,
) -> Record:
    """A record by `author`, sealed under the world's KEK. `content=None` makes one without payload; `clear` is content in clear."""
    numbers = numbers or world.numbers
    header = Header(
        record_id=numbers.record_id() if record_id is None else record_id,
        author_key_id=world.key_id(author),
        time_ms=numbers.next_time_ms(),
        key_epoch=key_epoch,
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
    return sign_submission(world.ledger_id, records, world.signer(author))


def make_act(
    world: TestWorld,
    clear: bytes,
    officers: Sequence[str] = OFFICERS[:2],
    *,
    previous: bytes = ZERO32,
    epoch: int = 1,
    numbers: Numbers | None = None,
    payload: bytes = b"",
    **fields: object,
) -> bytes:
    """Bytes of an officers' act in registry governance with content `clear`. It follows the act `previous`; `fields` are the header's, set otherwise than an
    act's may be."""
    numbers = numbers or world.numbers
    header = act_header(
        numbers.record_id(),
        numbers.next_time_ms(),
        clear,
        previous,
        payload_bytes=len(payload),
        dek_commit=derived("dek of an act") if payload else ZERO32,
    )
    record = record_without_payload(header._replace(**fields), payload)  # type: ignore[arg-type]
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
