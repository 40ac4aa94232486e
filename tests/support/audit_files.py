"""Files for the audit kit, made by the project's own code from a small ledger in this process: exports, receipts, trust files, checkpoints.

The ledger is that of a golden document or of any driver; `AuditLedger` cosigns what it is asked to with whatever keys governance says count at that size.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genesis_builder import TestWorld, ed25519
from ledger_driver import LedgerDriver
from sento_node.ledger import reading
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.store import KeptRecord
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all, encode_checkpoint
from sento_proto.governance.gaps import gap_value, open_gaps
from sento_proto.governance.state import Governance
from sento_proto.keys import Signer
from sento_proto.receipt import Receipt, encode_receipt
from sento_proto.record_object import RecordObject, SubmissionPath, hexes, record_value
from sento_proto.software_signers import MlDsa44Signer

KIT = Path(__file__).resolve().parents[2] / "client" / "audit" / "audit_kit.py"
TIME_S = 1_767_225_600


@dataclass(slots=True)
class AuditLedger:
    """A ledger that is flushed, and the keys of its sites. `second`: ML-DSA-44 signers by site."""

    driver: LedgerDriver
    second: Mapping[str, MlDsa44Signer] = field(default_factory=dict)

    @property
    def world(self) -> TestWorld:
        """The genesis file and its keys."""
        return self.driver.world

    @property
    def governance(self) -> Governance:
        """In force at the end."""
        return self.driver.governance

    @property
    def size(self) -> int:
        """Records."""
        return self.driver.store.tip.size

    def signers(self, size: int) -> dict[str, SiteSigners]:
        """Of the receipt set in force at a size."""
        known: list[Signer] = [*self.world.site_signers.values(), ed25519("jp-sapporo"), ed25519("rotated")]
        by_key = {signer.public_key: signer for signer in known}
        return {
            site: SiteSigners(by_key[keys.ed25519], self.second.get(site))
            for site, keys in self.governance.receipt_quorum_at(size).keys.items()
        }

    def checkpoint(self, size: int, root: bytes | None = None, sites: int | None = None) -> Checkpoint:
        """Cosigned by so many sites of the receipt set, or all."""
        root = reading.root_at(self.driver.store, size) if root is None else root
        bare = Checkpoint(self.world.ledger_id, self.driver.state.epoch, size, root)
        lines = [
            line
            for site, signers in list(self.signers(size).items())[:sites]
            for line in cosign_all(bare, site, signers, TIME_S)
        ]
        return bare._replace(signatures=tuple(lines))

    def note(self, size: int) -> str:
        """A checkpoint's text."""
        return encode_checkpoint(self.checkpoint(size)).decode()

    def record(self, kept: KeptRecord, *, payload: bool = False, hidden: bool = False) -> RecordObject:
        """A record as files have it, with its chain."""
        proof = reading.submission_proof(self.driver.store, kept)
        submission = SubmissionPath(
            proof.author_key_id, proof.record_count, proof.nth, proof.path, proof.signatures, proof.officers, proof.epoch
        )  # fmt: skip
        previous = None if kept.previous_of_subject == NOWHERE else kept.previous_of_subject
        return RecordObject(
            kept.position,
            kept.record_hash,
            kept.header_bytes,
            kept.payload_hash,
            submission,
            kept.payload if payload else None,
            kept.link,
            previous,
            hidden,
        )

    def records(self) -> list[KeptRecord]:
        """All that stand."""
        return list(self.driver.store.records(0, self.size))

    def export(
        self,
        *,
        payloads: bool = False,
        hidden: Sequence[int] = (),
        without: Sequence[int] = (),
        older: Sequence[int] = (),
        certificates: Sequence[object] = (),
        fraud: Sequence[object] = (),
        size: int | None = None,
    ) -> bytes:
        """An export's bytes. `without`: positions whose payload is left out; `hidden`: that come as hidden entries."""
        size = self.size if size is None else size
        first: dict[str, object] = {
            "format": "sento-export-1",
            "genesis": base64.b64encode(self.world.genesis_bytes).decode(),
            "ledger_id": self.world.ledger_id.hex(),
            "epoch": self.driver.state.epoch,
            "size": size,
            "checkpoint": self.note(size),
            "made_at_ms": 1_767_225_600_000,
        }
        if size > self.governance.last_act_at and open_gaps(self.governance):
            first["gaps"] = [gap_value(gap) for gap in open_gaps(self.governance)]
        rows: list[object] = [first]
        for kept in self.records()[:size]:
            shown = payloads and kept.position not in without and bool(kept.payload)
            record = self.record(kept, payload=shown, hidden=kept.position in hidden)
            rows.append(record_value(record))
        end = {
            "end": True,
            "records": size,
            "checkpoints": [self.note(each) for each in older],
            "erasure_certificates": list(certificates),
            "fraud": list(fraud),
        }
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in (*rows, end))

    def receipt(self, position: int, size: int | None = None, *, with_record: bool = True) -> bytes:
        """A receipt's file."""
        size = self.size if size is None else size
        kept = self.records()[position]
        path = tuple(reading.inclusion(self.driver.store, position, size))
        record = self.record(kept)._replace(link=None, previous_of_subject=None) if with_record else None
        return encode_receipt(
            Receipt(self.world.ledger_id, position, kept.record_hash, path, self.checkpoint(size), record)
        )

    def trust(self, size: int | None = None) -> bytes:
        """A trust file with all of governance below a size."""
        size = self.size if size is None else size
        rows = [self.record(kept) for kept in self.records()[:size]]
        rows = [row for row in rows if b"\x0agovernance" in row.header_bytes]
        value = {
            "format": "sento-trust-2",
            "genesis": base64.b64encode(self.world.genesis_bytes).decode(),
            "records": [record_value(row._replace(link=None, previous_of_subject=None)) for row in rows],
            "checkpoint": self.note(size),
            "proofs": [hexes(reading.inclusion(self.driver.store, row.position, size)) for row in rows],
        }
        return json.dumps(value, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Kit:
    """One run of the kit, as a program of its own in an empty directory."""

    code: int
    stdout: str
    stderr: str

    @property
    def results(self) -> list[dict[str, str]]:
        """With --json: each item."""
        found: list[dict[str, str]] = json.loads(self.stdout)["results"]
        return found

    def of(self, item: str) -> list[str]:
        """The results of an item."""
        return [each["result"] for each in self.results if each["item"] == item]


def run_kit(place: Path, *arguments: object, options: Sequence[str] = ("-I",)) -> Kit:
    """The kit with these arguments, run in `place` by this interpreter, isolated from every environment variable and directory."""
    command = [sys.executable, *options, str(KIT), *map(str, arguments)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    return Kit(done.returncode, done.stdout, done.stderr)
