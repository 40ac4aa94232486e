"""Every error code, once: what happened, what to do, and whether the same record may be sent again.

Codes are stable: programs compare them, runbooks name them, a renamed code is a broken promise. Outcomes of records and errors of calls share one
table, because a person reads both. `Standing` says what a code means for the record it speaks of.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple


class Standing(Enum):
    """What a code means for the record or call it speaks of."""

    STANDS = "stands"
    """The record is in the ledger."""
    FINAL = "final"
    """It can never come true later: do not send it again."""
    NOT_YET = "not yet"
    """Not now; the client keeps the record and its id and sends it again once the cause is gone."""
    UNKNOWN = "outcome unknown"
    """It may or may not be ordered; sending it again with the same record id, anywhere, is safe."""
    TRY_AGAIN = "try again"
    """Nothing was ordered; send it again, here or at another site."""
    FIX_CALL = "fix the call"
    """Nothing was done; the same call will fail again."""


class Code(IntEnum):
    """Stable numbers on the wire; names are what people and programs see."""

    ACCEPTED = 1
    KNOWN = 2
    MALFORMED = 10
    BAD_SIGNATURE = 11
    RECORD_ID_REUSED = 12
    STALE = 13
    GROUP_REFUSED = 14
    KEY_ENDED = 15
    ACT_REFUSED = 16
    KEY_EPOCH_CLOSED = 17
    NOT_AN_OFFICER = 18
    PREDECESSOR_MISSING = 20
    NOT_PERMITTED = 21
    HELD = 22
    UNKNOWN_AUTHOR = 23
    TOO_FEW_OFFICERS = 24
    RULES_NOT_ANNOUNCED = 25
    TOO_LARGE = 30
    WRONG_LEDGER = 31
    EPOCH_ENDED = 32
    NOT_PROVEN = 33
    PLAN_NOT_FIT = 34
    MAJORITY_ANSWERS = 35
    QUEUE_FULL = 40
    ORDERING_FULL = 41
    NO_ORDERING = 42
    DISK_LOW = 43
    NOT_READY = 44
    STOPPING = 45
    STOPPED = 46
    RATE_LIMITED = 47
    CLOCK_AHEAD = 48
    IMPORT_RUNNING = 49
    NOT_FOUND = 50
    NOT_FRESH = 51
    PURPOSE_MISSING = 52
    OUT_OF_RANGE = 53
    ERASED = 54
    PAYLOAD_AWAITED = 55
    NOT_CONFIRMED = 56
    ACCESS_NOT_RECORDED = 57
    ACCESS_NOT_PROVEN = 58
    KEY_AGENT_ONLY = 59
    IDENTITY_REFUSED = 60
    DEADLINE = 61
    UNREACHABLE = 62
    OUTBOX_FULL = 63
    OUTBOX_FAILED = 64
    IDENTITY_EXPIRED = 65
    SIGNER_FAILED = 66
    NO_LEDGER_HERE = 67
    EXTRACT_ENDED = 68
    DIVERGED = 70
    DAMAGED = 71
    REBUILDING = 72
    MEMBER_NOT_CHANGED = 73
    TWO_EPOCHS = 74
    PLACEMENT_REFUSED = 75
    BAD_REQUEST = 80
    INTERNAL = 90


class Entry(NamedTuple):
    """One row of the table. `grpc_status` is the name of the gRPC status that carries the code when it ends a call."""

    standing: Standing
    cause: str
    remedy: str
    grpc_status: str


_S = Standing
TABLE: dict[Code, Entry] = {
    Code.ACCEPTED: Entry(_S.STANDS, "The record stands in the ledger.", "Nothing to do.", "OK"),
    Code.KNOWN: Entry(
        _S.STANDS, "The same record stood already; this is its position.", "Nothing to do.", "OK"
    ),
    Code.MALFORMED: Entry(
        _S.FINAL,
        "The bytes are not a record, submission or block in the one accepted form.",
        "Build it with the client library of this release; if you did, report a defect.",
        "INVALID_ARGUMENT",
    ),
    Code.BAD_SIGNATURE: Entry(
        _S.FINAL,
        "The author's signature does not verify over these records.",
        "Sign again with the key that the key id names; if the bytes crossed a proxy, look there for the alteration.",
        "INVALID_ARGUMENT",
    ),
    Code.RECORD_ID_REUSED: Entry(
        _S.FINAL,
        "This author's record id stands already with other content.",
        "Read the standing record; if the new content is meant, write it as a further version with a new id.",
        "ALREADY_EXISTS",
    ),
    Code.STALE: Entry(
        _S.FINAL,
        "The fact has a newer version than the one this record follows.",
        "Read the fact again, apply the change to the newest version, and write with a new id.",
        "ABORTED",
    ),
    Code.GROUP_REFUSED: Entry(
        _S.FINAL,
        "Another record of the same group was refused, so none of the group stands.",
        "Look at the member with a code of its own: if that is final, write the group anew with new ids; if it is not yet, send the same group again.",
        "ABORTED",
    ),
    Code.KEY_ENDED: Entry(
        _S.FINAL,
        "The key that signed was revoked, or was retired and its time for late records is over.",
        "Write the record again under the author's present key; if nobody retired the key, ask the officers why they revoked it.",
        "PERMISSION_DENIED",
    ),
    Code.ACT_REFUSED: Entry(
        _S.FINAL,
        "The officers' act does not fit the governance that it follows, so nothing of it was done.",
        "Run sento govern propose on the newest governance: it says which change does not fit; then sign the new act.",
        "FAILED_PRECONDITION",
    ),
    Code.KEY_EPOCH_CLOSED: Entry(
        _S.FINAL,
        "The record is sealed under a key epoch that the officers closed.",
        "Write it again: the client seals it under the present key epoch; sento keys make makes the key if there is none yet.",
        "FAILED_PRECONDITION",
    ),
    Code.NOT_AN_OFFICER: Entry(
        _S.FINAL,
        "A signature under the act is not that of an officer or deputy in office, so the act does not count.",
        "See with sento govern show who is in office, and let those sign the act anew.",
        "PERMISSION_DENIED",
    ),
    Code.PREDECESSOR_MISSING: Entry(
        _S.NOT_YET,
        "The version that this record follows has not arrived here.",
        "Keep the record; send the predecessor first or wait for its author.",
        "FAILED_PRECONDITION",
    ),
    Code.NOT_PERMITTED: Entry(
        _S.NOT_YET,
        "Governance does not give this institution the permission at this position.",
        "See with sento govern show what it may do, and ask the officers for the permission; a record that was refused may then be sent again as it is.",
        "PERMISSION_DENIED",
    ),
    Code.HELD: Entry(
        _S.NOT_YET,
        "The author's budget of records or of distinct subjects is used up.",
        "If the load is meant, ask the officers to raise the budget; if it is not, look who is using the author's key.",
        "RESOURCE_EXHAUSTED",
    ),
    Code.UNKNOWN_AUTHOR: Entry(
        _S.NOT_YET,
        "No author was ever enrolled with this key.",
        "Check the key file against the genesis file, or have the key enrolled.",
        "PERMISSION_DENIED",
    ),
    Code.TOO_FEW_OFFICERS: Entry(
        _S.NOT_YET,
        "Fewer officers signed the act than must act together; an officer and the deputy count once.",
        "Let further officers sign the same file with sento govern sign, then submit it again.",
        "FAILED_PRECONDITION",
    ),
    Code.RULES_NOT_ANNOUNCED: Entry(
        _S.NOT_YET,
        "A site has not announced that its release knows the rules that the act asks for.",
        "See with sento govern show which site it is, install a newer release there, then submit the same act again.",
        "FAILED_PRECONDITION",
    ),
    Code.TOO_LARGE: Entry(
        _S.FIX_CALL,
        "The message is over a size limit.",
        "Split it: at most 56 KiB of records in a submission, 30 KiB of content in a record.",
        "INVALID_ARGUMENT",
    ),
    Code.WRONG_LEDGER: Entry(
        _S.FIX_CALL,
        "The submission was made for another ledger.",
        "Compare the ledger id in the client's configuration with the site's; a training ledger is never the production one.",
        "FAILED_PRECONDITION",
    ),
    Code.EPOCH_ENDED: Entry(
        _S.TRY_AGAIN,
        "A newer epoch of this ledger has begun, and this site still stands in an older one: it takes nothing more.",
        "Send to a site of the newer epoch; operators bring this one over (runbook: restore).",
        "FAILED_PRECONDITION",
    ),
    Code.NOT_PROVEN: Entry(
        _S.FINAL,
        "What was brought does not follow from this ledger and from what a quorum cosigned, so nothing of it was used.",
        "Bring a good copy of the piece that the message names; what is proven already stays.",
        "FAILED_PRECONDITION",
    ),
    Code.PLAN_NOT_FIT: Entry(
        _S.FIX_CALL,
        "The plan cannot be carried out here; nothing was changed.",
        "Mend what the message names: more signatures, the plan of this ledger, or one made anew.",
        "FAILED_PRECONDITION",
    ),
    Code.MAJORITY_ANSWERS: Entry(
        _S.FIX_CALL,
        "A majority of the voting sites answers, so the registry goes on and is not to be recovered.",
        "Look at sento status; bring single sites back, or relocate. Who recovers all the same says why in the plan.",
        "FAILED_PRECONDITION",
    ),
    Code.QUEUE_FULL: Entry(
        _S.TRY_AGAIN,
        "This site's queue for the author is full.",
        "Wait a moment and send again; spread the load over sites if it lasts.",
        "RESOURCE_EXHAUSTED",
    ),
    Code.ORDERING_FULL: Entry(
        _S.TRY_AGAIN,
        "The ordering log is half full because the ledgers have not taken over its blocks.",
        "Wait; operators look which site holds back trimming (sento status).",
        "RESOURCE_EXHAUSTED",
    ),
    Code.NO_ORDERING: Entry(
        _S.UNKNOWN,
        "The ordering log did not answer in time; the record may or may not be ordered.",
        "Send the same record with the same id again, at another site.",
        "UNAVAILABLE",
    ),
    Code.DISK_LOW: Entry(
        _S.TRY_AGAIN,
        "The site's disk is nearly full, so it takes no new records.",
        "Send to another site; operators free space and the site opens again by itself.",
        "RESOURCE_EXHAUSTED",
    ),
    Code.NOT_READY: Entry(
        _S.TRY_AGAIN,
        "The site is starting or catching up.",
        "Send to another site, or wait until its status says serving.",
        "UNAVAILABLE",
    ),
    Code.STOPPING: Entry(_S.TRY_AGAIN, "The site is being stopped.", "Send to another site.", "UNAVAILABLE"),
    Code.STOPPED: Entry(
        _S.TRY_AGAIN,
        "The site stopped itself because its own disk or state can no longer be trusted.",
        "Send to another site; operators read the site's log and follow the runbook.",
        "UNAVAILABLE",
    ),
    Code.RATE_LIMITED: Entry(
        _S.TRY_AGAIN,
        "This program asks faster than it may: the pseudonym service for names, or a site for signed heads.",
        "Wait as long as the message says; if the load is meant, raise the limit for this institution at the pseudonym service, or ask other sites too.",
        "RESOURCE_EXHAUSTED",
    ),
    Code.CLOCK_AHEAD: Entry(
        _S.TRY_AGAIN,
        "The record's time is minutes ahead of the site's clock, so one of the two clocks is wrong.",
        "Set this computer's clock by a time server; if it is right, try another site and tell the operators of this one.",
        "FAILED_PRECONDITION",
    ),
    Code.IMPORT_RUNNING: Entry(
        _S.TRY_AGAIN,
        "Another import is running at this site.",
        "Wait for it to end, then run this one again: it goes on from where the site stands.",
        "UNAVAILABLE",
    ),
    Code.NOT_FOUND: Entry(
        _S.FIX_CALL,
        "Nothing stands under that name at this position.",
        "Check the name; or read LINEARIZABLE.",
        "NOT_FOUND",
    ),
    Code.NOT_FRESH: Entry(
        _S.TRY_AGAIN,
        "No majority confirmed in time that this answer would be current.",
        "Ask another site, or read LOCAL and mind the age in the answer.",
        "UNAVAILABLE",
    ),
    Code.PURPOSE_MISSING: Entry(
        _S.FIX_CALL,
        "A request for records carries a purpose and a case number, and this one does not.",
        "State both; they will be shown to the person concerned.",
        "INVALID_ARGUMENT",
    ),
    Code.OUT_OF_RANGE: Entry(
        _S.FIX_CALL,
        "The position or size asked for is beyond this site's ledger.",
        "Ask for less, or wait until the site has caught up.",
        "OUT_OF_RANGE",
    ),
    Code.ERASED: Entry(
        _S.FIX_CALL,
        "The payload was erased by order; header and proofs still stand.",
        "Nothing brings it back; the erasure order in the ledger says why.",
        "NOT_FOUND",
    ),
    Code.PAYLOAD_AWAITED: Entry(
        _S.TRY_AGAIN,
        "This site does not hold the payload yet; it asks the other sites for it.",
        "Ask another site, or this one later.",
        "UNAVAILABLE",
    ),
    Code.NOT_CONFIRMED: Entry(
        _S.TRY_AGAIN,
        "Too few sites of the receipt set signed the same word on this subject's newest record.",
        "Wait until more sites answer, or read without confirmation and say as of when.",
        "UNAVAILABLE",
    ),
    Code.ACCESS_NOT_RECORDED: Entry(
        _S.TRY_AGAIN,
        "The access record could not be written, so the payload was not released.",
        "Ask another site, or this one when it can write again.",
        "UNAVAILABLE",
    ),
    Code.ACCESS_NOT_PROVEN: Entry(
        _S.FIX_CALL,
        "No access record that stands in the ledger names this reader and this record, or it was used already.",
        "Read the record again from a site and hand over the access record that comes with it.",
        "PERMISSION_DENIED",
    ),
    Code.KEY_AGENT_ONLY: Entry(
        _S.FIX_CALL,
        "This compartment is opened by its key agent alone, record by record.",
        "Name the key agent's address in the configuration; it unwraps one record's key for one access record.",
        "PERMISSION_DENIED",
    ),
    Code.IDENTITY_REFUSED: Entry(
        _S.FIX_CALL,
        "The certificate's identity may not make this call.",
        "Check which certificate the program uses and what its role is.",
        "PERMISSION_DENIED",
    ),
    Code.DEADLINE: Entry(
        _S.UNKNOWN,
        "The call took longer than its deadline; what it wrote may or may not stand.",
        "Send the same record with the same id again, or ask for its outcome by id.",
        "DEADLINE_EXCEEDED",
    ),
    Code.UNREACHABLE: Entry(
        _S.UNKNOWN,
        "No site could be reached, or the connection broke before the answer.",
        "Check network and certificates; the same record with the same id is safe to send again.",
        "UNAVAILABLE",
    ),
    Code.OUTBOX_FULL: Entry(
        _S.TRY_AGAIN,
        "The outbox on this computer is full, so the record was neither kept nor sent.",
        "See with sento outbox what it waits for; it empties by itself once sites can be reached and cosign; a larger disk or limit takes more.",
        "RESOURCE_EXHAUSTED",
    ),
    Code.OUTBOX_FAILED: Entry(
        _S.UNKNOWN,
        "The disk under the outbox failed, so nothing is written through it any more.",
        "Check the disk and start the program again: what is on it is sent then; the same record with the same id is safe to send again.",
        "INTERNAL",
    ),
    Code.IDENTITY_EXPIRED: Entry(
        _S.FIX_CALL,
        "The caller's certificate expired while the connection lasted.",
        "Renew the certificate; the client picks the new file up by itself, and unanswered records are safe to send again.",
        "UNAUTHENTICATED",
    ),
    Code.SIGNER_FAILED: Entry(
        _S.TRY_AGAIN,
        "The signing key on this computer did not sign, so the record was neither kept nor sent.",
        "Look at the token or key service that the message names; once it answers, the same record may be sent again.",
        "UNAVAILABLE",
    ),
    Code.NO_LEDGER_HERE: Entry(
        _S.TRY_AGAIN,
        "This site is a tie-breaker: it votes in the ordering log and keeps no ledger.",
        "Ask a site that keeps the ledger.",
        "FAILED_PRECONDITION",
    ),
    Code.EXTRACT_ENDED: Entry(
        _S.FIX_CALL,
        "The extract's time is over, so it is not opened any more.",
        "Ask a site for the records, or for a new extract.",
        "FAILED_PRECONDITION",
    ),
    Code.DIVERGED: Entry(
        _S.TRY_AGAIN,
        "This site's ledger differs from the quorum's at equal size, so it answers nothing.",
        "Ask another site; operators rebuild this one from its last agreed size.",
        "UNAVAILABLE",
    ),
    Code.DAMAGED: Entry(
        _S.TRY_AGAIN,
        "What this site has on disk for that record does not verify, so it is not given out.",
        "Ask another site; operators run sento-node verify here.",
        "DATA_LOSS",
    ),
    Code.REBUILDING: Entry(
        _S.TRY_AGAIN,
        "This site makes its ledger anew from other sites and answers nothing until it is proven.",
        "Ask another site; sento status shows how far it is.",
        "UNAVAILABLE",
    ),
    Code.MEMBER_NOT_CHANGED: Entry(
        _S.TRY_AGAIN,
        "The ordering log's members were not changed.",
        "Look at what the message names; the same command goes on from where it stands.",
        "UNAVAILABLE",
    ),
    Code.TWO_EPOCHS: Entry(
        _S.UNKNOWN,
        "Two epochs of this ledger began from one parent, by two plans that officers signed, and this site takes no further part in either.",
        "Officers sign a plan with a higher number, which brings both sides together: every site is given that one (runbook: recover).",
        "FAILED_PRECONDITION",
    ),
    Code.PLACEMENT_REFUSED: Entry(
        _S.FIX_CALL,
        "Copies or votes would stand where one event may take too many of them.",
        "Choose other sites, or have the plan name each finding that the officers accept.",
        "FAILED_PRECONDITION",
    ),
    Code.BAD_REQUEST: Entry(
        _S.FIX_CALL,
        "A field of the request is missing or out of bounds.",
        "Mend the field that the message names.",
        "INVALID_ARGUMENT",
    ),
    Code.INTERNAL: Entry(
        _S.UNKNOWN,
        "The site met a condition that it does not know.",
        "Send the same record with the same id to another site and report the time to the operators.",
        "INTERNAL",
    ),
}

STANDING_CODES = frozenset(code for code, entry in TABLE.items() if entry.standing is Standing.STANDS)
FINAL_CODES = frozenset(code for code, entry in TABLE.items() if entry.standing is Standing.FINAL)


class SentoError(Exception):
    """An error with a stable code. `detail` adds what is particular to this case, never a name, a number or a key of a person."""

    def __init__(self, code: Code, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(describe(code, detail))


def describe(code: Code, detail: str = "") -> str:
    """`CODE: cause (detail) remedy` for people."""
    entry = TABLE[code]
    middle = f" ({detail})" if detail else ""
    return f"{code.name}: {entry.cause}{middle} {entry.remedy}"
