"""Sealed extracts of a registry in memory, made as a site makes them, for tests of those who open them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sento_client.recovery.standing import KekScope
from sento_client.testing import Registry
from sento_client.testing.access import Access
from sento_node.service.extracting import object_of
from sento_proto.checkpoint import SiteSigners, decode_checkpoint
from sento_proto.extract import (
    ExtractBody,
    ExtractEntry,
    ExtractHeader,
    ExtractSubject,
    case_hash,
    seal_extract,
)
from sento_proto.ids import uuid7
from sento_proto.kek_record import REGISTRY as KEYS
from sento_proto.kek_record import subject_of_kek
from sento_proto.merkle import inclusion_proof, subtree_reader

HOUR_MS = 3_600_000


@dataclass
class ExtractMaker:
    """A site's hand. `signer`: the site whose key signs; the header may name another. `drop`: so many of a person's newest records are left out;
    `oldest_too`: also the oldest one."""

    registry: Registry
    reader: str
    site: str = "site-1"
    signed_by: str = "site-1"
    made_at_ms: int = 1_767_312_000_000
    valid_ms: int = 24 * HOUR_MS
    sealed_to: str = ""
    leave_out: int | None = None

    def make(self, identifiers: Sequence[str], name: str = "health") -> bytes:
        """The extract of these persons' records."""
        ledger, world = self.registry._ledger, self.registry._world
        note = decode_checkpoint(ledger.checkpoint())
        subjects = [self.registry._cabinet.pseudonym(name, who) for who in identifiers]
        persons = [
            ExtractSubject(subject, self._entries(name, subject, note.size)[::-1]) for subject in subjects
        ]
        scopes = dict.fromkeys(
            KekScope(placed.author, name, placed.record.header.compartment, placed.record.header.key_epoch)
            for placed in ledger.records
            if placed.record.header.registry == name
        )
        keys = tuple(self._entries(KEYS, subject_of_kek(*scope), note.size) for scope in scopes)
        header = ExtractHeader(
            world.ledger_id,
            note.epoch,
            self.site,
            uuid7(self.made_at_ms, bytes(range(10))),
            note,
            self.made_at_ms - HOUR_MS,
            name,
            self.reader,
            bytes(16),
            "shelter clinic",
            case_hash("2026-7"),
            self.made_at_ms,
            self.made_at_ms + self.valid_ms,
        )
        return seal_extract(
            header,
            ExtractBody("2026-7", tuple(persons), keys),
            body_key=bytes(range(32)),
            recipient=self.registry.seal_public(self.sealed_to or self.reader),
            signers=SiteSigners(world.site_signers[self.signed_by]),
        )

    def _entries(self, name: str, subject: bytes, size: int) -> tuple[ExtractEntry, ...]:
        """Oldest first."""
        ledger = self.registry._ledger
        access = Access(ledger.governance, self.reader)
        hashes = ledger.hashes(size)
        read = subtree_reader(hashes)
        found: list[ExtractEntry] = []
        for position in ledger.records_of_subject(name, subject):
            message = ledger._listed(position, access, header_only=False) or ledger._hidden(position)
            found.append(ExtractEntry(object_of(message), tuple(inclusion_proof(read, position, size))))
        if self.leave_out is not None and name != KEYS:
            del found[self.leave_out]
        return tuple(found)
