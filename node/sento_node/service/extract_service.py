"""Sealed extracts: handed out under the rules of reads, also on an island, and what was opened of them recorded when the link is back.

    handed out    the caller may read there; its seal key stands in governance; a release of each person's payloads is recorded, or spooled, before it leaves
    opened        its reader reports each use; a use is recorded once, under an id that follows from it, at whichever site it is reported, however often

A report is believed of nobody but the reader for whom the extract was made: its release stands in the ledger, or in this site's spool, under an id that follows
from extract, reader and person. Where this site does not know that release yet, the use is left unanswered, and its reader keeps it. When and why an extract
was opened is the reader's word: a reader that lies by silence is as one that reads an old copy with its own keys.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Sequence

from sento_node.releases.access_log import AccessLog
from sento_node.releases.deciding import Asked, Release, is_recorded, records_releases, releases_of
from sento_node.service.access import (
    PURPOSE_MAX_CHARACTERS,
    require_bytes,
    require_purpose,
    require_registry,
    require_role,
)
from sento_node.service.extracting import Gatherer, kept_checkpoint
from sento_node.service.freshness import require_reads
from sento_node.service.node_state import NodeState
from sento_node.service.releasing import Named, Releasing, asked_by, named_subject
from sento_proto import header as header_layout
from sento_proto.access_record import METHOD_EXTRACT, METHOD_EXTRACT_OPENED
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.extract import (
    ID_BYTES,
    KEY_BYTES,
    SUBJECT_BYTES,
    SUBJECTS_MAX,
    TIME_MAX_MS,
    VALID_DEFAULT_S,
    VALID_MAX_S,
    ExtractBody,
    ExtractHeader,
    case_hash,
    release_record_id,
    seal_extract,
    use_record_id,
)
from sento_proto.governance.state import Governance, site_author
from sento_proto.identity import Identity
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.strict_json import is_one_line
from sento_proto.v1 import client_pb2, common_pb2
from sento_proto.wire import Malformed

USES_MAX = 64
"""Uses reported in one call."""
EXTRACTS_MAX, EXTRACTS_WITHIN_MS = 20, 60_000
"""Extracts that one reader gets of a site in so long: a clinic's patients of a day take one or two."""
READERS_REMEMBERED = 10_000


class ExtractPace:
    """How often a reader may ask. Pure but for what it remembers."""

    def __init__(self) -> None:
        self._asked: dict[str, deque[int]] = {}

    def take(self, reader: str, now_ms: int) -> None:
        """Count one extract. Raises SentoError RATE_LIMITED, and counts none."""
        asked = self._asked.pop(reader, deque())
        while asked and asked[0] <= now_ms - EXTRACTS_WITHIN_MS:
            asked.popleft()
        self._asked[reader] = asked
        if len(self._asked) > READERS_REMEMBERED:
            del self._asked[next(iter(self._asked))]
        if len(asked) >= EXTRACTS_MAX:
            wait_ms = asked[0] + EXTRACTS_WITHIN_MS - now_ms
            raise SentoError(
                Code.RATE_LIMITED,
                f"a site makes {EXTRACTS_MAX} extracts a minute for one reader; ask again in {wait_ms} ms",
            )
        asked.append(now_ms)


class ExtractService:
    """The two calls of one node."""

    def __init__(self, node: NodeState, releasing: Releasing) -> None:
        self._node = node
        self._releasing = releasing
        self._gatherer = Gatherer(node)
        self._pace = ExtractPace()

    async def extract(
        self, request: client_pb2.ExtractRequest, caller: Identity | None
    ) -> client_pb2.ExtractReply:
        """A sealed extract. LOCAL: it holds what stands here, as of the newest checkpoint. Raises SentoError."""
        reader = require_role(caller, "author", "reader")
        _check_form(request)
        node, asked = self._node, asked_by(reader, request.purpose, METHOD_EXTRACT)
        async with contextlib.AsyncExitStack() as attempts:
            for subject in request.subjects:
                whom = _Whom(node, request.registry, subject)
                await attempts.enter_async_context(self._releasing.attempt(asked, whom))
            require_purpose(request.purpose)
            require_registry(reader, node.governance, request.registry)
        recipient = _seal_key(node.governance, reader.name)
        log = self._log()
        require_reads(node)
        if node.signers is None:
            raise SentoError(Code.NOT_READY, "this site has no signing key in hand yet")
        self._pace.take(reader.name, node.clock.now_ms())
        checkpoint = decode_checkpoint(kept_checkpoint(node.store))
        gathered = self._gatherer.gather(reader, request.registry, request.subjects, checkpoint.size)
        made_at_ms = node.clock.wall_ms()
        header = ExtractHeader(
            node.genesis.ledger_id,
            checkpoint.epoch,
            node.config.site,
            uuid7(made_at_ms, os.urandom(RANDOM_BYTES)),
            checkpoint,
            node.condition.confirmed_at_ms,
            request.registry,
            reader.name,
            bytes(ID_BYTES),  # that of the key which it is sealed to is filled in
            request.purpose.purpose,
            case_hash(request.purpose.case_number),
            made_at_ms,
            made_at_ms + (request.valid_s or VALID_DEFAULT_S) * 1000,
        )
        body = ExtractBody(request.purpose.case_number, gathered.subjects, gathered.keys)
        try:
            data = seal_extract(
                header, body, body_key=os.urandom(KEY_BYTES), recipient=recipient, signers=node.signers
            )
        except Malformed as error:
            raise SentoError(Code.BAD_REQUEST, str(error)) from None
        leaving = [(one.header, one.record_hash) for one in gathered.leaving if is_recorded(one.header)]
        releases = [
            release._replace(
                extract=header.extract_id,
                record_id=release_record_id(header.extract_id, reader.name, release.subject),
            )
            for release in releases_of(asked, leaving)
        ]
        if releases:
            await log.released(releases, may_spool=True)
        return client_pb2.ExtractReply(extract=data)

    async def report(
        self, request: client_pb2.ReportExtractUseRequest, caller: Identity | None
    ) -> client_pb2.ReportExtractUseReply:
        """Record uses, each once; the reply names those that are recorded, now or before. Raises SentoError."""
        reader = require_role(caller, "author", "reader")
        if not 1 <= len(request.uses) <= USES_MAX:
            raise SentoError(Code.BAD_REQUEST, f"1 to {USES_MAX} uses a call")
        for use in request.uses:
            _check_use(use)
        require_reads(self._node)
        log = self._log()
        recorded: list[bytes] = []
        new: dict[bytes, Release] = {}
        for use in request.uses:
            record_id = use_record_id(use.extract_id, reader.name, use.use_id)
            if self._registry_of(record_id) is None:
                released_in = self._registry_of(release_record_id(use.extract_id, reader.name, use.subject))
                if released_in != request.registry:
                    continue
                new.setdefault(record_id, _release(reader, request.registry, use, record_id))
            recorded.append(use.use_id)
        if new:
            await log.released(list(new.values()), may_spool=True)
        return client_pb2.ReportExtractUseReply(recorded=list(dict.fromkeys(recorded)))

    def _log(self) -> AccessLog:
        """Where releases are recorded. Raises SentoError: without it nothing is handed out."""
        if not records_releases(self._node.governance):
            raise SentoError(
                Code.BAD_REQUEST,
                "the rules in force have no read log, so what leaves in an extract would not be seen",
            )
        if self._node.access_log is None:
            raise SentoError(Code.ACCESS_NOT_RECORDED, "this site's access log is not open yet")
        return self._node.access_log

    def _registry_of(self, record_id: bytes) -> str | None:
        """In which registry an access record of this id stands, by whichever site, or waits in this site's spool; None where there is none."""
        store = self._node.store
        sites = {name for name, _ in self._node.governance.site_keys_ever.values()}
        for site in sorted(sites):
            position = store.position_of_id(site_author(site), record_id)
            if position is not None:
                return header_layout.decode(store.record(position, with_payload=False).header_bytes).registry
        waiting = None if self._node.access_log is None else self._node.access_log.spool.holds(record_id)
        return None if waiting is None else waiting.header.registry


class _Whom:
    """Finds the person when a request is refused."""

    def __init__(self, node: NodeState, registry: str, subject: bytes) -> None:
        self._node, self._registry, self._subject = node, registry, subject

    def __call__(self) -> Named | None:
        return named_subject(self._node.store, self._registry, self._subject)


def _check_form(request: client_pb2.ExtractRequest) -> None:
    subjects: Sequence[bytes] = request.subjects
    if not 1 <= len(subjects) <= SUBJECTS_MAX or len(set(subjects)) != len(subjects):
        raise SentoError(Code.BAD_REQUEST, f"1 to {SUBJECTS_MAX} persons an extract, each once")
    for subject in subjects:
        require_bytes("subject", subject, SUBJECT_BYTES)
    if request.registry in CLEAR_CONTENT_REGISTRIES:
        raise SentoError(Code.BAD_REQUEST, "that registry has nothing sealed: read it")
    if request.valid_s > VALID_MAX_S:
        raise SentoError(Code.BAD_REQUEST, f"an extract is valid for at most {VALID_MAX_S // 3600} hours")


def _check_use(use: client_pb2.ExtractUse) -> None:
    require_bytes("use_id", use.use_id, ID_BYTES)
    require_bytes("extract_id", use.extract_id, ID_BYTES)
    require_bytes("subject", use.subject, SUBJECT_BYTES)
    require_purpose(use.purpose)
    if use.opened_at_ms > TIME_MAX_MS:
        raise SentoError(Code.BAD_REQUEST, "opened_at_ms is no time")
    words = (use.purpose.purpose, use.purpose.case_number)
    if not all(is_one_line(text) and len(text) <= PURPOSE_MAX_CHARACTERS for text in words):
        raise SentoError(Code.BAD_REQUEST, "purpose and case number must be text in one line")


def _release(reader: Identity, registry: str, use: client_pb2.ExtractUse, record_id: bytes) -> Release:
    purpose: common_pb2.Purpose = use.purpose
    return Release(
        Asked(reader.name, reader.role, purpose.purpose, purpose.case_number, METHOD_EXTRACT_OPENED),
        registry,
        use.subject,
        (),
        more=use.records,
        extract=use.extract_id,
        record_id=record_id,
        opened_at_ms=use.opened_at_ms,
    )


def _seal_key(governance: Governance, institution: str) -> bytes:
    """The key that is sealed to. Raises SentoError NOT_PERMITTED."""
    standing = governance.readers.get(institution) or governance.authors.get(institution)
    if standing is None or not standing.seal_key:
        raise SentoError(Code.NOT_PERMITTED, "no seal key of this institution is enrolled")
    return standing.seal_key
