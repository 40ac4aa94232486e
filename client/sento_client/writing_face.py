"""Writing, as a program calls it: from a draft to an acknowledgement or an error, one by one, many, or all or none."""

from __future__ import annotations

from collections.abc import Sequence

from sento_client.composing import Composer, Content, Draft
from sento_client.draft_writing import DraftWriter, key_terms
from sento_client.naming import Named
from sento_client.outbox.keeping import Counts
from sento_client.proving_abroad import prove_abroad
from sento_client.reading_face import ReadingFace
from sento_client.results import (
    ABROAD_PENDING,
    Acknowledgement,
    Durability,
    Outcome,
    RecordName,
    Version,
    WriteError,
    WriteResult,
)
from sento_client.setup_errors import Setup, SetupError
from sento_client.updating import Change, update
from sento_proto.errors import Code, SentoError
from sento_proto.governance.placing import sites_abroad
from sento_proto.record import Record

SENT_AT_ONCE = 2048
"""Records of one `write_many` under way at a time: some fifty submissions."""


class WritingFace(ReadingFace):
    """The calls that write, on those that read: `update` does both."""

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
        durability: Durability = Durability.HOME,
    ) -> Acknowledgement:
        """Write one version of one fact. `subject` (a person's identifier) and `fact` (the natural key) never leave this process.

        With `Durability.ABROAD` the answer has a second fact, `abroad`, for which it waits within the deadline; pending then is no failure, and the outbox
        keeps the record open until a site abroad has cosigned a checkpoint over it.

        Raises WriteError (a SentoError): with `kept` the outbox goes on sending the record, so it is not to be written anew; else its `record` may be
        sent again with `send`. Raises SetupError when a key is missing."""
        draft = Draft(registry, kind, subject, fact, content, previous, compartment)
        return await self._write_one(draft, self._deadline(deadline_ms), durability)

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
        durability: Durability = Durability.HOME,
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
            return await self._write_one(draft, left_ms, durability)

        return await update(read, write, change, self._ports, self._deadline(deadline_ms))

    async def write_many(
        self,
        drafts: Sequence[Draft],
        *,
        deadline_ms: int | None = None,
        durability: Durability = Durability.HOME,
    ) -> list[WriteResult]:
        """Write many versions; they are cut into submissions and stand or fall one by one. One result for each, in order.

        A long list is sealed and sent piece by piece, each piece with the whole deadline, so that memory stays bounded. A site abroad is waited for once,
        behind the last piece, with a deadline of its own."""
        abroad = await self._wants_abroad(durability, deadline_ms)
        # All names come first: when the service cannot give them nothing is written, and nobody wonders how far it came.
        all_named = await self.names(drafts, deadline_ms=deadline_ms) if self.names_are_asked else None
        results: list[WriteResult] = []
        for start in range(0, len(drafts), SENT_AT_ONCE):
            piece = slice(start, start + SENT_AT_ONCE)
            named = None if all_named is None else all_named[piece]
            results += await self._writing().write(
                drafts[piece], named, self._deadline(deadline_ms), abroad=abroad
            )
        return await self._seen_abroad(results, self._deadline(deadline_ms)) if abroad else results

    async def write_group(
        self,
        drafts: Sequence[Draft],
        *,
        deadline_ms: int | None = None,
        durability: Durability = Durability.HOME,
    ) -> list[Acknowledgement]:
        """Write versions of facts of one registry that stand all or none. Raises the WriteError of the member that was refused."""
        abroad = await self._wants_abroad(durability, deadline_ms)
        end_ms = self._ports.steady_ms() + self._deadline(deadline_ms)
        named: list[Named] | None = None
        if self.names_are_asked:
            named, deadline_ms = await self._names_and_rest(drafts, deadline_ms)
        results = await self._writing().write_group(drafts, named, self._deadline(deadline_ms), abroad=abroad)
        errors = [result for result in results if isinstance(result, WriteError)]
        own = [error for error in errors if error.code is not Code.GROUP_REFUSED]
        for error in own or errors:
            raise error
        if abroad:
            results = await self._seen_abroad(results, end_ms - self._ports.steady_ms())
        return [_or_raise(result) for result in results]

    async def send(
        self,
        records: Sequence[Record],
        *,
        deadline_ms: int | None = None,
        durability: Durability = Durability.HOME,
        wait_abroad: bool = True,
    ) -> list[WriteResult]:
        """Deliver composed records, new or sent before; the same record stands once. One result for each, in order.

        Members of a group must follow each other, whole. Without `wait_abroad` the second fact of ABROAD is pending at first: `see_abroad` asks for it.
        Raises SentoError BAD_REQUEST when a group is not whole."""
        abroad = await self._wants_abroad(durability, deadline_ms)
        end_ms = self._ports.steady_ms() + self._deadline(deadline_ms)
        results = await self._deliver(records, self._deadline(deadline_ms), abroad=abroad)
        left_ms = end_ms - self._ports.steady_ms() if wait_abroad else 1
        return await self._seen_abroad(results, left_ms) if abroad else results

    async def see_abroad(
        self, results: Sequence[WriteResult], *, deadline_ms: int | None = None
    ) -> list[WriteResult]:
        """The same results, with what is known within the deadline of those acknowledged: whether a site abroad has cosigned a checkpoint over them."""
        return await self._seen_abroad(results, self._deadline(deadline_ms))

    def empty_outbox(self) -> Counts:
        """Begin to send what earlier programs left in the outbox, as the first write does; returns what is kept now. Raises SetupError."""
        self._running_writer()
        return self.outbox

    @property
    def outbox(self) -> Counts:
        """Submissions that this client keeps: those still to be sent, those that stand and wait for a quorum's checkpoint, and those for one from abroad."""
        return Counts() if self._keeper is None else self._keeper.counts

    async def outcomes(self, names: Sequence[RecordName], *, deadline_ms: int | None = None) -> list[Outcome]:
        """What became of records whose answers were lost, by (author, record id)."""
        return await self._reader.outcomes(names, self._deadline(deadline_ms))

    async def _write_one(self, draft: Draft, timeout_ms: int, durability: Durability) -> Acknowledgement:
        abroad = await self._wants_abroad(durability, timeout_ms)
        end_ms = self._ports.steady_ms() + timeout_ms
        named: list[Named] | None = None
        if self.names_are_asked:
            named, timeout_ms = await self._names_and_rest([draft], timeout_ms)
        results = await self._writing().write([draft], named, timeout_ms, abroad=abroad)
        if abroad:
            results = await self._seen_abroad(results, end_ms - self._ports.steady_ms())
        return _or_raise(results[0])

    async def _wants_abroad(self, durability: Durability, deadline_ms: int | None) -> bool:
        """Raises SentoError BAD_REQUEST, before anything is written, where the ledger has no site abroad that could ever cosign."""
        if durability is Durability.HOME:
            return False
        governance = self._followed().governance
        if not sites_abroad(governance):
            # An act that enrolled one may not be known here yet.
            governance = (await self._follower.refresh(self._deadline(deadline_ms))).governance
        if not sites_abroad(governance):
            raise SentoError(Code.BAD_REQUEST, "no site of this ledger stands abroad; nothing was written")
        return True

    async def _seen_abroad(self, results: Sequence[WriteResult], timeout_ms: int) -> list[WriteResult]:
        stands = [one for one in results if isinstance(one, Acknowledgement)]
        if self._keeper is not None:
            found = await self._keeper.abroad.of([one.record_hash for one in stands], max(1, timeout_ms))
        else:
            found = await prove_abroad(self._prover, stands, max(1, timeout_ms), self._ports)
        return [
            one._replace(abroad=found.get(one.record_hash, ABROAD_PENDING))
            if isinstance(one, Acknowledgement)
            else one
            for one in results
        ]

    def _writing(self) -> DraftWriter:
        if self._drafts is None:
            raise SetupError(Setup.CANNOT_SIGN)
        return self._drafts

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


def _or_raise(result: WriteResult) -> Acknowledgement:
    if isinstance(result, WriteError):
        raise result
    return result
