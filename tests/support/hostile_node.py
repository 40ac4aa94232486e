"""A node that does evil, for tests: the command `sento-node` of this release with single pieces replaced, each of which is honest until it is told otherwise.

What it is to do now stands in `evil.json` in its working directory, a table from the name of an evil to its parameter; a node without that file is honest.
The file is looked at whenever a replaced piece is used, so that one running site goes through all of them. What it signs, it signs with its own keys.

    answer       "other-content" | "spoilt-wrap" | "other-position"      what it gives out as a record
    act          base64 of a StoredRecord                                stands behind its list of officers' acts
    acknowledge  "nowhere" | "taken"                                     answers writes without ordering them; `taken`: at positions of other records
    pack         "spoilt-wrap"                                           what it packs into blocks that it signs
    lists        "reversed"                                              the order of lists and changes
    as-of        size                                                    lists end there, and the answer says that they are current
    checkpoint   text of a note                                          its newest checkpoint
    head-as-of   size                                                    its signed words on heads leave out what came after
    mute         true                                                    it neither proposes nor cosigns checkpoints
    sync         "spoilt-wrap"                                           what it gives to other sites
    keep-erased  true                                                    destroys nothing, certifies it, and gives it out
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EVIL_FILE = "evil.json"


def hostile_node_command(config: Path) -> Sequence[str]:
    """How such a node is started, in the directory where its orders lie."""
    return (sys.executable, str(Path(__file__).resolve()), "run", "--config", str(config))


def order_evil(directory: Path, evils: dict[str, object]) -> None:
    """What the node with this working directory is to do from now on."""
    new = directory / f"{EVIL_FILE}.new"
    new.write_text(json.dumps(evils), encoding="utf-8")
    new.replace(directory / EVIL_FILE)


def ordered(name: str) -> Any:
    """The parameter of an evil, None while it is not ordered."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(Path(EVIL_FILE).read_text(encoding="utf-8")).get(name)
    return None


def flipped(data: bytes, at: int) -> bytes:
    """The same with one bit changed; `at` counts from the end where it is negative."""
    at %= len(data)
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


WRAP_AT = 4
"""Where the wrapped key begins in a payload."""


def lie_in_records() -> None:
    """Records and lists that it gives out."""
    from sento_node.ledger import reading
    from sento_node.service import listing
    from sento_proto.record import record_hash_of
    from sento_proto.v1 import common_pb2

    shown: Any = listing
    lists, true_record = listing.Listing, shown.stored_record
    true_walk, true_stretch, true_withheld = lists._walked, lists.stretch, lists._is_withheld

    def stored_record(store: Any, kept: Any, *, header_only: bool) -> common_pb2.StoredRecord:
        record: common_pb2.StoredRecord = true_record(store, kept, header_only=header_only)
        match ordered("answer"):
            case "other-content":
                record.payload = bytes(len(record.payload))
                record.payload_hash = hashlib.sha256(record.payload).digest()
                record.record_hash = record_hash_of(record.header, record.payload_hash)
            case "spoilt-wrap" if record.payload:
                record.payload = flipped(record.payload, WRAP_AT)
            case "other-position":
                record.position += 1
        return record

    def walked(self: Any, request: Any, name: bytes, walk: Any) -> reading.Page:
        if (size := ordered("as-of")) is not None:
            request.as_of_size = size
        page = true_walk(self, request, name, walk)
        return page._replace(records=page.records[::-1]) if ordered("lists") else page

    def stretch(self: Any, *given: Any) -> list[common_pb2.StoredRecord]:
        page = true_stretch(self, *given)
        return page[::-1] if ordered("lists") else page

    def is_withheld(self: Any, kept: Any, header: Any) -> bool:
        return False if ordered("keep-erased") else true_withheld(self, kept, header)

    shown.stored_record = stored_record
    for name, piece in (("_walked", walked), ("stretch", stretch), ("_is_withheld", is_withheld)):
        setattr(lists, name, piece)


def lie_in_statements() -> None:
    """Acts, checkpoints and heads that it gives out."""
    from sento_node.ledger.store import LedgerStore
    from sento_node.service import governance_service, heads, registry_service
    from sento_proto.head_statement import Head
    from sento_proto.v1 import client_pb2, common_pb2, governance_pb2

    registry, governance = registry_service.RegistryService, governance_service.GovernanceService
    true_head, true_checkpoint, true_acts = heads.head_in, registry.Checkpoint, governance.Acts

    async def checkpoint(self: Any, request: Any, context: Any) -> client_pb2.CheckpointReply:
        note = ordered("checkpoint")
        if note is not None:
            return client_pb2.CheckpointReply(checkpoint=note.encode())
        return await true_checkpoint(self, request, context)

    async def acts(self: Any, request: Any, context: Any) -> governance_pb2.ActsReply:
        reply = await true_acts(self, request, context)
        if (record := ordered("act")) is not None:
            reply.records.append(common_pb2.StoredRecord.FromString(base64.b64decode(record)))
        return reply

    def head_in(store: LedgerStore, registry: str, subject: bytes, size: int) -> Head:
        until = ordered("head-as-of")
        return true_head(store, registry, subject, size if until is None else min(size, until))

    heads.head_in = head_in
    registry.Checkpoint = checkpoint  # type: ignore[method-assign]
    governance.Acts = acts  # type: ignore[method-assign]


def lie_to_writers() -> None:
    """Acknowledgements of what is never ordered, and blocks that hold something else than what was sent."""
    from sento_node.intake import lanes
    from sento_node.ledger.results import RecordOutcome
    from sento_node.runner import Runner
    from sento_node.site import Reply
    from sento_proto.errors import Code
    from sento_proto.submission import decode_submission

    packing: Any = lanes
    true_submit, true_sign = Runner.submit, packing.sign_block

    async def submit(self: Runner, data: bytes, *, opens: bool = False) -> Reply:
        lie = ordered("acknowledge")
        if lie is None:
            return await true_submit(self, data, opens=opens)
        first = self.store.tip.size + 1_000 if lie == "nowhere" else 0
        records = decode_submission(data).records
        outcomes = (
            RecordOutcome(record.record_hash, Code.ACCEPTED, first + n) for n, record in enumerate(records)
        )
        return Reply(0, self.store.tip.epoch, tuple(outcomes))

    def sign_block(ledger_id: bytes, epoch: int, lane: Any, seq: int, submissions: Any, signer: Any) -> bytes:
        if ordered("pack"):
            submissions = [spoilt_submission(data) for data in submissions]
        return bytes(true_sign(ledger_id, epoch, lane, seq, submissions, signer))

    def spoilt_submission(data: bytes) -> bytes:
        payload = decode_submission(data).records[0].payload
        return flipped(data, data.index(payload) + WRAP_AT) if payload else data

    Runner.submit = submit  # type: ignore[method-assign]
    packing.sign_block = sign_block


def lie_to_sites() -> None:
    """Silence where cosignatures are asked for, spoilt ledgers for those that copy, payloads that were to be destroyed."""
    from sento_node.erasure import carrying_out
    from sento_node.quorum.checkpoints import Checkpoints
    from sento_node.quorum.effects import AnswerCosign
    from sento_node.sync import fetching, making
    from sento_proto.chunk import Payload
    from sento_proto.errors import Code

    giving: Any = making
    erasing: Any = carrying_out
    agreeing: Any = Checkpoints
    true_payloads, true_destroyed = giving.encode_payloads, fetching.is_destroyed
    true_propose, true_consider = agreeing._may_propose, agreeing._consider
    true_erase, true_step = erasing.Eraser._erase, erasing.next_step

    def payloads(chosen: Any) -> bytes:
        spoilt = [Payload(position, flipped(data, WRAP_AT)) for position, data in chosen]
        body: bytes = true_payloads(spoilt if ordered("sync") else chosen)
        return body

    def may_propose(self: Any, now_ms: int) -> bool:
        return not ordered("mute") and bool(true_propose(self, now_ms))

    def consider(self: Any, ticket: int, *given: Any) -> Any:
        if ordered("mute"):
            return [AnswerCosign(ticket, (), Code.NOT_READY)]
        return true_consider(self, ticket, *given)

    async def erase(self: Any, order: Any) -> None:
        if not ordered("keep-erased"):
            await true_erase(self, order)
        self._clear.add(order.position)

    def next_step(facts: Any) -> Any:
        if ordered("keep-erased") and facts.due and not facts.payloads_left:
            return erasing.Certify(facts.due)
        return true_step(facts)

    def is_destroyed(governance: Any, kept: Any) -> bool:
        return False if ordered("keep-erased") else true_destroyed(governance, kept)

    giving.encode_payloads = payloads
    fetching.is_destroyed = is_destroyed
    agreeing._may_propose, agreeing._consider = may_propose, consider
    erasing.Eraser._erase, erasing.next_step = erase, next_step


if __name__ == "__main__":
    lie_in_records()
    lie_in_statements()
    lie_to_writers()
    lie_to_sites()
    from sento_node.cli import main

    main()
