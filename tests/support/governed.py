"""Acts and announcements as a site would give them out, made with real keys over a world of `genesis_builder`: for tests of whoever follows governance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genesis_builder import OFFICERS, TestWorld
from sento_client.governing.following import Followed, follow
from sento_client.governing.proposal import act_content
from sento_client.verifying import Stored
from sento_proto.governance.acts import act_header
from sento_proto.governance.site_rules import SiteRules, site_rules_header, subject_of_site
from sento_proto.header import ZERO32
from sento_proto.keys import Signer
from sento_proto.record import Record, make_record
from sento_proto.record_object import SubmissionPath
from sento_proto.submission import act_signed_bytes, sign_as_officer, signed_bytes

Change = Mapping[str, object]


@dataclass(slots=True)
class Chancellery:
    """Makes one act after another. `previous`: record hash of the newest one."""

    world: TestWorld
    previous: bytes = ZERO32
    epoch: int = 0
    announced: dict[str, bytes] = field(default_factory=dict)

    def act(
        self, position: int, *changes: Change, officers: Sequence[str] = OFFICERS[:2], reason: str = "test"
    ) -> Stored:
        """An act that follows the newest one, signed by these officers."""
        header = act_header(
            self.world.numbers.record_id(),
            self.world.numbers.next_time_ms(),
            act_content(reason, changes),
            self.previous,
        )
        record = make_record(header, b"")
        self.previous = record.record_hash
        message = act_signed_bytes(self.world.ledger_id, self.epoch, record.record_hash)
        signed = sorted(sign_as_officer(self.world.officer_signers[name], message) for name in officers)
        path = SubmissionPath(bytes(16), 1, 0, (), (), tuple(signed), self.epoch)
        return _stored(position, record, path)

    def announcement(self, position: int, site: str, *rules: int, signer: Signer | None = None) -> Stored:
        """A site's word on which rules it knows."""
        signer = signer or self.world.site_signers[site]
        key_id = signer.public_key.key_id
        previous = self.announced.get(site, ZERO32)
        header = site_rules_header(
            self.world.numbers.record_id(),
            key_id,
            self.world.numbers.next_time_ms(),
            SiteRules(site, rules, "9.9"),
            previous,
        )
        record = make_record(header, b"")
        self.announced[site] = record.record_hash
        signature = signer.sign(signed_bytes(self.world.ledger_id, record.record_hash, 1, key_id))
        assert header.fact == subject_of_site(site)[:16]
        return _stored(position, record, SubmissionPath(key_id, 1, 0, (), (signature,)))


def followed(world: TestWorld, *given: Stored) -> Followed:
    """What a client has that was given these."""
    return follow(Followed.start(world.genesis), given, 0)


def _stored(position: int, record: Record, path: SubmissionPath) -> Stored:
    return Stored(
        position,
        record.header_bytes,
        record.payload,
        record.payload_hash,
        record.record_hash,
        b"",
        None,
        False,
        path,
    )
