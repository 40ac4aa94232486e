"""What a thief writes with keys that are not the thief's own, or that were taken away, or where their owner has no business.

Every method gives submissions as bytes, or none where the world has nothing of the kind now; the rules say what becomes of them.
"""

from __future__ import annotations

from tests.simulation.heap import EventHeap
from tests.simulation.people import People, author_signers

from sento_client.testing.world import Numbers
from sento_proto.governance.state import AuthorKey, Governance
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.keys import CompanionSigner, Signer
from sento_proto.record import make_record
from sento_proto.submission import decode_submission, encode_submission, sign_submission, signed_bytes

NIGHT_SUBJECTS = 24


class StolenKeys:
    """Keys of institutions in wrong hands, in one world."""

    def __init__(self, heap: EventHeap, people: People) -> None:
        self._heap = heap
        self._people = people
        self._numbers = Numbers(heap.between(0, 1 << 40))

    def keys(self, governance: Governance, author: str) -> list[tuple[bytes, AuthorKey]]:
        """Keys of an author that have not ended."""
        known = governance.author_keys.items()
        return [(key_id, one) for key_id, one in known if one.author == author and one.ended_at is None]

    def header(self, governance: Governance, author: str, signer: Signer, **other: object) -> Header:
        """The header of a new record about somebody new, with `other` fields in place of what would be right."""
        registry = {"iizuka-hospital": "health", "kaga-clinic": "health"}.get(author, "residency")
        epochs = governance.registries[registry]
        header = Header(
            record_id=self._numbers.record_id(),
            author_key_id=signer.public_key.key_id,
            time_ms=self._numbers.next_time_ms(),
            key_epoch=epochs.key_epoch,
            payload_bytes=0,
            subject=self._numbers.take(32),
            fact=self._numbers.take(16),
            previous=ZERO32,
            group=ZERO16,
            dek_commit=ZERO32,
            registry=registry,
            compartment={"iizuka-hospital": "ward", "kaga-clinic": "clinic"}.get(author, ""),
            kind="theft",
            content=b"",
        )
        return header._replace(**other)  # type: ignore[arg-type]  # named by callers here

    def sign(self, header: Header, signer: Signer) -> bytes:
        """A submission of one record without payload."""
        return sign_submission(self._people.world.ledger_id, [make_record(header, b"")], signer)

    def plain(self, governance: Governance, author: str, signer: Signer, **other: object) -> bytes:
        """A submission of one such record."""
        return self.sign(self.header(governance, author, signer, **other), signer)

    def any_key(self, governance: Governance, author: str) -> Signer | None:
        """One of the keys of an author that have not ended; None where there is none."""
        keys = self.keys(governance, author)
        return author_signers(author)[self._heap.one_of(keys)[0]] if keys else None

    def _some_author(self) -> str:
        return self._heap.one_of(
            ["iizuka-city", "iizuka-hospital", "kaga-city", "soo-village", "kaga-clinic"]
        )

    def revoked_key(self, governance: Governance) -> list[bytes]:
        """A key that officers ended, and that goes on writing."""
        ended = [
            (key_id, one.author) for key_id, one in governance.author_keys.items() if one.ended_at is not None
        ]
        if not ended:
            return []
        key_id, author = self._heap.one_of(ended)
        return [self.plain(governance, author, author_signers(author)[key_id])]

    def _with_key(self, governance: Governance, author: str, **other: object) -> list[bytes]:
        signer = self.any_key(governance, author)
        return [] if signer is None else [self.plain(governance, author, signer, **other)]

    def closed_epoch(self, governance: Governance) -> list[bytes]:
        """Under a former key epoch, which may be closed, or under none."""
        return self._with_key(governance, self._some_author(), key_epoch=self._heap.one_of([0, 1, 1, 2]))

    def early_epoch(self, governance: Governance) -> list[bytes]:
        """Under a key epoch that nobody started."""
        return self._with_key(governance, self._some_author(), key_epoch=9)

    def night(self, governance: Governance) -> list[bytes]:
        """A valid account that rewrites everybody: what is above its budget is held."""
        signer = self.any_key(governance, "soo-village")
        if signer is None:
            return []
        return [self.plain(governance, "soo-village", signer) for _ in range(NIGHT_SUBJECTS)]

    def other_compartment(self, governance: Governance) -> list[bytes]:
        """One clinic's record among another's."""
        one, other = self._heap.one_of([("iizuka-hospital", "clinic"), ("kaga-clinic", "ward")])
        return self._with_key(governance, one, compartment=other)

    def _seals(
        self, governance: Governance, author: str, registry: str, compartment: str, ahead: int
    ) -> Header | None:
        signer = self.any_key(governance, author)
        if signer is None:
            return None
        key_epoch = governance.registries[registry].key_epoch + ahead
        seals = KekSeals(
            self._numbers.take(32),
            registry,
            compartment,
            key_epoch,
            self._heap.between(0, 999),
            (b"seal" * 9,),
        )
        at = self._numbers.next_time_ms()
        return kek_seals_header(self._numbers.record_id(), author, signer.public_key.key_id, at, seals)

    def _sealed(self, header: Header | None, author: str) -> list[bytes]:
        return [] if header is None else [self.sign(header, author_signers(author)[header.author_key_id])]

    def seals_malformed(self, governance: Governance) -> list[bytes]:
        """Seals that are not in their form, or not where their name says."""
        header = self._seals(governance, "kaga-city", "residency", "", 0)
        if header is None:
            return []
        bad = self._heap.one_of(
            [
                header._replace(content=header.content[:-1]),
                header._replace(content=header.content + b"?"),
                header._replace(kind="seals"),
                header._replace(fact=bytes(16)),
                header._replace(content=b""),
            ]
        )
        return self._sealed(bad, "kaga-city")

    def seals_of_another(self, governance: Governance) -> list[bytes]:
        """Seals of another author's key, signed with one's own."""
        header, mine = (
            self._seals(governance, "kaga-city", "residency", "", 0),
            self.any_key(governance, "soo-village"),
        )
        if header is None or mine is None:
            return []
        return [self.sign(header._replace(author_key_id=mine.public_key.key_id), mine)]

    def seals_elsewhere(self, governance: Governance) -> list[bytes]:
        """Seals for a compartment that the author may not write, or too many key epochs ahead."""
        registry, compartment, ahead = self._heap.one_of(
            [("health", "clinic", 0), ("residency", "", 2), ("residency", "", 1)]
        )
        return self._sealed(self._seals(governance, "kaga-city", registry, compartment, ahead), "kaga-city")

    def stripped(self, governance: Governance) -> list[bytes]:
        """A submission under a key with a companion, with the first signature alone; or under a plain key where both are asked for."""
        for key_id, known in governance.author_keys.items():
            signer = author_signers(known.author).get(key_id)
            if known.ended_at is not None or not isinstance(signer, CompanionSigner):
                continue
            return [self._first_signature(self.plain(governance, known.author, signer), signer)]
        for author, rights in sorted(governance.authors.items()):
            if rights.post_quantum:
                return self._with_key(governance, author)
        return []

    def _first_signature(self, data: bytes, signer: Signer) -> bytes:
        submission = decode_submission(data)
        count, key_id = len(submission.records), submission.author_key_id
        message = signed_bytes(submission.ledger_id, submission.root, count, key_id)
        return encode_submission(submission.ledger_id, key_id, submission.records, [signer.sign(message)])
