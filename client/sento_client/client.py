"""`SentoClient`: the registry as a ministry's program sees it.

    async with SentoClient.open("sento.toml") as sento:
        done = await sento.write(registry="residency", kind="residence/entry", subject=number, fact="address", content={"town": "..."})
        page = await sento.read(done.position, purpose="address proof", case_number="2026-118")

A write comes to an `Acknowledgement` or raises; a read comes to a verified `Version` or raises. Errors are SentoError with a stable code
(SetupError for what is wrong on this computer), and no call waits beyond its deadline. A deadline that is not given is the configuration's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from sento_client.asker import Asker, Terms
from sento_client.composing import Composer, Content, Draft, Ports
from sento_client.config import Limits
from sento_client.draft_writing import DraftWriter, epoch_to_write, key_terms
from sento_client.governing.follower import Follower
from sento_client.governing.following import Followed
from sento_client.grpc_transport import GrpcTransport
from sento_client.kek_keeping.keeper import Author, KekKeeper
from sento_client.named_reading import NamedReader
from sento_client.naming import Asked, LocalNaming, Named, Naming
from sento_client.opening import Installation, open_installation
from sento_client.outbox.keeper import Keeper
from sento_client.outbox.keeping import Counts
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import Belongs
from sento_client.proving import Prover
from sento_client.reading import Name, Part, Reader
from sento_client.remote_naming import RemoteNaming
from sento_client.results import (
    Acknowledgement,
    Freshness,
    HiddenTally,
    Outcome,
    RecordName,
    Version,
    WriteError,
    WriteResult,
)
from sento_client.setup_errors import Setup, SetupError
from sento_client.site_status import SiteReport
from sento_client.transport import STATUS, Transport
from sento_client.updating import Change, update
from sento_client.verifying import Finding, Findings
from sento_client.writing import Writer
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16
from sento_proto.record import Record
from sento_proto.submission import group_value
from sento_proto.v1 import admin_pb2

SENT_AT_ONCE = 2048
"""Records of one `write_many` under way at a time: some fifty submissions."""
_GOVERNED = frozenset({Code.NOT_PERMITTED, Code.KEY_EPOCH_CLOSED, Code.KEY_ENDED})
"""Outcomes after which the next record may have to be made otherwise."""
DRAIN_MS = 5_000
STATUS_TIMEOUT_MS = 3_000


class Verification(NamedTuple):
    """What was verified: the record if one was asked for, the checkpoint, and every finding."""

    version: Version | None
    checkpoint: Checkpoint
    findings: Findings


class SentoClient:
    """One institution's client. Use it with `async with`; one instance serves any number of concurrent callers."""

    def __init__(
        self,
        installation: Installation,
        *,
        transport: Callable[[Installation], Transport] | None = None,
        ports: Ports | None = None,
    ) -> None:
        self._installation = installation
        self._make_transport = transport or _over_grpc
        self._ports = ports or Ports()
        self._followed: Callable[[], Followed] = lambda: installation.followed
        self._composer: Composer | None = None
        if installation.signer is not None:
            institution, key = installation.config.institution, installation.signer.public_key
            self._composer = Composer(
                institution, key.key_id, installation.keyring, self._ports, self._key_epoch
            )
        self._drafts: DraftWriter | None = None
        self._writer: Writer | None = None
        self._keeper: Keeper | None = None
        self.names_are_asked = installation.config.pseudonym_service is not None
        """Whether names come from the pseudonym service, so that `compose` needs them first."""
        self._naming: Naming = LocalNaming(installation.keyring)

    @classmethod
    def open(cls, path: str | Path) -> SentoClient:
        """The client that the configuration file describes. Raises SetupError with every mistake in it."""
        return cls(open_installation(Path(path)))

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis file."""
        return self._installation.genesis

    @property
    def institution(self) -> str:
        """Whose client it is."""
        return self._installation.config.institution

    @property
    def limits(self) -> Limits:
        """What the configuration tunes."""
        return self._installation.config.limits

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the configured sites, in order."""
        return tuple(site.name for site in self._installation.config.sites)

    async def __aenter__(self) -> Self:
        self._transport = self._make_transport(self._installation)
        installation = self._installation
        self._follower = Follower(
            Asker(self._transport, self._ports), installation.followed, installation.trust_file
        )
        self._followed = lambda: self._follower.followed
        asker = Asker(self._transport, self._ports, news=self._follower.news)
        self._reader = Reader(asker, lambda: self._follower.trust, installation.keyring)
        self._prover = Prover(asker, lambda: self._follower.trust)
        self.keks = self._open_keks()
        self._reader.find_keks_by(self.keks.fetch)
        if self._composer is not None:
            self._drafts = DraftWriter(
                self._composer, self.keks, self._follower, self._send_within, self._ports
            )
        config = installation.config
        if installation.misfit is not None:
            try:
                await self._settle_misfit(installation.misfit)
            except BaseException:
                await self._transport.close()
                raise
        if config.pseudonym_service is not None:
            self._naming = RemoteNaming(config.pseudonym_service, config.tls, self._ports)
        self._by_name = NamedReader(self._reader, self._naming, self._ports)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                await self._writer.close(DRAIN_MS if error is None else 0)
        finally:
            self._writer = self._keeper = None
            if self._drafts is not None:
                await self._drafts.close()
            await self._naming.close()
            await self._transport.close()

    # Writing.

    def compose(self, draft: Draft, named: Named | None = None) -> Record:
        """A sealed record with an id, not sent yet: give it to `send`, as often as needed. Raises SentoError, SetupError.

        A client that asks the pseudonym service needs `named`, one of what `names` gives; without it that is SetupError NAMES_ARE_ASKED."""
        self._require_names(named)
        return self._compose().compose(draft, named)

    def compose_group(self, drafts: Sequence[Draft], named: Sequence[Named] | None = None) -> list[Record]:
        """Sealed records that stand or fall together. Raises as `compose`."""
        self._require_names(named)
        return self._compose().compose_group(drafts, named)

    async def compose_named(
        self, draft: Draft, named: Named | None = None, *, deadline_ms: int | None = None
    ) -> Record:
        """As `compose`, and what is missing is asked for: names of the pseudonym service, the key of the ledger. Raises as `names` and `prepare`."""
        if self.names_are_asked and named is None:
            (named,) = await self.names([draft], deadline_ms=deadline_ms)
        return await self._writing().compose(draft, named, self._deadline(deadline_ms))

    async def prepare(self, registry: str, compartment: str = "", *, deadline_ms: int | None = None) -> None:
        """Have this institution's key for the scope ready, made if there is none yet, so that `compose` need not wait. The other calls do so by themselves.

        Raises SentoError, SetupError."""
        await self._writing().keep_up(self._deadline(deadline_ms))
        await self.keks.prepare(registry, compartment, key_terms(self._deadline(deadline_ms)))

    async def names(self, drafts: Sequence[Draft], *, deadline_ms: int | None = None) -> list[Named]:
        """Person and fact of each draft as the ledger knows them, in order; from the pseudonym service one round trip for 500 of a registry.

        Raises SentoError when the service refuses or cannot be reached, SetupError NO_PSEUDONYM_KEY where keys are in a file."""
        return await self._naming.names([draft.asked for draft in drafts], None, self._deadline(deadline_ms))

    async def write(
        self,
        *,
        registry: str,
        kind: str,
        subject: str,
        fact: str,
        content: Content,
        previous: bytes | None = None,
        compartment: str = "",
        deadline_ms: int | None = None,
    ) -> Acknowledgement:
        """Write one version of one fact. `subject` (a person's identifier) and `fact` (the natural key) never leave this process.

        Raises WriteError (a SentoError): with `kept` the outbox goes on sending the record, so it is not to be written anew; else its `record` may be
        sent again with `send`. Raises SetupError when a key is missing."""
        draft = Draft(registry, kind, subject, fact, content, previous, compartment)
        named: Named | None = None
        if self.names_are_asked:
            (named,), deadline_ms = await self._names_and_rest([draft], deadline_ms)
        (result,) = await self._writing().write(
            [draft], None if named is None else [named], self._deadline(deadline_ms)
        )
        return _or_raise(result)

    async def update(
        self,
        *,
        registry: str,
        kind: str,
        subject: str,
        fact: str,
        change: Change,
        purpose: str,
        case_number: str,
        compartment: str = "",
        deadline_ms: int | None = None,
    ) -> Acknowledgement | None:
        """Read the standing version, give it to `change` (None where none stands), write what it returns; again when another program was faster.

        `change` may be called several times and returns the new content, or None to leave the fact as it is. Purpose and case number are those of the
        reading. Raises as `fact` and `write`; STALE only when others were faster until the deadline."""

        async def read(left_ms: int) -> Version:
            return await self.fact(
                registry=registry,
                kind=kind,
                subject=subject,
                fact=fact,
                purpose=purpose,
                case_number=case_number,
                deadline_ms=left_ms,
            )

        async def write(content: Content, previous: bytes | None, left_ms: int) -> Acknowledgement:
            draft = Draft(registry, kind, subject, fact, content, previous, compartment)
            named: Named | None = None
            if self.names_are_asked:
                (named,), left_ms = await self._names_and_rest([draft], left_ms)
            (result,) = await self._writing().write([draft], None if named is None else [named], left_ms)
            return _or_raise(result)

        return await update(read, write, change, self._ports, self._deadline(deadline_ms))

    async def write_many(
        self, drafts: Sequence[Draft], *, deadline_ms: int | None = None
    ) -> list[WriteResult]:
        """Write many versions; they are cut into submissions and stand or fall one by one. One result for each, in order.

        A long list is sealed and sent piece by piece, each piece with the whole deadline, so that memory stays bounded."""
        # All names come first: when the service cannot give them nothing is written, and nobody wonders how far it came.
        all_named = await self.names(drafts, deadline_ms=deadline_ms) if self.names_are_asked else None
        results: list[WriteResult] = []
        for start in range(0, len(drafts), SENT_AT_ONCE):
            piece = slice(start, start + SENT_AT_ONCE)
            named = None if all_named is None else all_named[piece]
            results += await self._writing().write(drafts[piece], named, self._deadline(deadline_ms))
        return results

    async def write_group(
        self, drafts: Sequence[Draft], *, deadline_ms: int | None = None
    ) -> list[Acknowledgement]:
        """Write versions of facts of one registry that stand all or none. Raises the WriteError of the member that was refused."""
        named: list[Named] | None = None
        if self.names_are_asked:
            named, deadline_ms = await self._names_and_rest(drafts, deadline_ms)
        results = await self._writing().write_group(drafts, named, self._deadline(deadline_ms))
        errors = [result for result in results if isinstance(result, WriteError)]
        own = [error for error in errors if error.code is not Code.GROUP_REFUSED]
        for error in own or errors:
            raise error
        return [_or_raise(result) for result in results]

    async def send(self, records: Sequence[Record], *, deadline_ms: int | None = None) -> list[WriteResult]:
        """Deliver composed records, new or sent before; the same record stands once. One result for each, in order.

        Members of a group must follow each other, whole. Raises SentoError BAD_REQUEST when they do not."""
        pieces = _pieces(records, self._signing_key_id())
        if not pieces:
            return []
        results = await self._running_writer().write(pieces, self._deadline(deadline_ms))
        if any(isinstance(result, WriteError) and result.code in _GOVERNED for result in results):
            await self._follower.news()
        return results

    def empty_outbox(self) -> Counts:
        """Begin to send what earlier programs left in the outbox, as the first write does; returns what is kept now. Raises SetupError."""
        self._running_writer()
        return self.outbox

    @property
    def outbox(self) -> Counts:
        """Submissions that this client keeps: those still to be sent, and those that stand and wait for a quorum's checkpoint."""
        return Counts() if self._keeper is None else self._keeper.counts

    async def outcomes(self, names: Sequence[RecordName], *, deadline_ms: int | None = None) -> list[Outcome]:
        """What became of records whose answers were lost, by (author, record id)."""
        return await self._reader.outcomes(names, self._deadline(deadline_ms))

    # Reading.

    async def read(
        self,
        name: Name,
        *,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> Version:
        """One record by position, record hash or RecordName, verified and opened. Purpose and case number are shown to the person concerned."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        return await self._reader.read(name, terms)

    async def fact(
        self,
        *,
        registry: str,
        kind: str,
        subject: str,
        fact: str,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        as_of_size: int | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> Version:
        """The standing version of a fact, or the one of a ledger of `as_of_size`. Raises SentoError NOT_FOUND."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        return await self._by_name.fact(Asked(registry, subject, kind, fact), terms, as_of_size)

    def history(
        self,
        *,
        registry: str,
        kind: str,
        subject: str,
        fact: str,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        as_of_size: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        hidden: HiddenTally | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> AsyncIterator[Version]:
        """Versions of a fact, newest first, each naming the next; fetched page by page as they are asked for.

        `before`: only those below this position, to go on where another list ended; `limit`: at most so many, and no more is asked of a site. `hidden`: counts
        entries in compartments that this institution may not see, which are never given out; they count towards `limit`."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        asked = Asked(registry, subject, kind, fact)
        return self._by_name.history(asked, terms, as_of_size, Part(before, limit, hidden))

    def subject_history(
        self,
        *,
        registry: str,
        subject: str,
        purpose: str,
        case_number: str,
        freshness: Freshness = Freshness.LINEARIZABLE,
        as_of_size: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        hidden: HiddenTally | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> AsyncIterator[Version]:
        """Records about a person in one registry, newest first; their links show that none is left out between them.

        `before`, `limit` and `hidden` as in `history`."""
        terms = self._terms(purpose, case_number, freshness, header_only, site, deadline_ms)
        return self._by_name.subject(registry, subject, terms, as_of_size, Part(before, limit, hidden))

    def changes(
        self,
        *,
        registry: str,
        from_position: int,
        purpose: str,
        case_number: str,
        follow: bool = False,
        limit: int | None = None,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> AsyncIterator[Version]:
        """Records of a registry in the ledger's order; with `follow` it goes on with what comes. The deadline is for each silence."""
        terms = self._terms(purpose, case_number, Freshness.LINEARIZABLE, header_only, site, deadline_ms)
        return self._reader.changes(registry, from_position, terms, follow=follow, limit=limit)

    # Proofs and state.

    async def checkpoint(self, at_least_size: int = 0, *, deadline_ms: int | None = None) -> Checkpoint:
        """The newest checkpoint of at least that size that a receipt-set quorum cosigned, verified."""
        return await self._prover.checkpoint(at_least_size, self._deadline(deadline_ms))

    async def verify_record(
        self,
        name: Name,
        *,
        purpose: str,
        case_number: str,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> Verification:
        """Read a record and prove that it stands under a quorum's checkpoint, fetched from another site than the record where there is one.

        Raises SentoError DAMAGED when no site gives an answer that verifies."""
        terms = self._terms(purpose, case_number, Freshness.LINEARIZABLE, header_only, site, deadline_ms)
        version = await self._reader.read(name, terms)
        timeout_ms = terms.timeout_ms
        checkpoint = await self._prover.checkpoint(version.position + 1, timeout_ms, version.as_of.site)
        inclusion = await self._prover.prove_inclusion(version.stored, checkpoint, timeout_ms)
        quorum = self._prover.checked(checkpoint)
        return Verification(version, checkpoint, Findings([*version.findings, quorum, inclusion]))

    async def verify_checkpoint(
        self, seen_before: Checkpoint | None = None, *, deadline_ms: int | None = None
    ) -> Verification:
        """Verify the newest checkpoint and, with one seen before, that nothing before it was changed.

        A finding that fails is returned, because it is evidence; SentoError is for sites that could not answer."""
        timeout_ms = self._deadline(deadline_ms)
        checkpoint = await self._prover.checkpoint(0, timeout_ms)
        findings: list[Finding] = [self._prover.checked(checkpoint)]
        if seen_before is not None:
            findings.append(await self._prover.prove_consistency(seen_before, checkpoint, timeout_ms))
        return Verification(None, checkpoint, Findings(findings))

    async def status(self, *, timeout_ms: int = STATUS_TIMEOUT_MS) -> list[SiteReport]:
        """What every configured site says of itself, or why it does not; never raises for a site."""

        async def ask(site: str) -> SiteReport:
            asked_ms = self._ports.steady_ms()
            try:
                status = await self._transport.call(site, STATUS, admin_pb2.StatusRequest(), timeout_ms)
            except SentoError as error:
                words = error.detail.removeprefix(site).removeprefix(": ")
                trouble = f"{error.code.name} ({words})" if words else error.code.name
                return SiteReport(site, None, trouble, error.code, self._ports.steady_ms() - asked_ms)
            return SiteReport(site, status, "", took_ms=self._ports.steady_ms() - asked_ms)

        return list(await asyncio.gather(*map(ask, self.sites)))

    async def governance(
        self, *, freshness: Freshness = Freshness.LINEARIZABLE, deadline_ms: int | None = None
    ) -> Governance:
        """Who may do what now, every act verified: from the genesis file to the newest that the sites know. Raises SentoError, SetupError RULES_UNKNOWN."""
        followed = await self._follower.refresh(self._deadline(deadline_ms), freshness=freshness)
        return followed.governance

    @property
    def followed(self) -> Followed:
        """Governance as far as this client has followed it, with the acts; `governance` follows on."""
        return self._follower.followed

    # How it is done.

    async def _settle_misfit(self, misfit: SetupError) -> None:
        """Raises the SetupError unless an act that was not followed yet made the installation fit."""
        try:
            followed = await self._follower.refresh(self._deadline(None))
        except SentoError as error:
            why = f"no site could be asked whether an act changed that since: {error.code.name}"
            raise SetupError(misfit.code, *misfit.details, why) from None
        self._installation.check(followed.governance)

    def _running_writer(self) -> Writer:
        """The writer, started at the first write: a client that only reads opens no write streams."""
        if self._writer is None:
            signer = self._installation.signer
            if signer is None:
                raise SetupError(Setup.CANNOT_SIGN)
            limits = self._installation.config.limits
            self._keeper = self._open_outbox()
            self._writer = Writer(
                self._transport, self.genesis.ledger_id, signer, limits, self._ports, keeper=self._keeper
            )
            self._writer.start()
        return self._writer

    def _open_outbox(self) -> Keeper | None:
        place = self._installation.config.outbox
        if place is None:
            return None
        belongs = Belongs(self.genesis.ledger_id, self._installation.config.institution)
        outbox = Outbox.open(place.directory, belongs, place.max_bytes, self._ports.wall_ms)
        return Keeper(outbox, self._prover, self._ports)

    def _open_keks(self) -> KekKeeper:
        installation, author = self._installation, None
        if installation.signer is not None:
            author = Author(installation.config.institution, self._signing_key_id(), self._send_within)
        return KekKeeper(
            self.genesis.ledger_id,
            installation.keyring,
            self._reader,
            lambda: self._followed().governance,
            self._ports,
            author,
        )

    async def _send_within(self, records: Sequence[Record], timeout_ms: int) -> list[WriteResult]:
        return await self.send(records, deadline_ms=timeout_ms)

    def _writing(self) -> DraftWriter:
        if self._drafts is None:
            raise SetupError(Setup.CANNOT_SIGN)
        return self._drafts

    def _key_epoch(self, registry: str) -> int | None:
        return epoch_to_write(self._followed().governance, registry)

    def _compose(self) -> Composer:
        if self._composer is None:
            raise SetupError(Setup.CANNOT_SIGN)
        return self._composer

    def _require_names(self, named: object) -> None:
        if self.names_are_asked and named is None:
            raise SetupError(Setup.NAMES_ARE_ASKED)

    async def _names_and_rest(
        self, drafts: Sequence[Draft], deadline_ms: int | None
    ) -> tuple[list[Named], int]:
        """The names, and what asking for them left of the deadline."""
        all_ms, began_ms = self._deadline(deadline_ms), self._ports.steady_ms()
        named = await self.names(drafts, deadline_ms=all_ms)
        return named, max(1, all_ms - (self._ports.steady_ms() - began_ms))

    def _signing_key_id(self) -> bytes:
        if self._installation.signer is None:
            raise SetupError(Setup.CANNOT_SIGN)
        return self._installation.signer.public_key.key_id

    def _deadline(self, deadline_ms: int | None) -> int:
        return self._installation.config.limits.deadline_ms if deadline_ms is None else deadline_ms

    def _terms(
        self,
        purpose: str,
        case_number: str,
        freshness: Freshness,
        header_only: bool,
        site: str | None,
        deadline_ms: int | None,
    ) -> Terms:
        if not purpose.strip() or not case_number.strip():
            raise SentoError(Code.PURPOSE_MISSING)
        return Terms(purpose, case_number, freshness, header_only, self._deadline(deadline_ms), site)


def _over_grpc(installation: Installation) -> Transport:
    return GrpcTransport(installation.config.sites, installation.config.tls)


def _or_raise(result: WriteResult) -> Acknowledgement:
    if isinstance(result, WriteError):
        raise result
    return result


def _pieces(records: Sequence[Record], author_key_id: bytes) -> list[list[Record]]:
    """Records cut into what may not be divided: each alone, or a whole group. Raises SentoError BAD_REQUEST."""
    pieces: list[list[Record]] = []
    for record in records:
        header = record.header
        if header.author_key_id != author_key_id:
            raise SentoError(Code.BAD_REQUEST, "a record was composed under another signing key")
        joins = header.group != ZERO16 and bool(pieces) and pieces[-1][-1].header.group == header.group
        if joins:
            pieces[-1].append(record)
        else:
            pieces.append([record])
    for piece in pieces:
        first = piece[0].header
        if first.group == ZERO16:
            continue
        if any(record.header.registry != first.registry for record in piece):
            raise SentoError(Code.BAD_REQUEST, "a group has records of more than one registry")
        if group_value([record.header.record_id for record in piece]) != first.group:
            raise SentoError(Code.BAD_REQUEST, "a group is not whole, or not in its order")
    return pieces
