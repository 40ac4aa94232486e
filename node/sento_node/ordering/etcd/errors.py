"""From gRPC status to ordering error: the one table that says what a failed call to etcd means for the caller.

The codes alone do not tell: RESOURCE_EXHAUSTED is "the quota is reached" or "too busy", UNAVAILABLE is "nobody answered" or "this member may
not". So each row is a code and a piece of the text that etcd 3.4 to 3.6 sends with it; the first row that fits decides. Whatever no row names
is OutcomeUnknown: retrying an append is always safe, claiming that nothing happened is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from grpc import StatusCode

from sento_node.ordering.port import OrderingError, OrderingFull, OrderingRefused, OutcomeUnknown


class HistoryForgotten(OrderingRefused):
    """The revision asked for was compacted."""


class NotTheLead(OrderingRefused):
    """Only the leading member accepts this call, and this one does not lead."""


@dataclass(frozen=True, slots=True)
class _Row:
    code: StatusCode
    detail: str  # a part of etcd's text, in lower case; empty fits every text
    error: Callable[[str], OrderingError]
    cause: str
    remedy: str


_RETRY: Final = (
    "Retry the same call; if it lasts, look at this member's log and at the links to the other members."
)
_REPORT: Final = "Do not retry; report this as a defect."
_CATCH_UP: Final = "Catch up from another site's ledger."

_TABLE: Final = (
    _Row(
        StatusCode.RESOURCE_EXHAUSTED,
        "database space exceeded",
        OrderingFull,
        "the member's quota is reached",
        "Trim what a quorum checkpoint covers, then compact, defragment and disarm the NOSPACE alarm.",
    ),
    _Row(
        StatusCode.RESOURCE_EXHAUSTED, "too many requests", OutcomeUnknown, "the member is overloaded", _RETRY
    ),
    _Row(
        StatusCode.RESOURCE_EXHAUSTED,
        "larger than max",
        OrderingRefused,
        "the message is over the size limit",
        "Pack smaller blocks.",
    ),
    _Row(
        StatusCode.UNAVAILABLE,
        "not supported for learner",
        OrderingRefused,
        "this member is a learner and cannot order, read the head or follow",
        "Promote it first, or use another site's member.",
    ),
    _Row(
        StatusCode.UNAVAILABLE,
        "no leader",
        OutcomeUnknown,
        "the member knows no lead: the majority is out of its reach",
        _RETRY,
    ),
    _Row(
        StatusCode.UNAVAILABLE,
        "failed to connect",
        OutcomeUnknown,
        "the member does not answer on its socket",
        _RETRY,
    ),
    _Row(
        StatusCode.UNAVAILABLE, "", OutcomeUnknown, "the member or its lead went away during the call", _RETRY
    ),
    _Row(StatusCode.DEADLINE_EXCEEDED, "", OutcomeUnknown, "no answer came before the deadline", _RETRY),
    _Row(StatusCode.UNKNOWN, "", OutcomeUnknown, "the lead changed during the call", _RETRY),
    _Row(StatusCode.CANCELLED, "", OutcomeUnknown, "the call was cut off", _RETRY),
    _Row(
        StatusCode.INTERNAL, "", OutcomeUnknown, "the connection to the member failed during the call", _RETRY
    ),
    _Row(StatusCode.INVALID_ARGUMENT, "", OrderingRefused, "the member found the request malformed", _REPORT),
    _Row(
        StatusCode.OUT_OF_RANGE,
        "has been compacted",
        HistoryForgotten,
        "the revision asked for was trimmed",
        _CATCH_UP,
    ),
    _Row(
        StatusCode.OUT_OF_RANGE,
        "",
        OrderingRefused,
        "the revision asked for lies beyond the end of the log",
        "Check that it belongs to this log and epoch.",
    ),
    _Row(
        StatusCode.FAILED_PRECONDITION,
        "not leader",
        NotTheLead,
        "this member does not lead",
        "Ask the node whose member leads.",
    ),
    _Row(
        StatusCode.FAILED_PRECONDITION,
        "",
        OrderingRefused,
        "the members' present state forbids it",
        "Look at the members and the lead, then decide anew.",
    ),
    _Row(
        StatusCode.DATA_LOSS,
        "",
        OrderingRefused,
        "the member found its data damaged",
        "Stop this member, remove it and add it again as a learner with an empty directory.",
    ),
    _Row(
        StatusCode.NOT_FOUND, "", OrderingRefused, "there is no such member", "Look at the list of members."
    ),
    _Row(
        StatusCode.PERMISSION_DENIED,
        "",
        OrderingRefused,
        "the member does not permit it",
        "Check that this is the node's own member, started by the node.",
    ),
    _Row(
        StatusCode.UNIMPLEMENTED,
        "",
        OrderingRefused,
        "what answers is not an etcd that Sento can use",
        "Check which program listens on the member's socket.",
    ),
)


def ordering_error(call: str, code: StatusCode, details: str | None) -> OrderingError:
    """The ordering error for a call to etcd that failed with `code` and etcd's text `details`; `call` says in words what was tried."""
    text = (details or "").lower()
    for row in _TABLE:
        if row.code is code and row.detail in text:
            return row.error(_sentence(call, row.cause, code, details, row.remedy))
    return OutcomeUnknown(_sentence(call, "the member answered in an unexpected way", code, details, _RETRY))


def _sentence(call: str, cause: str, code: StatusCode, details: str | None, remedy: str) -> str:
    return f"Could not {call}: {cause} ({code.name}: {(details or 'no text')[:200]}). {remedy}"
