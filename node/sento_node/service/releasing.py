"""Between the Registry service and the access log: no payload of a person leaves this site before a record of it is safe.

The service hands over what is about to leave, and gets the proof of the access record that goes along with it; or an error, and then nothing leaves. What it
refuses to a caller it can name is recorded too. Under rules that have no read log, nothing happens here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from sento_node.ledger.results import NOWHERE
from sento_node.ledger.store import LedgerStore
from sento_node.releases.access_log import AccessLog
from sento_node.releases.deciding import (
    RECORDED_REFUSALS,
    Asked,
    Release,
    is_log_of_persons,
    records_releases,
    releases_of,
)
from sento_node.releases.key_keeper import KeyKeeper
from sento_node.releases.ordering_line import Written
from sento_node.releases.spool import Spool
from sento_node.service.access import PURPOSE_MAX_CHARACTERS
from sento_node.service.node_state import NodeState
from sento_node.site import Reply
from sento_proto import header as header_layout
from sento_proto.access_record import COMPARTMENT, KIND_DELAYED
from sento_proto.errors import Code, SentoError
from sento_proto.identity import Identity
from sento_proto.keys import Signer
from sento_proto.strict_json import is_one_line
from sento_proto.v1 import client_pb2, common_pb2


class Named(NamedTuple):
    """What a request names: somebody's pseudonym in a registry, and a record's hash where it names one."""

    registry: str
    subject: bytes
    records: tuple[bytes, ...] = ()


class Releasing:
    """The releases of one node's Registry service."""

    def __init__(self, node: NodeState) -> None:
        self._node = node

    async def recorded(
        self, asked: Asked, leaving: Iterable[common_pb2.StoredRecord], *, may_spool: bool
    ) -> client_pb2.AccessProof | None:
        """Return when a record of the payloads in these messages is safe: they may leave. The proof of it, of the first person's where there are several.

        None when none had to be made. Raises SentoError ACCESS_NOT_RECORDED, BAD_REQUEST; then they must not leave."""
        if not records_releases(self._node.governance):
            return None
        with_payload = [
            (header_layout.decode(record.header), record.record_hash) for record in leaving if record.payload
        ]
        releases = releases_of(asked, with_payload)
        if not releases:
            return None
        log = self._node.access_log
        if log is None:
            raise SentoError(Code.ACCESS_NOT_RECORDED, "this site's access log is not open yet")
        written = await log.released(releases, may_spool=may_spool)
        return access_proof(written[0])

    @contextlib.asynccontextmanager
    async def attempt(self, asked: Asked, named: Callable[[], Named | None]) -> AsyncIterator[None]:
        """Around a request: if it is refused for the caller's sake, and `named` finds somebody of whom something stands, that is recorded first."""
        try:
            yield
        except SentoError as error:
            log = self._node.access_log
            if (
                error.code in RECORDED_REFUSALS
                and log is not None
                and records_releases(self._node.governance)
                and (whom := named()) is not None
                and is_log_of_persons(whom.registry)
            ):
                await log.refused(Release(_presentable(asked), *whom), error.code)
            raise


def open_access_log(node: NodeState, signer: Signer, keys_dir: Path | None = None) -> AccessLog:
    """The access log of a node, with what a former life left in its data directory; the keys' file lies in `keys_dir` where that is another one.

    Raises OSError."""
    directory = node.config.data_dir

    async def submit(data: bytes) -> Reply:
        return await node.running().submit(data)

    keys = KeyKeeper(
        node.config.site,
        signer,
        keys_dir or directory,
        lambda: node.store,
        lambda: node.governance,
        node.clock,
        submit,
        node.condition.raise_alarm,
    )
    return AccessLog(
        node.config.site,
        node.genesis.ledger_id,
        signer,
        lambda: node.governance,
        node.clock,
        node.condition,
        keys,
        Spool(directory),
        submit,
    )


def asked_by(caller: Identity, purpose: common_pb2.Purpose, method: str) -> Asked:
    """Who asks, and why, as access records say it."""
    return Asked(caller.name, caller.role, purpose.purpose, purpose.case_number, method)


def _presentable(asked: Asked) -> Asked:
    """A refused request may carry anything for a purpose; what no access record can hold is left out of it."""
    return asked._replace(purpose=_told(asked.purpose), case_number=_told(asked.case_number))


def _told(text: str) -> str:
    return text if len(text) <= PURPOSE_MAX_CHARACTERS and is_one_line(text) else ""


def named_record(store: LedgerStore, position: int | None) -> Named | None:
    """Whom the record at this position is about; nobody for an access record that is delayed, whose subject is no person."""
    if position is None or position >= store.tip.size:
        return None
    kept = store.record(position, with_payload=False)
    header = header_layout.decode(kept.header_bytes)
    if (header.compartment, header.kind) == (COMPARTMENT, KIND_DELAYED):
        return None
    return Named(header.registry, header.subject, (kept.record_hash,))


def named_fact(store: LedgerStore, registry: str, fact: bytes) -> Named | None:
    """Whom a fact is about, if a version of it stands."""
    head = store.fact_head(registry, fact)
    found = None if head is None else named_record(store, head.position)
    return None if found is None else found._replace(records=())


def named_subject(store: LedgerStore, registry: str, subject: bytes) -> Named | None:
    """The subject, if anything about it stands."""
    head = store.subject_head(registry, subject)
    return None if head is None or head.position == NOWHERE else Named(registry, subject)


def access_proof(written: Written) -> client_pb2.AccessProof:
    """The access record as its reader gets it. One that is spooled has no position yet and no proof of a submission; its link is not told here, because a
    record is answered for before the ledger's flush."""
    record, together = written.entry.record, written.together
    message = common_pb2.StoredRecord(
        header=record.header_bytes,
        payload=record.payload,
        payload_hash=record.payload_hash,
        record_hash=record.record_hash,
    )
    if together is not None and written.position is not None:
        message.position = written.position
        message.submission.CopyFrom(
            common_pb2.SubmissionProof(
                author_key_id=together.author_key_id,
                count=len(together.record_hashes),
                index=written.nth,
                path=together.path(written.nth),
                signatures=[
                    common_pb2.SignatureFrame(suite=signature.suite, data=signature.data)
                    for signature in together.signatures
                ],
            )
        )
    return client_pb2.AccessProof(record=message, dek=written.entry.dek)
