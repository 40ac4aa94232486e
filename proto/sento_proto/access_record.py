"""Access records: what a site writes of each release of a person's payloads, and of each refused attempt, before anything leaves.

    author      "/sites/<site>", signed with the site's key      registry: the one that was read      compartment `access`
    kind        access | access-refused | access-delayed         key epoch: one of the registry's that is open
    subject     the person's; for access-delayed that of the delay (`subject_of_delay`)
    fact        SHA-256("sento access" || record id)[:16]         previous, group: zeros
    payload     sealed as any other, at most the size class of 8 KiB; the site makes the KEK and seals it to the readers of (registry, access)

    content     {"format": "sento-access-1", "site", "reader", "role", "purpose", "case_number", "method": "read" | "fact" | "subject" | "changes" |
                 "extract" | "extract-opened",
                 "records": [hex 32, at most 64], "more": n, "outcome": "released" | name of an error code, "refused_before": n, "asked_at_ms": n,
                 the two of extracts alone: "extract": hex 16; access-delayed alone: "subject": hex 32, "delay": name}

`extract` is a release into a sealed extract (`extract.py`), `extract-opened` what its reader reported of opening it where no site could be reached: then
`asked_at_ms` is the reader's clock, and purpose and case number are those of the opening.

`more` counts records of the request beyond those named, of an opening all of them; `refused_before` refused attempts of this reader since its last access
record. A site can write what it likes in here, as a thief of its key can: the header says under whose name. No budget bounds access records, because a full
budget would stop reading or leave it unrecorded; a site that fills the ledger is seen by its name and ended by officers. Reading access records is itself not
recorded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sento_proto.errors import Code
from sento_proto.governance.state import ACCESS_COMPARTMENT, Governance
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES, KIB
from sento_proto.rules import RULES
from sento_proto.sealing import payload_bytes_for
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

FORMAT = "sento-access-1"
COMPARTMENT = ACCESS_COMPARTMENT
KIND_RELEASED = "access"
KIND_REFUSED = "access-refused"
KIND_DELAYED = "access-delayed"
KINDS = (KIND_RELEASED, KIND_REFUSED, KIND_DELAYED)
METHOD_EXTRACT, METHOD_EXTRACT_OPENED = "extract", "extract-opened"
EXTRACT_METHODS = (METHOD_EXTRACT, METHOD_EXTRACT_OPENED)
METHODS = ("read", "fact", "subject", "changes", *EXTRACT_METHODS)
EXTRACT_ID_BYTES = 16
RELEASED = "released"
RECORDS_MAX = 64
CONTENT_MAX_BYTES = 8 * KIB - 4
PAYLOAD_MAX_BYTES = payload_bytes_for(CONTENT_MAX_BYTES)
HASH_BYTES = 32
COUNT_MAX = 2**63 - 1
_OUTCOMES = (RELEASED, *(code.name for code in Code if code not in (Code.ACCEPTED, Code.KNOWN)))


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What an access record says. `role`: of the caller's identity ("reader", "author"); `records`: hashes of what was asked for, at most 64; `more`: how many
    beyond those; `outcome`: "released" or the name of the error code; `asked_at_ms`: the site's clock since 1970 UTC.

    `subject` and `delay` are set together, for what stands under a delay's subject: the person whom it is about, 32 bytes, and the delay's name."""

    site: str
    reader: str
    role: str
    purpose: str
    case_number: str
    method: str
    records: tuple[bytes, ...]
    more: int
    outcome: str
    refused_before: int
    asked_at_ms: int
    subject: bytes | None = None
    delay: str | None = None
    extract: bytes | None = None
    """The extract's id, where the method is one of extracts."""

    @property
    def kind(self) -> str:
        """The kind of the record that says this."""
        if self.delay is not None:
            return KIND_DELAYED
        return KIND_RELEASED if self.outcome == RELEASED else KIND_REFUSED


def encode_access(access: AccessRecord) -> bytes:
    """The content to be sealed. Raises Malformed for what `decode_access` would refuse, as a purpose of two lines: ask before anything is released."""
    value: dict[str, object] = {
        "format": FORMAT,
        "site": access.site,
        "reader": access.reader,
        "role": access.role,
        "purpose": access.purpose,
        "case_number": access.case_number,
        "method": access.method,
        "records": [record.hex() for record in access.records],
        "more": access.more,
        "outcome": access.outcome,
        "refused_before": access.refused_before,
        "asked_at_ms": access.asked_at_ms,
    }
    if access.subject is not None:
        value["subject"] = access.subject.hex()
    if access.delay is not None:
        value["delay"] = access.delay
    if access.extract is not None:
        value["extract"] = access.extract.hex()
    try:
        content = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("access record: a text is no Unicode") from None
    decode_access(content)
    return content


def decode_access(content: bytes) -> AccessRecord:
    """What an opened access record says. Raises Malformed."""
    if len(content) > CONTENT_MAX_BYTES:
        raise Malformed(f"access record: over {CONTENT_MAX_BYTES} bytes")
    fields = load(content, "access record")
    if fields.text("format") != FORMAT:
        raise Malformed(f"access record: format must be {FORMAT}")
    access = AccessRecord(
        site=fields.institution("site"),
        reader=fields.institution("reader"),
        role=fields.name("role"),
        purpose=fields.text("purpose"),
        case_number=fields.text("case_number"),
        method=fields.choice("method", METHODS),
        records=fields.hexes("records", HASH_BYTES),
        more=fields.number("more", 0, COUNT_MAX),
        outcome=fields.choice("outcome", _OUTCOMES),
        refused_before=fields.number("refused_before", 0, COUNT_MAX),
        asked_at_ms=fields.number("asked_at_ms", 0, COUNT_MAX),
        subject=fields.hex("subject", HASH_BYTES) if fields.has("subject") else None,
        delay=fields.institution("delay") if fields.has("delay") else None,
        extract=fields.hex("extract", EXTRACT_ID_BYTES) if fields.has("extract") else None,
    )
    fields.end()
    if len(access.records) > RECORDS_MAX:
        raise Malformed(f"access record: records names at most {RECORDS_MAX}")
    if (access.subject is None) != (access.delay is None):
        raise Malformed("access record: subject and delay stand together")
    if access.extract is not None and access.method not in EXTRACT_METHODS:
        raise Malformed("access record: extract stands with a method of extracts")
    return access


def fact_of_access(record_id: bytes) -> bytes:
    """The fact of an access record, 16 bytes: each is its fact's only version."""
    return hashlib.sha256(b"sento access" + record_id).digest()[:16]


def access_header(
    record_id: bytes,
    site_key_id: bytes,
    time_ms: int,
    *,
    registry: str,
    key_epoch: int,
    subject: bytes,
    kind: str,
    payload_bytes: int = 0,
    dek_commit: bytes = ZERO32,
) -> Header:
    """The header of an access record; `seal_record` fills in payload length and DEK commitment. `subject`: what the record stands under."""
    return Header(
        record_id=record_id,
        author_key_id=site_key_id,
        time_ms=time_ms,
        key_epoch=key_epoch,
        payload_bytes=payload_bytes,
        subject=subject,
        fact=fact_of_access(record_id),
        previous=ZERO32,
        group=ZERO16,
        dek_commit=dek_commit,
        registry=registry,
        compartment=COMPARTMENT,
        kind=kind,
    )


def judge_access_record(governance: Governance, site: str, header: Header) -> Code | None:
    """Why a site's access record may not stand; None when it may. Its fact's `previous` is asked elsewhere.

    KEY_ENDED: not the site's key in force. NOT_PERMITTED: no place for an access record, or no delay of that subject in the registry, or rules that have none.
    MALFORMED: fields where access records have no choice. KEY_EPOCH_CLOSED: sealed under a key epoch that officers closed."""
    if not RULES[governance.rules].read_log:
        return Code.NOT_PERMITTED
    standing = governance.sites.get(site)
    if standing is None or standing.key.key_id != header.author_key_id:
        return Code.KEY_ENDED
    registry = header.registry
    if registry not in governance.registries or registry in CLEAR_CONTENT_REGISTRIES:
        return Code.NOT_PERMITTED
    if header.compartment != COMPARTMENT or header.kind not in KINDS:
        return Code.NOT_PERMITTED
    if not 0 < header.payload_bytes <= PAYLOAD_MAX_BYTES:
        return Code.MALFORMED
    if (header.fact, header.previous, header.group) != (fact_of_access(header.record_id), ZERO32, ZERO16):
        return Code.MALFORMED
    if header.kind == KIND_DELAYED and not _is_delayed(governance, registry, header.subject):
        return Code.NOT_PERMITTED
    return governance.key_epoch_refusal(registry, header.key_epoch)


def _is_delayed(governance: Governance, registry: str, subject: bytes) -> bool:
    """Whether a delay of this registry has the subject. A released one too: what a site without a link recorded while it stood arrives later."""
    return any(
        delay.subject == subject and registry in delay.registries
        for delay in governance.read_log_delays.values()
    )
