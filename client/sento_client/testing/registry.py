"""`Registry`: a whole registry in memory for the tests of a program that writes or reads records.

    registry = Registry()
    async with registry.client() as sento:
        await program(sento)
    assert [record.content for record in registry.records()] == [...]

All is real but network and disk: keys, sealing, signatures, pseudonyms, proofs, checkpoints, codes. What goes wrong is switched on at one site
(`registry.site("site-1").down = True`) or everywhere (`registry.everywhere.answers_to_lose = 1`); `Faults` has the list.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sento_client.client import SentoClient
from sento_client.composing import Composer, Draft, Ports
from sento_client.config import Limits
from sento_client.keyring import Keyring
from sento_client.opening import Installation
from sento_client.recovery.standing import KekScope
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing.faults import Faults
from sento_client.testing.institutions import Institution, KeyCabinet, install
from sento_client.testing.ledger import EPOCH, Placed
from sento_client.testing.ledger_keys import LedgerKeys
from sento_client.testing.served import ServedLedger
from sento_client.testing.sites import Site, sites_over
from sento_client.testing.transport import MemoryTransport
from sento_client.testing.world import Numbers, build_world, seal_secret
from sento_proto.errors import TABLE, Code, SentoError, Standing
from sento_proto.genesis import Genesis
from sento_proto.governance.acts import FORMAT as ACT_FORMAT
from sento_proto.governance.acts import act_header
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.kek_seal import xwing_public
from sento_proto.record import make_record
from sento_proto.sealing import open_payload
from sento_proto.submission import decode_submission, sign_act, sign_submission
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

NAME = "sento-testing"
SITES = ("site-1", "site-2", "site-3")
OFFICERS = ("officer-1", "officer-2", "officer-3")
MINISTRY = Institution("test-ministry", writes=("residency", "tax", "health"))
"""The one institution of a registry that names none."""


@dataclass(frozen=True, slots=True)
class StandingRecord:
    """A record that stands, opened: the test holds all keys. `previous` is in `header`, zeros for a first version."""

    position: int
    author: str
    header: Header
    record_hash: bytes
    content: bytes


class Registry:
    """One ledger, its sites, and the institutions that use it; the first institution is the one meant where none is named.

    With `seed` everything is the same in every run: keys, times, record ids, and so the ledger's bytes. `ports` are the clients' clock and chance,
    where a test must move them itself; `limits` are their deadlines. Nothing has to be closed but the clients.

    Under rules 1 nothing changes who may do what, and keys are simply there. With `rules` 2 or 3 three officers govern (`act`), and keys stand in the
    ledger, made by the clients that write. An institution that may do nothing yet has its keys already, so that an act can enrol it.

    `abroad`: embassies, which keep the ledger and cosign without a vote while they are up; their country is what stands before the first hyphen of their names,
    as `lu-betzdorf`."""

    def __init__(
        self,
        institutions: Sequence[Institution] = (MINISTRY,),
        *,
        sites: Sequence[str] = SITES,
        abroad: Sequence[str] = (),
        seed: int | None = None,
        ports: Ports | None = None,
        limits: Limits | None = None,
        rules: int = 1,
    ) -> None:
        numbers = None if seed is None else Numbers(seed)
        key_name = secrets.token_hex(16) if seed is None else f"seed {seed}"
        seeded = Ports() if numbers is None else seeded_ports(numbers)
        self.ports = ports or seeded
        self._limits = limits or Limits()
        self._first = institutions[0].name
        authors = {one.name: one.write_scopes for one in institutions if one.writes}
        readers = {one.name: one.read_scopes for one in institutions if one.reads}
        named = [registry for scopes in (*authors.values(), *readers.values()) for registry, _ in scopes]
        self._world = build_world(
            NAME,
            sites=sites,
            embassies=abroad,
            authors=authors,
            readers=readers,
            registries=list(dict.fromkeys(("governance", "keys", *named))),
            budgets={one.name: (one.budget.records, one.budget.subjects) for one in institutions},
            key_name=key_name,
            officers=OFFICERS if rules > 1 else (),
            rules=rules,
        )
        secrets_of = {one.name: seal_secret(key_name, one.name) for one in institutions}
        self._world = replace(self._world, seal_secrets=secrets_of)
        self._cabinet = KeyCabinet(self._world, institutions, key_name)
        # A ledger that asked the seeded clock would move it: the next record's time would depend on how often somebody read.
        wall_ms = self.ports.wall_ms if numbers is None or ports is not None else lambda: numbers.time_ms
        self._ledger = ServedLedger(self._world, wall_ms=wall_ms)
        self._keys = LedgerKeys(self._world, self._ledger, key_name) if rules > 1 else None
        self.everywhere = Faults()
        self.sites = sites_over(self._ledger, self.everywhere)

    # Clients.

    def client(self, institution: str | None = None, *, outbox: Path | None = None) -> SentoClient:
        """A client of an institution, to be used with `async with`; there may be many. `outbox`: a directory for what it must not lose;
        receipts are kept beside it, in `receipts`.

        Raises SetupError NOT_ENROLLED."""
        installation = self.installation(institution, outbox=outbox)
        return SentoClient(installation, transport=self.transport, ports=self.ports)

    def installation(self, institution: str | None = None, *, outbox: Path | None = None) -> Installation:
        """What an institution's configuration and key files would hold. Raises SetupError NOT_ENROLLED."""
        installation = install(self._cabinet, institution or self._first, self._limits, outbox)
        if self._keys is None:
            return installation
        return replace(installation, keyring=self._cabinet.keyring_without_keks(institution or self._first))

    def transport(self, installation: Installation) -> MemoryTransport:
        """The way from an institution to the sites: for a client that is put together by hand."""
        return MemoryTransport(self.sites, installation.config.institution)

    # Officers.

    @property
    def governance(self) -> Governance:
        """Who may do what now."""
        return self._ledger.governance

    def seal_public(self, institution: str) -> bytes:
        """The key that KEKs are sealed to for an institution: what an act that enrols it names."""
        return xwing_public(self._world.seal_secrets[institution])

    def act(self, *changes: Mapping[str, object], reason: str = "A test.") -> int:
        """Have the officers in the genesis file sign an act of these changes, after the newest one; its position. Raises SentoError with its refusal."""
        value = {"format": ACT_FORMAT, "reason": reason, "changes": list(changes)}
        with self._ledger.lock:
            record_id = uuid7(self.ports.wall_ms(), self.ports.random_bytes(RANDOM_BYTES))
            header = act_header(
                record_id, self._ledger.wall_ms(), json.dumps(value).encode(), self.governance.last_act
            )
            signers = list(self._world.officer_signers.values())
            data = sign_act(self._world.ledger_id, EPOCH, make_record(header, b""), signers)
            reply = self._ledger.take(data)
            _raise_refusal(reply)
            return reply.outcomes[0].position

    # Faults.

    def site(self, name: str) -> Site:
        """The site of that name. Raises KeyError."""
        return {site.name: site for site in self.sites}[name]

    @property
    def cosigned_size(self) -> int | None:
        """How far the sites have cosigned; None: everything, at once. Set it to hold checkpoints back, as slow sites do."""
        return self._ledger.cosigned_size

    @cosigned_size.setter
    def cosigned_size(self, size: int | None) -> None:
        self._ledger.cosigned_size = size

    def overtake(self, draft: Draft, *, institution: str | None = None, times: int = 1) -> None:
        """Another writer gets in between: `draft` is put before each of the next `times` submissions that touch the same fact.

        What the program read a moment ago is then no longer the newest version, and its own is refused as STALE. `previous` of the draft is ignored."""
        left = times
        keyring = self.installation(institution).keyring
        subject = keyring.subject(draft.registry, draft.subject)
        wanted = (draft.registry, keyring.fact(draft.registry, subject, draft.kind, draft.fact))

        def get_in_between(data: bytes) -> None:
            nonlocal left
            if left and wanted in _new_facts(self._ledger, data):
                left -= 1
                self.put(draft, institution=institution)
            if not left and get_in_between in self.everywhere.before_submission:
                self.everywhere.before_submission.remove(get_in_between)

        self.everywhere.before_submission.append(get_in_between)

    # The ledger, without a client.

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis file."""
        return self._world.genesis

    @property
    def size(self) -> int:
        """How many records stand."""
        with self._ledger.lock:
            return self._ledger.size

    @property
    def root(self) -> bytes:
        """The ledger's root: equal for two registries that hold the same records in the same order."""
        with self._ledger.lock:
            return self._ledger.root

    def records(self, registry: str | None = None, subject: str | None = None) -> list[StandingRecord]:
        """What stands, in order of position and opened: all, or of one registry, or about one person in it."""
        with self._ledger.lock:
            placed = list(self._ledger.records)
        if subject is not None:
            if registry is None:
                raise ValueError("a person has another pseudonym in each registry: name the registry, too")
            pseudonym = self._cabinet.pseudonym(registry, subject)
            placed = [one for one in placed if one.record.header.subject == pseudonym]
        return [self._kept(one) for one in placed if registry in (None, one.record.header.registry)]

    def put(self, draft: Draft, *, institution: str | None = None) -> StandingRecord:
        """Write a version of a fact straight into the ledger, after the one that stands: what a test finds there at its beginning.

        Raises SentoError with the code of the refusal, SetupError for an institution that only reads."""
        installation = self.installation(institution)
        signer, author = installation.signer, installation.config.institution
        if signer is None:
            raise SetupError(Setup.CANNOT_SIGN)
        with self._ledger.lock:
            composer = self._composer(author, signer.public_key.key_id, installation.keyring, draft)
            record = composer.compose(draft._replace(previous=self._head(installation, draft)))
            reply = self._ledger.take(sign_submission(self._ledger.genesis.ledger_id, [record], signer))
            _raise_refusal(reply)
            return self._kept(self._ledger.records[reply.outcomes[0].position])

    def _composer(self, author: str, key_id: bytes, keyring: Keyring, draft: Draft) -> Composer:
        if self._keys is None:
            return Composer(author, key_id, keyring, self.ports)
        scope, kek = self._keys.kek_to_write(
            author, draft.registry, draft.compartment, self._ledger.wall_ms()
        )
        keyring.put(*scope, kek)
        return Composer(author, key_id, keyring, self.ports, lambda registry: scope.key_epoch)

    def _head(self, installation: Installation, draft: Draft) -> bytes | None:
        keyring = installation.keyring
        subject = keyring.subject(draft.registry, draft.subject)
        fact = keyring.fact(draft.registry, subject, draft.kind, draft.fact)
        versions = self._ledger.versions_of_fact(draft.registry, fact)
        return self._ledger.records[versions[-1]].record.record_hash if versions else None

    def _kept(self, placed: Placed) -> StandingRecord:
        record, header = placed.record, placed.record.header
        if self._keys is None or not header.payload_bytes:
            content = self._cabinet.open(placed.author, record)
        else:
            kek = self._keys.kek(
                KekScope(placed.author, header.registry, header.compartment, header.key_epoch)
            )
            content = open_payload(record.header_bytes, header, record.payload, kek=kek)
        return StandingRecord(placed.position, placed.author, record.header, record.record_hash, content)


def seeded_ports(numbers: Numbers) -> Ports:
    """Clock and chance that are the same in every run; deadlines are still measured by this computer's clock."""
    return Ports(wall_ms=numbers.next_time_ms, random_bytes=numbers.take, jitter=numbers.fraction)


def _new_facts(ledger: ServedLedger, data: bytes) -> set[tuple[str, bytes]]:
    """(registry, fact) of the records in a submission that do not stand yet."""
    try:
        records = decode_submission(data).records
    except Malformed:
        return set()
    fresh = [record for record in records if ledger.position_of_hash(record.record_hash) is None]
    return {(record.header.registry, record.header.fact) for record in fresh}


def _raise_refusal(reply: client_pb2.WriteReply) -> None:
    code = Code(reply.error.code) if reply.HasField("error") else Code(reply.outcomes[0].code)
    if TABLE[code].standing is not Standing.STANDS:
        raise SentoError(code, reply.error.detail)
