"""Extracts, as a program calls for them: got and reported through any site, opened without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sento_client.asker import Asker, Terms, damaged
from sento_client.extracts.names import open_names, seal_names
from sento_client.extracts.opening import Reader, Reason, Shown, open_for, require_open, verified
from sento_client.extracts.use_log import Use, opened_log
from sento_client.messages import purpose_of
from sento_client.naming import Why
from sento_client.session import Session
from sento_client.setup_errors import Setup, SetupError
from sento_client.transport import EXTRACT, REPORT_EXTRACT_USE
from sento_client.trust import Trust
from sento_proto.errors import Code, SentoError
from sento_proto.extract import (
    ID_BYTES,
    KEY_BYTES,
    SUBJECTS_MAX,
    VALID_DEFAULT_S,
    VALID_MAX_S,
    ExtractHeader,
    decode_extract,
)
from sento_proto.sealing import CannotOpen
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

USES_AT_ONCE = 64
DIRECTORY = "extracts"


class GotExtract(NamedTuple):
    """An extract that was verified. `names`: to be kept beside it where names come from the pseudonym service, empty where keys are here."""

    data: bytes
    header: ExtractHeader
    records: int
    names: bytes


class Reported(NamedTuple):
    """How many uses are recorded now, and how many wait on: for a site that knows their extract, or for any site at all (`trouble`)."""

    recorded: int
    waiting: int
    trouble: SentoError | None = None


class ExtractFace(Session):
    """The calls for extracts."""

    @property
    def extracts_directory(self) -> Path:
        """Where this computer logs what it opened: beside the outbox."""
        config = self._installation.config
        beside = config.path.parent if config.outbox is None else config.outbox.directory.parent
        return beside / DIRECTORY

    async def get_extract(
        self,
        *,
        registry: str,
        subjects: Sequence[str],
        purpose: str,
        case_number: str,
        valid_s: int = VALID_DEFAULT_S,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> GotExtract:
        """An extract of these persons' records, by identifier, from any site that answers, also one that is cut off; verified as it will be when it is opened.

        Each person whose payloads are in it has an access record before it leaves the site. Raises SentoError; SetupError NO_PSEUDONYM_KEY."""
        timeout_ms = self._deadline(deadline_ms)
        if not 1 <= len(subjects) <= SUBJECTS_MAX or not 1 <= valid_s <= VALID_MAX_S:
            raise SentoError(
                Code.BAD_REQUEST,
                f"1 to {SUBJECTS_MAX} persons an extract, valid for 1 s to {VALID_MAX_S // 3600} h",
            )
        why = Why(purpose, case_number)
        names = {who: await self._naming.subject(registry, who, why, timeout_ms) for who in subjects}
        wanted = set(names.values())

        def accept(site: str, reply: client_pb2.ExtractReply) -> GotExtract:
            try:
                inside = verified(reply.extract, self._reader_here(Trust(self._followed().governance)))
            except SentoError as error:
                raise damaged(site, error.detail) from None
            header = inside.sealed.header
            given = (header.registry, header.ends_at_ms - header.made_at_ms, set(inside.persons))
            if given != (registry, valid_s * 1000, wanted) or header.site != site:
                raise damaged(site, "it gave another extract than the one asked for")
            records = sum(map(len, inside.persons.values()))
            return GotExtract(reply.extract, header, records, b"")

        request = client_pb2.ExtractRequest(
            purpose=purpose_of(purpose, case_number),
            registry=registry,
            subjects=sorted(wanted),
            valid_s=valid_s,
        )
        asker = Asker(self._transport, self._ports, news=self._follower.news)
        got = await asker.ask(
            EXTRACT, request, accept, Terms(purpose, case_number, timeout_ms=timeout_ms, site=site)
        )
        await self._follower.keep_up(got.header.site, got.header.epoch, timeout_ms)
        with opened_log(self.extracts_directory) as log:
            log.raised(self._ports.wall_ms())
        opener = self._installation.keyring.opener
        if self.names_are_asked and opener is not None:
            key = self._ports.random_bytes(KEY_BYTES)
            got = got._replace(names=seal_names(names, got.header.extract_id, opener.public_key, key))
        return got

    def open_extract(
        self, data: bytes, identifier: str, *, purpose: str, case_number: str, names: bytes = b""
    ) -> Shown:
        """What the extract shows of a person. No site is asked, and the client need not be entered; the use is in the log before anything is returned.

        `names`: what `get_extract` gave, where names come from the pseudonym service. Raises as `opening.open_for`; SetupError NO_PSEUDONYM_KEY."""
        try:
            header = decode_extract(data).header
            subject = self._subject_in(header, identifier, names)
        except (Malformed, CannotOpen) as error:
            raise SentoError(Code.DAMAGED, str(error)) from None
        reader = self._reader_here(Trust(self._installation.followed.governance))
        with opened_log(self.extracts_directory) as log:
            return open_for(
                data,
                subject,
                Reason(purpose, case_number),
                reader,
                log,
                now_ms=self._ports.wall_ms(),
                use_id=self._ports.random_bytes(ID_BYTES),
            )

    @property
    def uses_waiting(self) -> int:
        """Uses in this computer's log that are not reported yet. Raises SetupError EXTRACTS_UNUSABLE."""
        if not self.extracts_directory.exists():
            return 0
        with opened_log(self.extracts_directory) as log:
            return len(log.waiting)

    async def report_extract_uses(self, *, deadline_ms: int | None = None) -> Reported:
        """Hand in what was opened and is not recorded yet. Safe to repeat: each use is recorded once. Raises SetupError EXTRACTS_UNUSABLE.

        A use stays in the log until a site says that it is recorded; a site that was cut off alone knows the extracts that it made there."""
        if not self.extracts_directory.exists():
            return Reported(0, 0)
        with opened_log(self.extracts_directory) as log:
            recorded, trouble = 0, None
            for uses in _batches(log.waiting):
                done, trouble = await self._report(uses, self._deadline(deadline_ms))
                log.reported([use.use_id for use in uses if use.use_id in done], self._ports.wall_ms())
                recorded += len(done)
            return Reported(recorded, len(log.waiting), trouble)

    async def _report(self, uses: Sequence[Use], timeout_ms: int) -> tuple[set[bytes], SentoError | None]:
        """Which of these a site has recorded, asking one after the other, and why the last one that failed did."""
        left = {use.use_id: use for use in uses}
        trouble: SentoError | None = None
        for site in self._transport.sites:
            if not left:
                break
            request = client_pb2.ReportExtractUseRequest(registry=uses[0].registry)
            for use in left.values():
                request.uses.add(
                    use_id=use.use_id,
                    extract_id=use.extract_id,
                    subject=use.subject,
                    purpose=purpose_of(use.purpose, use.case_number),
                    opened_at_ms=use.opened_at_ms,
                    records=use.records,
                )
            try:
                reply = await self._transport.call(site, REPORT_EXTRACT_USE, request, timeout_ms)
            except SentoError as error:
                trouble = error
                continue
            for use_id in reply.recorded:
                left.pop(use_id, None)
        return {use.use_id for use in uses} - set(left), trouble if left else None

    def _reader_here(self, trust: Trust) -> Reader:
        return Reader(self.institution, trust, self._installation.keyring)

    def _subject_in(self, header: ExtractHeader, identifier: str, names: bytes) -> bytes:
        if not self.names_are_asked:
            return self._installation.keyring.subject(header.registry, identifier)
        opener = self._installation.keyring.opener
        if not names or opener is None:
            raise SetupError(
                Setup.NO_PSEUDONYM_KEY,
                "names come from the pseudonym service, and the file of names beside the extract is not there",
            )
        found = open_names(names, header.extract_id, opener).get(identifier)
        if found is None:
            raise SentoError(
                Code.NOT_FOUND, "the extract was not made for this person: it says nothing of them"
            )
        return found


def time_left_ms(header: ExtractHeader, now_ms: int) -> int:
    """For how long it may still be opened, by this computer's clock; 0 when it has ended."""
    try:
        return header.ends_at_ms - require_open(header, now_ms, 0)
    except SentoError:
        return 0


def _batches(uses: Sequence[Use]) -> list[list[Use]]:
    """Uses of one registry each, at most as many as one call takes."""
    found: list[list[Use]] = []
    for registry in dict.fromkeys(use.registry for use in uses):
        of_it = [use for use in uses if use.registry == registry]
        found += [of_it[at : at + USES_AT_ONCE] for at in range(0, len(of_it), USES_AT_ONCE)]
    return found
