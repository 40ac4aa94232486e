"""A record as it stands in files that are carried by hand: with its submission's signatures, so that it verifies alone.

    {"position": n, "record_hash": hex, "header": base64, "payload_hash": hex,
     "submission": {"author_key_id": hex, "count": n, "index": n, "path": [hex], "signatures": [{"suite", "data": base64}],
                    "officers": [{"key_id": hex, "suite", "data": base64}], "epoch": n},
     and where they are known "payload": base64, "link": hex, "previous_of_subject": n or null}
    {"position", "record_hash", "link", "previous_of_subject", "hidden": true}        of a compartment that who wrote the file may not see

Receipts, `trust.json`, exports and proofs of fraud hold such objects. Nothing in one is believed: `author_of` says who signed it by the keys of governance.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from typing import NamedTuple

from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.errors import Code
from sento_proto.governance.acts import OFFICERS_AUTHOR, act_signatures_refusal, is_act_header
from sento_proto.governance.state import Governance, site_author
from sento_proto.header import ZERO16, Header
from sento_proto.keys import KEY_ID_BYTES, PublicKey, Signature
from sento_proto.merkle import HASH_BYTES, root_of_path
from sento_proto.record import record_hash_of
from sento_proto.strict_json import Fields
from sento_proto.submission import OfficerSignature, signatures_hold
from sento_proto.wire import Malformed

POSITION_MAX = 2**63 - 1
_U32_MAX = 2**32 - 1


class SubmissionPath(NamedTuple):
    """How a record hangs under its author's signature: place and path in the submission's small tree.

    An officers' act has an author key id of zeros, no signatures, the officers' signatures and the epoch they are for."""

    author_key_id: bytes
    records: int
    place: int
    path: tuple[bytes, ...]
    signatures: tuple[Signature, ...]
    officers: tuple[OfficerSignature, ...] = ()
    epoch: int = 0


class RecordObject(NamedTuple):
    """One such object. `payload`, `link`: None where the file does not have them. `hidden`: only position, hash and link are there."""

    position: int
    record_hash: bytes
    header_bytes: bytes
    payload_hash: bytes
    submission: SubmissionPath
    payload: bytes | None = None
    link: bytes | None = None
    previous_of_subject: int | None = None
    hidden: bool = False


class NotShown(Exception):
    """The object does not show what it should. `check`: "form", "hash", "author" or "signature"; `why` in words."""

    def __init__(self, check: str, why: str) -> None:
        self.check = check
        self.why = why
        super().__init__(f"{check}: {why}")


_NO_SUBMISSION = SubmissionPath(ZERO16, 0, 0, (), ())


def checked_header(record: RecordObject) -> Header:
    """The header, which the record hash must cover. Raises NotShown form or hash."""
    try:
        header = header_layout.decode(record.header_bytes)
    except Malformed as error:
        raise NotShown("form", str(error)) from None
    if record_hash_of(record.header_bytes, record.payload_hash) != record.record_hash:
        raise NotShown("hash", "the record hash is not that of header and payload hash")
    return header


def author_of(governance: Governance, header: Header, record_hash: bytes, submission: SubmissionPath) -> str:
    """Who signed the record, by any key that governance ever knew: an institution, `/sites/<name>`, or `/officers`. Raises NotShown author or signature.

    Whether those who signed an act were enough is asked by whoever follows governance."""
    if header.author_key_id != submission.author_key_id:
        raise NotShown("author", "header and submission differ")
    if submission.author_key_id == ZERO16:
        _must_be_act(governance, header, record_hash, submission)
        return OFFICERS_AUTHOR
    known = signer_of(governance, submission.author_key_id)
    if known is None:
        raise NotShown("author", "no author and no site that governance knows ever had this key")
    name, keys = known
    root = root_of_path(record_hash, submission.place, submission.records, submission.path)
    if root is None or len(submission.signatures) != len(keys):
        raise NotShown("signature", "path or signature frame does not fit the submission")
    if not _signatures_hold(governance.ledger_id, root, submission.records, keys, submission.signatures):
        raise NotShown("signature", f"the signature is not that of {name} over this record")
    return name


def signer_of(governance: Governance, key_id: bytes) -> tuple[str, tuple[PublicKey, ...]] | None:
    """Whose key it was at any time, and the keys that sign under it: itself, and its companion."""
    known = governance.author_keys.get(key_id)
    if known is not None:
        return known.author, known.keys
    site = governance.site_keys_ever.get(key_id)
    return None if site is None else (site_author(site[0]), (site[1],))


def _must_be_act(
    governance: Governance, header: Header, record_hash: bytes, submission: SubmissionPath
) -> None:
    if not is_act_header(header) or not submission.officers or submission.records != 1:
        raise NotShown("author", "it names no author and is no act of officers")
    refusal = act_signatures_refusal(governance, submission.epoch, record_hash, submission.officers)
    if refusal is Code.NOT_AN_OFFICER:
        raise NotShown("author", "one of those who signed the act never was an officer")
    if refusal is not None:
        raise NotShown("signature", "an officer's signature is not over this act, for this ledger and epoch")


@functools.lru_cache(maxsize=1024)
def _signatures_hold(
    ledger_id: bytes,
    root: bytes,
    count: int,
    keys: tuple[PublicKey, ...],
    signatures: tuple[Signature, ...],
) -> bool:
    """Records of one submission share its signatures; they are verified once (about 140 µs)."""
    return signatures_hold(ledger_id, root, count, keys, signatures)


# The form in files.


def record_value(record: RecordObject) -> dict[str, object]:
    """The object, for `json.dumps`."""
    value: dict[str, object] = {"position": record.position, "record_hash": record.record_hash.hex()}
    if record.hidden:
        value["hidden"] = True
    else:
        value["header"] = _base64(record.header_bytes)
        value["payload_hash"] = record.payload_hash.hex()
        value["submission"] = _submission_value(record.submission)
    if record.payload is not None:
        value["payload"] = _base64(record.payload)
    if record.link is not None:
        value["link"] = record.link.hex()
        value["previous_of_subject"] = record.previous_of_subject
    return value


def read_record_object(fields: Fields) -> RecordObject:
    """The object that is being read, for `Fields.inner` and `Fields.objects`. Raises Malformed."""
    position = fields.number("position", 0, POSITION_MAX)
    record_hash = fields.hex("record_hash", HASH_BYTES)
    link, previous = _read_chain(fields)
    if fields.has("hidden"):
        if not fields.flag("hidden") or link is None:
            raise fields.wrong("hidden", "must be true, and stands beside a link")
        return RecordObject(position, record_hash, b"", b"", _NO_SUBMISSION, None, link, previous, True)
    return RecordObject(
        position,
        record_hash,
        fields.blob("header"),
        fields.hex("payload_hash", HASH_BYTES),
        fields.inner("submission", _read_submission),
        fields.blob("payload") if fields.has("payload") else None,
        link,
        previous,
    )


def _read_chain(fields: Fields) -> tuple[bytes | None, int | None]:
    if not fields.has("link"):
        return None, None
    link = fields.hex("link", HASH_BYTES)
    value = fields.raw("previous_of_subject")
    if value is not None and (type(value) is not int or not 0 <= value <= POSITION_MAX):
        raise fields.wrong("previous_of_subject", "must be a position or null")
    return link, value


def _submission_value(submission: SubmissionPath) -> dict[str, object]:
    return {
        "author_key_id": submission.author_key_id.hex(),
        "count": submission.records,
        "index": submission.place,
        "path": hexes(submission.path),
        "signatures": [_signature_value(signature) for signature in submission.signatures],
        "officers": [
            {"key_id": officer.officer_key_id.hex(), **_signature_value(officer.signature)}
            for officer in submission.officers
        ],
        "epoch": submission.epoch,
    }


def _signature_value(signature: Signature) -> dict[str, object]:
    return {"suite": signature.suite, "data": _base64(signature.data)}


def _read_submission(fields: Fields) -> SubmissionPath:
    submission = SubmissionPath(
        fields.hex("author_key_id", KEY_ID_BYTES),
        fields.number("count", 1, limits.SUBMISSION_MAX_RECORDS),
        fields.number("index", 0, limits.SUBMISSION_MAX_RECORDS - 1),
        fields.hexes("path", HASH_BYTES),
        fields.objects("signatures", read_signature),
        fields.objects("officers", read_officer_signature),
        fields.number("epoch", 0, _U32_MAX),
    )
    is_act = submission.author_key_id == ZERO16
    if (submission.signatures and is_act) or ((submission.officers or submission.epoch) and not is_act):
        # What nobody signed must not vary: each record has one form.
        raise fields.wrong("officers", "and epoch are an act's alone, and signatures an author's")
    return submission


def read_signature(fields: Fields) -> Signature:
    """{"suite", "data": base64}. Raises Malformed."""
    return Signature(fields.number("suite", 1, 255), fields.blob("data"))


def read_officer_signature(fields: Fields) -> OfficerSignature:
    """The same with "key_id". Raises Malformed."""
    return OfficerSignature(fields.hex("key_id", KEY_ID_BYTES), read_signature(fields))


def hexes(hashes: Sequence[bytes]) -> list[str]:
    """A path, for `json.dumps`."""
    return [each.hex() for each in hashes]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
