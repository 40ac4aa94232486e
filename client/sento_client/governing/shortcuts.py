"""Changes in a few words of the command line, for those that are made at night: each is checked for its form here and judged later like any other.

    permit INSTITUTION write|see|read SCOPE...        withdraw INSTITUTION write|see|read SCOPE...
    revoke-key AUTHOR KEY_ID [POSITION]               retire-key AUTHOR KEY_ID            close-key AUTHOR KEY_ID
    set-budget AUTHOR RECORDS SUBJECTS                grant-budget AUTHOR RECORDS SUBJECTS
    set-policy AUTHOR on|off                          revoke-reader READER
    add-registry REGISTRY                             start-key-epoch REGISTRY accepted|closed
    close-key-epoch REGISTRY KEY_EPOCH                set-receipt-set QUORUM SITE...      retire-site SITE
    retire-officer NAME    set-threshold NUMBER       set-deputy OFFICER none             set-rules NUMBER
    erase RECORD_HASH... LEGAL_BASIS                  erase-subject REGISTRY SUBJECT LEGAL_BASIS WAIT
    carry-out-erasure ORDER                           withdraw-erasure ORDER
    delay-read-log NAME REGISTRY,... CASE_NUMBER...   release-read-log NAME
    require-key-agent SCOPE AGENT                     end-key-agent SCOPE
    set-site-place SITE ADDRESS|none [ORDERING_URL]   set-site-votes SITE yes|no
    set-gap EPOCH open TIME MISSING                   set-gap EPOCH closed MISSING
    unlock RECOVERY_KEY REGISTRY,... KEY_EPOCH,... OFFICER,...

ORDER is the position of the act that ordered an erasure. Case numbers go into the act as salted hashes alone.
TIME is like 2026-03-11T08:46Z, with its zone: the recovered state is as of then; MISSING counts the acknowledged records known to be missing.
SCOPE is `health` (the open part), `health:clinic-a` (a compartment) or `health:*` (all). Changes that carry keys or whole institutions come in a file.
Pure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sento_proto.governance.gaps import gap_of
from sento_proto.governance.reader_changes import MAY, PREVIOUS
from sento_proto.governance.state import Governance, delayed_case

Value = dict[str, object]
FORMS: dict[str, str] = {
    "permit": "INSTITUTION write|see|read SCOPE...",
    "withdraw": "INSTITUTION write|see|read SCOPE...",
    "revoke-key": "AUTHOR KEY_ID [POSITION]",
    "retire-key": "AUTHOR KEY_ID",
    "close-key": "AUTHOR KEY_ID",
    "set-budget": "AUTHOR RECORDS SUBJECTS",
    "grant-budget": "AUTHOR RECORDS SUBJECTS",
    "set-policy": "AUTHOR on|off",
    "revoke-reader": "READER",
    "add-registry": "REGISTRY",
    "start-key-epoch": "REGISTRY accepted|closed",
    "close-key-epoch": "REGISTRY KEY_EPOCH",
    "set-receipt-set": "QUORUM SITE...",
    "retire-site": "SITE",
    "retire-officer": "NAME",
    "set-threshold": "NUMBER",
    "set-deputy": "OFFICER none",
    "set-rules": "NUMBER",
    "erase": "RECORD_HASH... LEGAL_BASIS",
    "erase-subject": "REGISTRY SUBJECT LEGAL_BASIS WAIT",
    "carry-out-erasure": "ORDER",
    "withdraw-erasure": "ORDER",
    "delay-read-log": "NAME REGISTRY,... CASE_NUMBER...",
    "release-read-log": "NAME",
    "require-key-agent": "SCOPE AGENT",
    "end-key-agent": "SCOPE",
    "set-site-place": "SITE ADDRESS|none [ORDERING_URL]",
    "set-site-votes": "SITE yes|no",
    "set-gap": "EPOCH open TIME MISSING | EPOCH closed MISSING",
    "unlock": "RECOVERY_KEY REGISTRY,... KEY_EPOCH,... OFFICER,...",
}


class NotAShortcut(Exception):
    """The words are none. The text is one sentence of what was expected."""


class Given(NamedTuple):
    """What a change takes from elsewhere: the next key epoch and an open gap's time from `governance`, the act's `reason`, and a fresh `salt` of 16 random
    bytes."""

    governance: Governance
    reason: str
    salt: bytes


def change_of(words: Sequence[str], given: Given) -> Value:
    """The change as it stands in an act. Raises NotAShortcut."""
    if not words or words[0] not in FORMS:
        raise NotAShortcut(
            f"{words[0] if words else 'nothing'} is no change in words; there are {', '.join(FORMS)}; others come with --file."
        )
    name, *rest = words
    try:
        return {"do": name, **_READERS[name](rest, given)}
    except (ValueError, KeyError):
        raise NotAShortcut(f"expected: {name} {FORMS[name]}") from None


def _permission(rest: Sequence[str], _given: Given) -> Value:
    institution, may, *scopes = rest
    if may not in MAY or not scopes:
        raise ValueError(may)
    return {"institution": institution, "may": may, "scopes": [_scope(text) for text in scopes]}


def _scope(text: str) -> Value:
    registry, _, compartment = text.partition(":")
    return {"registry": registry, "compartment": compartment}


def _key(rest: Sequence[str], _given: Given) -> Value:
    author, key_id = rest
    return {"author": author, "key_id": key_id}


def _revoked_key(rest: Sequence[str], given: Given) -> Value:
    if len(rest) < 3:
        return _key(rest, given)
    author, key_id, position = rest
    return {"author": author, "key_id": key_id, "suspect_from_position": int(position)}


def _budget(field: str) -> Callable[[Sequence[str], Given], Value]:
    def read(rest: Sequence[str], _given: Given) -> Value:
        author, records, subjects = rest
        return {"author": author, field: {"records": int(records), "subjects": int(subjects)}}

    return read


def _policy(rest: Sequence[str], _given: Given) -> Value:
    author, state = rest
    return {"author": author, "ml_dsa_65": {"on": True, "off": False}[state]}


def _one(field: str) -> Callable[[Sequence[str], Given], Value]:
    def read(rest: Sequence[str], _given: Given) -> Value:
        (name,) = rest
        return {field: name}

    return read


def _number(field: str) -> Callable[[Sequence[str], Given], Value]:
    def read(rest: Sequence[str], _given: Given) -> Value:
        (number,) = rest
        return {field: int(number)}

    return read


def _start_key_epoch(rest: Sequence[str], given: Given) -> Value:
    registry, previous = rest
    if previous not in PREVIOUS:
        raise ValueError(previous)
    state = given.governance.registries.get(registry)
    return {
        "registry": registry,
        "key_epoch": 2 if state is None else state.key_epoch + 1,
        "previous": previous,
    }


def _close_key_epoch(rest: Sequence[str], _given: Given) -> Value:
    registry, key_epoch = rest
    return {"registry": registry, "key_epoch": int(key_epoch)}


def _receipt_set(rest: Sequence[str], _given: Given) -> Value:
    quorum, *sites = rest
    if not sites:
        raise ValueError(quorum)
    return {"sites": sites, "quorum": int(quorum)}


def _no_deputy(rest: Sequence[str], _given: Given) -> Value:
    officer, none = rest
    if none != "none":
        raise ValueError(none)
    return {"officer": officer}


def _erase(rest: Sequence[str], _given: Given) -> Value:
    *records, legal_basis = rest
    return {"records": records, "legal_basis": legal_basis}


def _erase_subject(rest: Sequence[str], _given: Given) -> Value:
    registry, subject, legal_basis, wait = rest
    return {"registry": registry, "subject": subject, "legal_basis": legal_basis, "wait": wait}


def _delay(rest: Sequence[str], given: Given) -> Value:
    name, registries, *cases = rest
    if not cases:
        raise ValueError(name)
    return {
        "name": name,
        "registries": registries.split(","),
        "salt": given.salt.hex(),
        "cases": [delayed_case(given.salt, case).hex() for case in cases],
    }


def _key_agent(rest: Sequence[str], _given: Given) -> Value:
    scope, agent = rest
    return {**_scope(scope), "agent": agent}


def _no_key_agent(rest: Sequence[str], _given: Given) -> Value:
    (scope,) = rest
    return _scope(scope)


def _site_place(rest: Sequence[str], _given: Given) -> Value:
    name, address, *ordering_url = rest
    (url,) = ordering_url or [""]
    return {"name": name, "address": "" if address == "none" else address, "ordering_url": url}


def _site_votes(rest: Sequence[str], _given: Given) -> Value:
    name, votes = rest
    return {"name": name, "votes": {"yes": True, "no": False}[votes]}


def _gap(rest: Sequence[str], given: Given) -> Value:
    epoch, state, *time, missing = rest
    is_open = {"open": True, "closed": False}[state]
    known = gap_of(given.governance, int(epoch))
    if is_open:
        (text,) = time
        as_of_ms = _time_ms(text)
    elif time:
        raise ValueError(time)
    else:
        # Without an open one this closes nothing, and is refused with that reason.
        as_of_ms = 0 if known is None else known.as_of_ms
    return {"epoch": int(epoch), "as_of_ms": as_of_ms, "known_missing": int(missing), "open": is_open}


def _time_ms(text: str) -> int:
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return (time - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(milliseconds=1)


def _unlock(rest: Sequence[str], given: Given) -> Value:
    recovery_key, registries, key_epochs, officers = rest
    return {
        "registries": registries.split(","),
        "key_epochs": [int(epoch) for epoch in key_epochs.split(",")],
        "recovery_key": recovery_key,
        "officers": officers.split(","),
        "reason": given.reason,
    }


_READERS: dict[str, Callable[[Sequence[str], Given], Value]] = {
    "permit": _permission,
    "withdraw": _permission,
    "revoke-key": _revoked_key,
    "retire-key": _key,
    "close-key": _key,
    "set-budget": _budget("budget_per_10000_positions"),
    "grant-budget": _budget("more"),
    "set-policy": _policy,
    "revoke-reader": _one("name"),
    "add-registry": _one("registry"),
    "start-key-epoch": _start_key_epoch,
    "close-key-epoch": _close_key_epoch,
    "set-receipt-set": _receipt_set,
    "retire-site": _one("name"),
    "retire-officer": _one("name"),
    "set-threshold": _number("threshold"),
    "set-deputy": _no_deputy,
    "set-rules": _number("rules"),
    "erase": _erase,
    "erase-subject": _erase_subject,
    "carry-out-erasure": _number("order"),
    "withdraw-erasure": _number("order"),
    "delay-read-log": _delay,
    "release-read-log": _one("name"),
    "require-key-agent": _key_agent,
    "end-key-agent": _no_key_agent,
    "set-site-place": _site_place,
    "set-site-votes": _site_votes,
    "set-gap": _gap,
    "unlock": _unlock,
}
