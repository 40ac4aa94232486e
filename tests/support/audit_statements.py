"""What sites sign, for the audit kit: proofs of fraud of every kind against a site with one key or two, and erasure certificates."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from functools import cache

from audit_files import TIME_S, AuditLedger
from genesis_builder import SITES, build_genesis, make_block
from ledger_driver import LedgerDriver, subject
from sento_client.testing.world import derived
from sento_node.ledger import reading
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto import fraud_building
from sento_proto.chain import link_over
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all
from sento_proto.erasure_certificate import ErasureCertificate, sign_certificate
from sento_proto.fraud import KnownSites, ProvenRecord
from sento_proto.genesis import decode_genesis
from sento_proto.head_statement import Head, HeadStatement, sign_head
from sento_proto.software_signers import MlDsa44Signer

LIAR, SECOND, THIRD = SITES[:3]


@cache
def ledger_with_second_keys() -> AuditLedger:
    """Twelve records, two about each subject; the third site has an ML-DSA-44 key, too."""
    world = build_genesis(name="audit-statements", rules=2)
    second = MlDsa44Signer(derived("second key of the third"))
    document = json.loads(world.genesis_bytes)
    document["sites"][2]["ml_dsa_44"] = base64.b64encode(second.public_key.data).decode()
    data = json.dumps(document).encode()
    world = dataclasses.replace(world, genesis=decode_genesis(data), genesis_bytes=data)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    for number in range(6):
        driver.write([driver.record(f"fact-{number}-{part}", about=f"person-{number}") for part in range(2)])
    driver.flush()
    return AuditLedger(driver, {THIRD: second})


def signers(ledger: AuditLedger, site: str) -> SiteSigners:
    return ledger.signers(ledger.size)[site]


def statement(
    ledger: AuditLedger, site: str, person: int, size: int, head: Head, root: bytes | None = None
) -> HeadStatement:
    root = root or reading.root_at(ledger.driver.store, size)
    told = HeadStatement(
        ledger.world.ledger_id, ledger.driver.state.epoch, size, root, "residency", subject(f"person-{person}"), head, site
    )  # fmt: skip
    return sign_head(told, signers(ledger, site))


def true_head(ledger: AuditLedger, person: int) -> Head:
    first, last = (ledger.records()[2 * person + part] for part in range(2))
    return Head(last.position, link_over([first.record_hash, last.record_hash]))


def signed(ledger: AuditLedger, size: int, root: bytes, *sites: str) -> Checkpoint:
    bare = Checkpoint(ledger.world.ledger_id, ledger.driver.state.epoch, size, root)
    lines = [line for site in sites for line in cosign_all(bare, site, signers(ledger, site), TIME_S)]
    return bare._replace(signatures=tuple(lines))


def proven_record(ledger: AuditLedger, position: int) -> ProvenRecord:
    kept = ledger.records()[position]
    return ProvenRecord(position, kept.header_bytes, kept.payload_hash)


def frauds(ledger: AuditLedger, liar: str) -> Mapping[str, bytes]:
    """A proof of each kind against the site, by the project's own builders."""
    known, size, store = KnownSites.of(ledger.governance), ledger.size, ledger.driver.store
    root = reading.root_at(store, size)
    other = signed(ledger, size, bytes(32), liar)
    lie = statement(ledger, liar, 3, size, Head(6, true_head(ledger, 3).link))
    others = [statement(ledger, site, 3, size, true_head(ledger, 3)) for site in SITES[:3] if site != liar]
    leaf = bytes([9]) * 32
    short = signed(ledger, 1, leaf, liar)
    world, seq = ledger.world, 1
    blocks = [make_block(world, liar, [b"x"], seq), make_block(world, liar, [b"y"], seq)]
    path = reading.inclusion(store, 7, size)
    return {
        "two-checkpoints": fraud_building.two_checkpoints(known, liar, signed(ledger, size, root, liar), other),
        "two-histories": fraud_building.two_histories(
            known, liar, short, signed(ledger, size, root, liar), 0, (leaf, []),
            (ledger.records()[0].record_hash, reading.inclusion(store, 0, size)),
        ),
        "two-heads": fraud_building.two_heads(known, liar, lie, statement(ledger, liar, 3, size, true_head(ledger, 3))),
        "head-root": fraud_building.head_root(known, statement(ledger, liar, 3, size, true_head(ledger, 3)), other),
        "head-omits": fraud_building.head_omits(known, lie, proven_record(ledger, 7), path),
        "head-invents": fraud_building.head_invents(
            known, statement(ledger, liar, 2, size, Head(7, bytes(32))), proven_record(ledger, 7), path
        ),
        "head-against-quorum": fraud_building.head_against_quorum(known, lie, others),
        "two-blocks": fraud_building.two_blocks(known, liar, *blocks),
    }  # fmt: skip


def certificate_of(ledger: AuditLedger, **fields: object) -> bytes:
    [order] = [
        each
        for each in ledger.governance.erasure_orders.values()
        if each.carried_out_at is not None and each.records
    ]
    told = ErasureCertificate(
        ledger.world.ledger_id, ledger.driver.state.epoch, LIAR, order.position, order.carried_out_at or 0, order.records,
        len(order.records), 1, "trimmed", (), TIME_S,
    )  # fmt: skip
    return sign_certificate(told._replace(**fields), signers(ledger, LIAR))  # type: ignore[arg-type]
