"""The site's KEKs for access records, kept ready: made, sealed and standing before they are needed, sealed again when readers come later.

Ahead of need, because a site that is cut off can record releases only under a KEK whose seals stand already. Where nobody may open access records (no reader
of the registry's log, no recovery key) there is nobody to seal to: records are sealed under the KEK all the same, and seals follow when somebody comes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from sento_node.clock import Clock
from sento_node.ledger import reading
from sento_node.ledger.store import LedgerStore
from sento_node.releases import sealing
from sento_node.releases.deciding import records_releases
from sento_node.releases.kek_file import KekFileDamaged, KekPlace, OwnKek, read_keks, write_keks
from sento_node.releases.making import fitting, sign_together
from sento_node.releases.sealing import Sealed
from sento_node.site import Reply
from sento_proto import header as header_layout
from sento_proto.errors import STANDING_CODES, Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.kek_record import REGISTRY
from sento_proto.keys import Signer
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.record import Record
from sento_proto.sealing import KEK_BYTES

LOOK_EVERY_MS = 1_000
AGAIN_MS = 5_000
PAGE = 100

Submit = Callable[[bytes], Awaitable[Reply]]


class KeyKeeper:
    """The KEKs of one site. `submit`: the site's own ingress; `alarm`: tells operators, by a name and in words."""

    def __init__(
        self,
        site: str,
        signer: Signer,
        directory: Path,
        store: Callable[[], LedgerStore],
        governance: Callable[[], Governance],
        clock: Clock,
        submit: Submit,
        alarm: Callable[[str, str], None],
    ) -> None:
        self._site = site
        self._signer = signer
        self._directory = directory
        self._store = store
        self._governance = governance
        self._clock = clock
        self._submit = submit
        self._alarm = alarm
        self._keks: dict[KekPlace, OwnKek] = {}
        self._unusable = ""
        self._lost: set[KekPlace] = set()
        self._settled: Governance | None = None
        self._lock = asyncio.Lock()
        self._log = structlog.get_logger("sento.node").bind(site=site)
        try:
            self._keks = read_keks(directory)
        except KekFileDamaged as error:
            self._unusable = str(error)
            alarm("access-keys-unusable", self._unusable)

    def own(self, place: KekPlace) -> bytes | None:
        """A KEK of this site, also of a key epoch that is over."""
        known = self._keks.get(place)
        return None if known is None else known.kek

    def usable(self, registry: str) -> tuple[int, bytes] | None:
        """(key epoch in force, KEK) under which an access record may be sealed now; None while there is none.

        Raises SentoError ACCESS_NOT_RECORDED where this site's KEK is lost, or its file cannot be used."""
        if self._unusable:
            raise SentoError(Code.ACCESS_NOT_RECORDED, self._unusable)
        governance = self._governance()
        state = governance.registries.get(registry)
        if state is None:
            return None
        place = KekPlace(registry, state.key_epoch)
        if place in self._lost:
            raise SentoError(Code.ACCESS_NOT_RECORDED, lost_words(place))
        known = self._keks.get(place)
        if known is None or not (known.sealed or not sealing.recipients_of(governance, registry)):
            return None
        return place.key_epoch, known.kek

    async def need(self, registry: str) -> tuple[int, bytes]:
        """The same, made and sealed now if it has to be. Raises SentoError ACCESS_NOT_RECORDED."""
        found = self.usable(registry)
        if found is None:
            await self.settle()
            found = self.usable(registry)
        if found is None:
            raise SentoError(
                Code.ACCESS_NOT_RECORDED,
                "this site's key for access records does not stand in the ledger yet",
            )
        return found

    async def keep(
        self, ready: Callable[[], bool], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Keep them ready for as long as the site runs."""
        while True:
            await sleep(LOOK_EVERY_MS / 1000)
            if not ready():
                continue
            try:
                await self.settle()
            except SentoError as error:
                self._log.info("keys of access records wait", why=error.code.name)
                await sleep(AGAIN_MS / 1000)

    async def settle(self) -> None:
        """Make what is missing, seal what is due; nothing where all of that stands for the governance in force. Raises SentoError."""
        async with self._lock:
            governance = self._governance()
            if self._unusable or self._settled is governance or not records_releases(governance):
                return
            places = [
                KekPlace(registry, state.key_epoch)
                for registry, state in sorted(governance.registries.items())
                if registry not in CLEAR_CONTENT_REGISTRIES
            ]
            due = [record for place in places for record in await self._due(governance, place)]
            if await self._stand(due):
                self._note_sealed(governance, places)
                self._settled = governance

    async def _due(self, governance: Governance, place: KekPlace) -> list[Record]:
        """The records with the seals that are due; the KEK is made first where there is none."""
        wanted = sealing.recipients_of(governance, place.registry)
        sealed = await asyncio.to_thread(self._what_stands, place)
        known = self._keks.get(place)
        if sealing.is_other_kek(sealed, None if known is None else known.kek):
            self._lost.add(place)
            self._alarm("access-key-lost", lost_words(place))
            return []
        if known is None:
            known = OwnKek(os.urandom(KEK_BYTES), sealed=False)
            self._keks[place] = known
            await asyncio.to_thread(write_keks, self._directory, dict(self._keks))
        due = sealing.seals_due(wanted, sealed)
        if not due:
            return []
        name = sealing.kek_name(governance, self._site, place.registry, place.key_epoch)
        parts = await asyncio.to_thread(sealing.seal_parts, name, known.kek, due, sealed.next_part)
        time_ms = self._clock.wall_ms()
        key_id = self._signer.public_key.key_id
        return [
            sealing.seals_record(self._site, key_id, uuid7(time_ms, os.urandom(RANDOM_BYTES)), time_ms, part)
            for part in parts
        ]

    def _what_stands(self, place: KekPlace) -> Sealed:
        subject = sealing.subject_of_own(self._site, place.registry, place.key_epoch)
        newest_first: list[Header] = []
        before: int | None = None
        while True:
            page = reading.subject_records(self._store(), REGISTRY, subject, limit=PAGE, before=before)
            newest_first += [header_layout.decode(kept.header_bytes) for kept in page.records]
            if page.next_before is None:
                return sealing.what_stands(reversed(newest_first))
            before = page.next_before

    async def _stand(self, records: list[Record]) -> bool:
        """Whether all stand; False when the flushed ledger was behind, and it is to be looked at again. Raises SentoError."""
        left = list(records)
        while left:
            count = fitting(left)
            together = sign_together(self._governance().ledger_id, left[:count], self._signer)
            reply = await self._submit(together.data)
            codes = {outcome.code for outcome in reply.outcomes} if reply.code is None else {reply.code}
            if not codes <= STANDING_CODES | {Code.STALE}:
                refused = ", ".join(sorted(code.name for code in codes - STANDING_CODES))
                raise SentoError(
                    Code.ACCESS_NOT_RECORDED, f"the seals of this site's keys were refused: {refused}"
                )
            if Code.STALE in codes:
                return False
            left = left[count:]
        return True

    def _note_sealed(self, governance: Governance, places: list[KekPlace]) -> None:
        """On disk too: a site that starts without a link must know it."""
        newly = [
            place
            for place in places
            if place not in self._lost
            and not self._keks[place].sealed
            and sealing.recipients_of(governance, place.registry)
        ]
        if newly:
            self._keks |= {place: self._keks[place]._replace(sealed=True) for place in newly}
            write_keks(self._directory, self._keks)
            self._log.info("keys of access records stand", count=len(newly))


def lost_words(place: KekPlace) -> str:
    """What an operator is told: cause and remedy."""
    return (
        f"another key for access records of {place.registry} in key epoch {place.key_epoch} stands under this site's name than the one in its file; "
        "put access-keys.json back from backup, or let officers start the registry's next key epoch"
    )
