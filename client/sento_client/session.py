"""One client from opening to closing: what it is made of, and when its writer, its outbox and its follower of governance start and end.

The faces (`writing_face`, `reading_face`, `proving_face`) are what a program calls; they stand on this and keep nothing of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sento_client.asker import Asker, Terms
from sento_client.batching import pieces_of
from sento_client.composing import Composer, Ports
from sento_client.config import Limits
from sento_client.confirming.confirmed_reading import ConfirmedReader
from sento_client.confirming.confirmer import Confirmer
from sento_client.draft_writing import DraftWriter, epoch_to_write
from sento_client.governing.follower import Follower
from sento_client.governing.following import Followed
from sento_client.grpc_transport import GrpcTransport
from sento_client.kek_keeping.keeper import Author, KekKeeper
from sento_client.key_agent.asking import KeyAgents
from sento_client.named_reading import NamedReader
from sento_client.naming import LocalNaming, Naming
from sento_client.opening import Installation, open_installation
from sento_client.outbox.holding import Settings as HoldingSettings
from sento_client.outbox.keeper import Keeper
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import Belongs
from sento_client.proving import Prover
from sento_client.reading import Reader
from sento_client.receipts.archive import Archive
from sento_client.receipts.watch import CheckpointWatch
from sento_client.remote_naming import RemoteNaming
from sento_client.results import Freshness, WriteError, WriteResult
from sento_client.setup_errors import Setup, SetupError
from sento_client.transport import Transport
from sento_client.writing import Writer
from sento_proto.errors import Code, SentoError
from sento_proto.fraud import Fraud
from sento_proto.genesis import Genesis
from sento_proto.record import Record

_GOVERNED = frozenset({Code.NOT_PERMITTED, Code.KEY_EPOCH_CLOSED, Code.KEY_ENDED})
"""Outcomes after which the next record may have to be made otherwise."""
DRAIN_MS = 5_000


class Session:
    """What the faces share. Use it with `async with`; one instance serves any number of concurrent callers."""

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
        self._archive = _open_archive(installation)
        self.names_are_asked = installation.config.pseudonym_service is not None
        """Whether names come from the pseudonym service, so that `compose` needs them first."""
        self._naming: Naming = LocalNaming(installation.keyring)

    @classmethod
    def open(cls, path: str | Path) -> Self:
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
        try:
            self._watch = self._open_watch()
        except BaseException:
            await self._transport.close()
            raise
        self._follower = Follower(
            Asker(self._transport, self._ports),
            installation.followed,
            installation.trust_file,
            self._watch,
        )
        self._followed = lambda: self._follower.followed
        asker = Asker(self._transport, self._ports, news=self._follower.news)
        self._reader = Reader(
            asker, lambda: self._follower.trust, installation.keyring, self._follower.keep_up
        )
        self._prover = Prover(asker, lambda: self._follower.trust, self._watch)
        self.keks = self._open_keks()
        self._reader.opener.find_keks_by(self.keks.fetch)
        self._key_agents = self._open_key_agents()
        if self._composer is not None:
            self._drafts = DraftWriter(self._composer, self.keks, self._follower, self._deliver, self._ports)
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
        confirmer = Confirmer(self._transport, asker, self._prover, lambda: self._follower.trust, self._watch)
        self._confirmed = ConfirmedReader(confirmer, self._reader, self._naming, self._ports)
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
            if self._archive is not None:
                await self._archive.close()
            await self._naming.close()
            if self._key_agents is not None:
                await self._key_agents.close()
            await self._transport.close()

    async def _settle_misfit(self, misfit: SetupError) -> None:
        """Raises the SetupError unless an act that was not followed yet made the installation fit."""
        try:
            followed = await self._follower.refresh(self._deadline(None))
        except SentoError as error:
            why = f"no site could be asked whether an act changed that since: {error.code.name}"
            raise SetupError(misfit.code, *misfit.details, why) from None
        self._installation.check(followed.governance)

    async def _deliver(
        self, records: Sequence[Record], timeout_ms: int, *, abroad: bool = False
    ) -> list[WriteResult]:
        """As `send`; the deadline is given. With `abroad` the outbox keeps them until a site abroad has cosigned; nothing waits for that here."""
        pieces = pieces_of(records, self._signing_key_id())
        if not pieces:
            return []
        results = await self._running_writer().write(pieces, timeout_ms, abroad=abroad)
        if any(isinstance(result, WriteError) and result.code in _GOVERNED for result in results):
            await self._follower.news()
        return results

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
        outbox = Outbox.open(place.directory, belongs, place.max_bytes, self._ports.wall_ms, place.hold_bytes)
        return Keeper(
            outbox,
            self._prover,
            self._ports,
            archive=self._archive,
            governance=lambda: self._followed().governance,
            holding=HoldingSettings(bytes_most=place.hold_bytes),
            follow=self._follower.news,
        )

    def _open_watch(self) -> CheckpointWatch:
        archive = self._archive
        if archive is None:
            return CheckpointWatch(lambda: self._followed().trust, _nowhere)
        seen, known = archive.seen(), archive.frauds()
        return CheckpointWatch(lambda: self._followed().trust, archive.keep_fraud, seen, known)

    def _open_keks(self) -> KekKeeper:
        installation, author = self._installation, None
        if installation.signer is not None:
            author = Author(installation.config.institution, self._signing_key_id(), self._deliver)
        return KekKeeper(
            self.genesis.ledger_id,
            installation.keyring,
            self._reader,
            lambda: self._followed().governance,
            self._ports,
            author,
        )

    def _open_key_agents(self) -> KeyAgents | None:
        installation = self._installation
        if not installation.config.key_agents:
            return None
        agents = KeyAgents(
            {agent.name: agent for agent in installation.config.key_agents},
            installation.config.tls,
            self._prover,
            self.genesis.ledger_id,
            installation.keyring.opener,
            self._ports,
        )
        self._reader.opener.ask_agents(agents, self._follower.news)
        return agents

    def _key_epoch(self, registry: str) -> int | None:
        return epoch_to_write(self._followed().governance, registry)

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


def _open_archive(installation: Installation) -> Archive | None:
    config = installation.config
    if config.receipts is None:
        return None
    return Archive(config.receipts, Belongs(installation.genesis.ledger_id, config.institution))


def _nowhere(_fraud: Fraud, _data: bytes) -> str:
    return "not written anywhere: this client has no directory for receipts"


def _over_grpc(installation: Installation) -> Transport:
    return GrpcTransport(installation.config.sites, installation.config.tls)
