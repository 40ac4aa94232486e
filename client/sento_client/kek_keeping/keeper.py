"""The shell of KEKs in the ledger: looks them up where one is missed, makes an author's own, seals them again to whoever came later.

Nothing is used before it stands: a KEK that its maker cannot be sure of having won with seals no record. Every step may be repeated, by this program or by
another beside it: a record that was beaten is STALE, and what stands then is looked at again. The author keeps no KEK but by its own seal in the ledger.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from sento_client.asker import Terms
from sento_client.composing import Ports
from sento_client.kek_keeping.recipients import Recipient, missing, recipients_of
from sento_client.kek_keeping.seal_records import seal_record_of, sealed_parts
from sento_client.kek_keeping.standing_kek import (
    Gathering,
    Opened,
    SealRecord,
    SealTrouble,
    StandingKek,
    open_file_seal,
    open_standing,
    scope_of_record,
    standing_kek,
    subject_of_scope,
)
from sento_client.keyring import Keyring
from sento_client.reading import Reader
from sento_client.recovery.standing import KekScope
from sento_client.results import Version, WriteError, WriteResult
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO32
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.kek_record import REGISTRY, KekSeals
from sento_proto.kek_seal import kek_commit
from sento_proto.keys import is_blocking
from sento_proto.record import Record
from sento_proto.rules import RULES
from sento_proto.seal import SealOpener
from sento_proto.sealing import KEK_BYTES

MISSED_FOR_MS = 2_000
"""How long a KEK that was not found is not looked for again: a list of ten thousand records asks once."""
TRIES = 8
"""How often a step begins anew after another program was faster."""

Send = Callable[[Sequence[Record], int], Awaitable[list[WriteResult]]]


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes seals here: the institution, the key it signs with, and the way of its records to the sites."""

    name: str
    key_id: bytes
    send: Send


class FileKeks(NamedTuple):
    """This author's KEKs in the file keys.kek_seals beside the ledger: `only_here` do not stand, of `other` another KEK stands, `closed` do not open."""

    only_here: tuple[StandingKek, ...]
    other: tuple[KekScope, ...]
    closed: tuple[KekScope, ...]


class KekKeeper:
    """KEKs of one institution's client. `author` is None where it has no signing key."""

    def __init__(
        self,
        ledger_id: bytes,
        keyring: Keyring,
        reader: Reader,
        governance: Callable[[], Governance],
        ports: Ports,
        author: Author | None = None,
    ) -> None:
        self._ledger_id = ledger_id
        self._keyring = keyring
        self._reader = reader
        self._governance = governance
        self._ports = ports
        self._author = author
        self._former: tuple[SealOpener, ...] = ()
        self._locks: dict[KekScope, asyncio.Lock] = {}
        self._missed: dict[KekScope, tuple[int, SetupError | SentoError]] = {}
        self._settled: set[KekScope] = set()

    def accept_former(self, opener: SealOpener) -> None:
        """Open own seals with a seal key that was replaced, too."""
        self._former = (*self._former, opener)

    # Looking.

    async def look(self, scope: KekScope, terms: Terms) -> StandingKek | None:
        """What the ledger says of a KEK now. Raises SentoError."""
        versions = self._reader.subject(REGISTRY, subject_of_scope(scope), _of_keys(terms))
        records = [_seal_record(version) async for version in versions]
        return standing_kek(scope, reversed(records))

    async def survey(
        self, terms: Terms, seen: Callable[[int], None] = lambda count: None
    ) -> list[StandingKek]:
        """Every KEK in the ledger, sorted; of the seals only those to this institution. `seen` is told how many records were read. Raises SentoError."""
        # A list of changes ends where the site's disk is; a question that must be current, to the same site, waits for what was just written.
        async for _ in self._reader.subject(REGISTRY, ZERO32, _of_keys(terms)):
            pass
        own = {opener.recipient_key_id for opener in self._openers()}
        gathered: dict[KekScope, Gathering] = {}
        count = 0
        async for version in self._reader.changes(REGISTRY, 0, _of_keys(terms), follow=False):
            record = _seal_record(version)
            scope = scope_of_record(record)
            count += 1
            seen(count)
            if scope is not None:
                gathered.setdefault(scope, Gathering(scope, own)).take(record)
        found = (gathered[scope].result() for scope in sorted(gathered))
        return [standing for standing in found if standing is not None]

    async def in_file(self, standing: Iterable[StandingKek]) -> FileKeks:
        """What of the file's KEKs of this author the ledger lacks, or has otherwise. `standing`: of `survey`. Raises SetupError of a token."""
        known = {kek.scope: kek for kek in standing}
        only_here: list[StandingKek] = []
        other: list[KekScope] = []
        closed: list[KekScope] = []
        for scope in (KekScope(*each) for each in self._keyring.scopes_in_file):
            if self._author is None or scope.author != self._author.name:
                continue
            opened = await self._from_file(scope)
            if opened is None or opened.kek is None:
                closed.append(scope)
            elif scope not in known:
                only_here.append(StandingKek(scope, kek_commit(opened.kek), {}, 0))
            elif not _is_of(opened.kek, known[scope]):
                other.append(scope)
        return FileKeks(tuple(only_here), tuple(other), tuple(closed))

    async def fetch(self, scope: KekScope, terms: Terms) -> None:
        """Find the KEK and put it into the keyring. Raises SetupError NO_KEK or KEK_SEAL_WRONG, SentoError when no site could say."""
        async with self._lock(scope):
            if self._keyring.holds(*scope):
                return
            with self._remembered(scope):
                opened = await self._opened(await self.look(scope, terms))
                if opened.kek is None:
                    raise trouble_error(scope, opened)
            self._keyring.put(*scope, opened.kek)

    # Making.

    async def prepare(self, registry: str, compartment: str, terms: Terms) -> None:
        """See to it that this author can write there under the key epoch in force: take its KEK from the ledger, or make it.

        Raises SetupError, SentoError; WriteError when the record with the seals was not acknowledged."""
        governance = self._governance()
        state = governance.registries.get(registry)
        if self._author is None or state is None or not RULES[governance.rules].acts:
            return
        await self.make(KekScope(self._author.name, registry, compartment, state.key_epoch), terms)

    async def make(self, scope: KekScope, terms: Terms) -> bool:
        """Have the KEK of one of this author's scopes stand, and hold it: the one of the file, where the file has one, else a new one.

        Whether its record was written now, and not found. Raises as `prepare`; SetupError KEK_DIFFERS when another one stands than the file's."""
        author = self._require_author()
        async with self._lock(scope):
            if scope in self._settled or (
                self._keyring.holds(*scope) and self._keyring.seal_in_file(*scope) is None
            ):
                return False
            with self._remembered(scope):
                made = await self._make(author, scope, terms)
            self._settled.add(scope)
            return made

    async def _make(self, author: Author, scope: KekScope, terms: Terms) -> bool:
        own = await self._from_file(scope)
        for _ in range(TRIES):
            standing = await self.look(scope, terms)
            if standing is not None:
                self._keyring.put(*scope, await self._same(standing, own))
                return False
            if not self._governance().may_write(author.name, scope.registry, scope.compartment):
                raise SentoError(
                    Code.NOT_PERMITTED, f"no key is made for what may not be written: {scope.words}"
                )
            # Beside a seal that does not open no other key is made: nobody could ever open what stands under the first.
            kek = self._ports.random_bytes(KEK_BYTES) if own is None else own.kek
            if kek is None:
                raise trouble_error(scope, own or Opened(None))
            # The first part decides whose KEK it is; the others follow once it stands.
            first, *others = await self._sealed(scope, kek, self._wanted(scope), 0)
            if await self._write([first], terms):
                self._keyring.put(*scope, kek)
                await self._write(others, terms)
                return True
        raise SentoError(Code.STALE, f"others made a key that does not show: {scope.words}")

    async def _same(self, standing: StandingKek, own: Opened | None) -> bytes:
        """The KEK that stands. Raises SetupError KEK_DIFFERS when the file has another one, or what `trouble_error` says."""
        if own is not None and own.kek is not None:
            if not _is_of(own.kek, standing):
                raise SetupError(Setup.KEK_DIFFERS, standing.scope.words)
            return own.kek
        opened = await self._opened(standing)
        if opened.kek is None:
            raise trouble_error(standing.scope, opened)
        return opened.kek

    # Sealing again.

    async def reseal(
        self, standing: StandingKek, terms: Terms, again: Iterable[bytes] = ()
    ) -> tuple[Recipient, ...]:
        """Seal one of this author's KEKs to those for whom no seal stands; to those in `again` (recipient key ids) anew. One that is only in the file is
        put into the ledger with that.

        Returns who got one. Raises SetupError when this institution cannot open its own seal, SentoError."""
        scope, forced = standing.scope, set(again)
        looked: StandingKek | None = standing
        for _ in range(TRIES):
            if looked is None:
                return ()
            if not looked.next_part:
                wanted = self._wanted(scope)
                if await self.make(scope, terms):
                    return wanted
                looked = await self.look(scope, terms)
                continue
            left = self.lacking(looked, forced)
            if not left:
                return ()
            opened = await self._opened(looked)
            if opened.kek is None:
                raise trouble_error(scope, opened)
            if await self._write(await self._sealed(scope, opened.kek, left, looked.next_part), terms):
                return left
            looked = await self.look(scope, terms)
        raise SentoError(Code.STALE, f"{scope.words}: other programs write seals of it without end")

    def lacking(self, standing: StandingKek, again: Iterable[bytes] = ()) -> tuple[Recipient, ...]:
        """Who should hold a seal of this KEK and has none; and those in `again`, if they should."""
        return missing(self._wanted(standing.scope), standing.seals.keys() - set(again))

    # How it is done.

    def _wanted(self, scope: KekScope) -> tuple[Recipient, ...]:
        return recipients_of(self._governance(), scope.author, scope.registry, scope.compartment)

    async def _sealed(
        self, scope: KekScope, kek: bytes, recipients: Sequence[Recipient], first_part: int
    ) -> list[KekSeals]:
        return await asyncio.to_thread(sealed_parts, self._ledger_id, scope, kek, recipients, first_part)

    async def _write(self, parts: Sequence[KekSeals], terms: Terms) -> bool:
        """Whether all stand; False when another program was faster. Raises WriteError."""
        if not parts:
            return True
        author = self._require_author()
        time_ms = self._ports.wall_ms()
        records = [
            seal_record_of(author.name, author.key_id, self._record_id(time_ms), time_ms, part)
            for part in parts
        ]
        errors = [
            result
            for result in await author.send(records, terms.timeout_ms)
            if isinstance(result, WriteError)
        ]
        for error in errors:
            if error.code is not Code.STALE:
                raise error
        return not errors

    def _record_id(self, time_ms: int) -> bytes:
        return uuid7(time_ms, self._ports.random_bytes(RANDOM_BYTES))

    def _openers(self) -> list[SealOpener]:
        opener = self._keyring.opener
        return [*([] if opener is None else [opener]), *self._former]

    async def _opened(self, standing: StandingKek | None) -> Opened:
        """With the seal key, else with one that it replaced. The first key's trouble is told."""
        first: Opened | None = None
        for opener in self._openers():
            if is_blocking(opener):
                opened = await asyncio.to_thread(open_standing, self._ledger_id, standing, opener)
            else:
                opened = open_standing(self._ledger_id, standing, opener)
            if opened.kek is not None:
                return opened
            first = first or opened
        return first or Opened(None, SealTrouble.NOT_SEALED)

    async def _from_file(self, scope: KekScope) -> Opened | None:
        """The KEK that the file has for the scope; None where it has none."""
        sealed = self._keyring.seal_in_file(*scope)
        if sealed is None:
            return None
        first: Opened | None = None
        for opener in self._openers():
            opened = await asyncio.to_thread(open_file_seal, self._ledger_id, scope, sealed, opener)
            if opened.kek is not None:
                return opened
            first = first or opened
        return first or Opened(None, SealTrouble.FILE_DOES_NOT_OPEN)

    def _require_author(self) -> Author:
        if self._author is None:
            raise SetupError(Setup.CANNOT_SIGN)
        return self._author

    @contextmanager
    def _remembered(self, scope: KekScope) -> Iterator[None]:
        """What goes wrong here is raised again, without asking, to whoever comes in the next moments. Raises what was remembered."""
        missed = self._missed.pop(scope, None)
        if missed is not None and self._ports.steady_ms() - missed[0] < MISSED_FOR_MS:
            self._missed[scope] = missed
            raise missed[1]
        try:
            yield
        except (SetupError, SentoError) as error:
            self._missed[scope] = (self._ports.steady_ms(), error)
            raise

    def _lock(self, scope: KekScope) -> asyncio.Lock:
        return self._locks.setdefault(scope, asyncio.Lock())


def trouble_error(scope: KekScope, opened: Opened) -> SetupError:
    """A KEK that could not be had, as what has to be mended and by whom."""
    wrong = opened.trouble in (SealTrouble.DOES_NOT_OPEN, SealTrouble.OTHER_KEK)
    why = f": {opened.why}" if opened.why else ""
    return SetupError(
        Setup.KEK_SEAL_WRONG if wrong else Setup.NO_KEK, f"{scope.words}: {opened.trouble}{why}"
    )


def _is_of(kek: bytes, standing: StandingKek) -> bool:
    return hmac.compare_digest(kek_commit(kek), standing.commitment)


def _seal_record(version: Version) -> SealRecord:
    return SealRecord(version.position, version.author, version.header)


def _of_keys(terms: Terms) -> Terms:
    """The same question about seals, at any site: they have no payload that could be released."""
    return terms._replace(header_only=True, site=None)
