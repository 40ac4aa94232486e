"""Three sites over one honest tree, of which any may be made to lie: the ground of the tests of head statements and proofs of fraud.

The third site has an ML-DSA-44 key beside its Ed25519 one. Records have no payload; what counts is who they are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sento_client.testing.world import Numbers, derived
from sento_proto.chain import link_over
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all, sign_note
from sento_proto.fraud import KnownSites, ProvenRecord
from sento_proto.governance.site_keys import ReceiptQuorum
from sento_proto.head_statement import NO_HEAD, Head, HeadStatement, sign_head
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.keys import Ed25519Signer
from sento_proto.merkle import inclusion_proof, root_of, subtree_reader
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING, make_record
from sento_proto.software_signers import MlDsa44Signer

LEDGER_ID = derived("a ledger with liars")
SITES = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
TIME_S = 1_767_225_600
SIGNERS = {
    "jp-fukuoka": SiteSigners(Ed25519Signer(derived("fukuoka"))),
    "jp-ishikawa": SiteSigners(Ed25519Signer(derived("ishikawa"))),
    "jp-ibaraki": SiteSigners(Ed25519Signer(derived("ibaraki")), MlDsa44Signer(derived("ibaraki, second"))),
}
KEYS = {site: signers.keys for site, signers in SIGNERS.items()}
KNOWN = KnownSites(LEDGER_ID, {site: (keys,) for site, keys in KEYS.items()}, (ReceiptQuorum(0, KEYS, 2),))


def subject(number: int) -> bytes:
    """A pseudonym."""
    return derived("subject", str(number))


@dataclass(slots=True)
class Tree:
    """Records in order, each (registry, number of its subject)."""

    about: Sequence[tuple[str, int]]
    records: list[ProvenRecord] = field(init=False)

    def __post_init__(self) -> None:
        numbers = Numbers(7)
        self.records = [
            ProvenRecord(position, _header_bytes(registry, number, numbers), PAYLOAD_HASH_OF_NOTHING)
            for position, (registry, number) in enumerate(self.about)
        ]

    def leaves(self, size: int) -> list[bytes]:
        """The first `size` leaves."""
        return [record.record_hash for record in self.records[:size]]

    def path(self, position: int, size: int) -> list[bytes]:
        """Inclusion in the tree of a size."""
        return inclusion_proof(subtree_reader(self.leaves(size)), position, size)

    def head(self, registry: str, number: int, size: int) -> Head:
        """The true head."""
        places = [at for at, about in enumerate(self.about[:size]) if about == (registry, number)]
        if not places:
            return NO_HEAD
        return Head(places[-1], link_over(self.records[at].record_hash for at in places))

    def statement(
        self, site: str, registry: str, number: int, size: int, head: Head | None = None
    ) -> HeadStatement:
        """The site's signed word; a true one unless another head is given."""
        said = self.head(registry, number, size) if head is None else head
        root = root_of(self.leaves(size))
        return sign_head(
            HeadStatement(LEDGER_ID, 1, size, root, registry, subject(number), said, site), SIGNERS[site]
        )

    def checkpoint(self, size: int, *sites: str, epoch: int = 1) -> Checkpoint:
        """The tree's checkpoint, cosigned by the sites; the first of them proposed it."""
        bare = Checkpoint(LEDGER_ID, epoch, size, root_of(self.leaves(size)))
        lines = [sign_note(bare, sites[0], SIGNERS[sites[0]].ed25519)]
        for site in sites:
            lines += cosign_all(bare, site, SIGNERS[site], TIME_S)
        return bare._replace(signatures=tuple(lines))


def _header_bytes(registry: str, number: int, numbers: Numbers) -> bytes:
    header = Header(
        record_id=numbers.record_id(),
        author_key_id=derived("author")[:16],
        time_ms=numbers.next_time_ms(),
        key_epoch=1,
        payload_bytes=0,
        subject=subject(number),
        fact=derived("fact", str(number))[:16],
        previous=ZERO32,
        group=ZERO16,
        dek_commit=ZERO32,
        registry=registry,
        compartment="",
        kind="note",
        content=b"",
    )
    return make_record(header, b"").header_bytes
