"""Governance in sections, each in lines for people and as a value for programs.

Pure. Names of institutions, sites and officers are all that it says of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sento_proto.governance.gaps import gap_of, gap_sentence, time_iso, time_words
from sento_proto.governance.parts import Scope
from sento_proto.governance.state import AuthorKey, ErasureOrder, Governance
from sento_proto.keys import Suite

_SUITES = {Suite.ED25519: "Ed25519", Suite.ECDSA_P256: "ECDSA P-256"}


class AuthorUse(NamedTuple):
    """How full an author's budget is; of the budget, `granted` is what officers added for this window. `full_at`: what comes behind this position is held."""

    author: str
    records: int
    subjects: int
    budget_records: int
    budget_subjects: int
    granted_records: int
    granted_subjects: int
    full_at: int | None


class Section(NamedTuple):
    """One part: `name` for programs, `title` for people."""

    name: str
    title: str
    lines: tuple[str, ...]
    value: object


def sections(governance: Governance, usage: Sequence[AuthorUse] | None) -> list[Section]:
    """All of them, in the order in which they are read. `usage`: None where nobody tells."""
    return [
        _rules(governance),
        _officers(governance),
        _authors(governance, usage),
        _readers(governance),
        _registries(governance),
        _sites(governance),
        _recovery(governance),
        _erasures(governance),
        _read_log(governance),
        _epochs(governance),
    ]


def _rules(governance: Governance) -> Section:
    known = {site: sorted(governance.site_rules.get(site, frozenset())) for site in governance.sites}
    lines = [f"id {governance.ledger_id.hex()}", f"rules {governance.rules} in force"]
    lines += [
        f"{site} knows rules {', '.join(map(str, rules))}" if rules else f"{site} has announced no rules yet"
        for site, rules in known.items()
    ]
    return Section("rules", "Ledger", tuple(lines), {"in_force": governance.rules, "known_by_sites": known})


def _officers(governance: Governance) -> Section:
    officers = governance.officers
    lines = [
        f"{officers.threshold} of {len(officers.people)} sign an act; an officer and the deputy count once"
    ]
    people = []
    for name, officer in officers.people.items():
        deputy = officer.deputy
        acting = "no deputy" if deputy is None else f"deputy {deputy.name}, key {deputy.key.key_id.hex()}"
        lines.append(f"{name}: key {officer.key.key_id.hex()}; {acting}")
        people.append(
            {
                "name": name,
                "key_id": officer.key.key_id.hex(),
                "seal_key": bool(officer.seal_key),
                "deputy": None
                if deputy is None
                else {"name": deputy.name, "key_id": deputy.key.key_id.hex()},
            }
        )
    return Section("officers", "Officers", tuple(lines), {"threshold": officers.threshold, "people": people})


def _authors(governance: Governance, usage: Sequence[AuthorUse] | None) -> Section:
    used = {use.author: use for use in usage or ()}
    lines: list[str] = []
    values = []
    for name, rights in governance.authors.items():
        keys = {key_id: known for key_id, known in governance.author_keys.items() if known.author == name}
        policy = "; must sign with ML-DSA-65 too" if rights.post_quantum else ""
        lines.append(f"{name}: may write {_scopes(rights.may_write)}{policy}")
        lines += [
            f"    key {key_id.hex()}, {_suite(known)}: {key_state(known)}" for key_id, known in keys.items()
        ]
        budget = rights.budget
        lines.append(
            f"    budget {budget.records} records about {budget.subjects} subjects per 10,000 positions{_use_words(used.get(name))}"
        )
        values.append(
            {
                "name": name,
                "may_write": _scope_values(rights.may_write),
                "ml_dsa_65_demanded": rights.post_quantum,
                "keys": [_key_value(key_id, known) for key_id, known in keys.items()],
                "budget": {"records": budget.records, "subjects": budget.subjects},
                "usage": None if name not in used else used[name]._asdict(),
            }
        )
    return Section("authors", "Authors", tuple(lines), values)


def key_state(known: AuthorKey) -> str:
    """Since when a key counts, and whether and from where it does no more."""
    since = "from genesis on" if known.enrolled_at < 0 else f"enrolled at position {known.enrolled_at}"
    if known.revoked:
        suspect = "" if known.suspect_from is None else f", suspect from position {known.suspect_from} on"
        return f"{since}, REVOKED at position {known.ended_at}{suspect}"
    if known.ended_at is not None:
        return f"{since}, retired at position {known.retired_at}, closed at position {known.ended_at}"
    if known.retired_at is not None:
        return f"{since}, retired at position {known.retired_at}; late records still count"
    return f"{since}, in use"


def _suite(known: AuthorKey) -> str:
    name = _SUITES.get(Suite(known.signing.key.suite), "other")
    return name if known.signing.companion is None else f"{name} with ML-DSA-65"


def _use_words(use: AuthorUse | None) -> str:
    if use is None:
        return ""
    granted = use.granted_records or use.granted_subjects
    grant = f", grants of {use.granted_records} and {use.granted_subjects} included" if granted else ""
    held = (
        ""
        if use.full_at is None
        else f"; FULL since position {use.full_at}: what is above is held until officers decide"
    )
    return f"; in this window {use.records} of {use.budget_records} records, {use.subjects} of {use.budget_subjects} subjects{grant}{held}"


def _key_value(key_id: bytes, known: AuthorKey) -> dict[str, object]:
    return {
        "key_id": key_id.hex(),
        "suite": _suite(known),
        "enrolled_at": None if known.enrolled_at < 0 else known.enrolled_at,
        "retired_at": known.retired_at,
        "ended_at": known.ended_at,
        "revoked": known.revoked,
        "suspect_from": known.suspect_from,
    }


def _readers(governance: Governance) -> Section:
    lines = []
    for name, reader in governance.readers.items():
        see = f"; sees headers of {_scopes(reader.may_see)}" if reader.may_see else ""
        lines.append(f"{name}: may read {_scopes(reader.may_read)}{see}")
    value = [
        {
            "name": name,
            "may_read": _scope_values(reader.may_read),
            "may_see": _scope_values(reader.may_see),
        }
        for name, reader in governance.readers.items()
    ]
    return Section("readers", "Readers", tuple(lines), value)


def _registries(governance: Governance) -> Section:
    lines = []
    for name, state in governance.registries.items():
        late = (
            "no earlier one is accepted"
            if state.oldest_open == state.key_epoch
            else f"late records from key epoch {state.oldest_open} on are accepted"
        )
        lines.append(f"{name}: key epoch {state.key_epoch}; {late}")
    value = [
        {"name": name, "key_epoch": state.key_epoch, "oldest_open": state.oldest_open}
        for name, state in governance.registries.items()
    ]
    return Section("registries", "Registries", tuple(lines), value)


def _sites(governance: Governance) -> Section:
    wanted = governance.receipt_set
    lines = [f"a receipt needs {wanted.quorum} of {', '.join(wanted.sites)}"]
    values = []
    for name, site in governance.sites.items():
        votes = {"tie-breaker": "tie-breaker: votes and keeps no ledger", "voting": "votes"}.get(
            site.role, "does not vote"
        )
        second = ", cosigns with ML-DSA-44 too" if site.ml_dsa_44 else ""
        lines.append(f"{name}: {site.region}, {site.country}; {votes}{second}; key {site.key.key_id.hex()}")
        lines.append(
            f"    hazard {site.hazard_zone}; power {site.power}; carrier {site.carrier}; provider {site.provider}; legal basis {site.legal_basis}"
        )
        if site.address or site.ordering_url:
            lines.append(f"    reached at {', '.join(filter(None, (site.address, site.ordering_url)))}")
        values.append(
            {
                "name": name,
                "votes": site.votes,
                "ledger": site.ledger,
                "address": site.address,
                "ordering_url": site.ordering_url,
                "key_id": site.key.key_id.hex(),
                "ml_dsa_44": bool(site.ml_dsa_44),
                "country": site.country,
                "region": site.region,
                "hazard_zone": site.hazard_zone,
                "power": site.power,
                "carrier": site.carrier,
                "provider": site.provider,
                "legal_basis": site.legal_basis,
            }
        )
    value = {"receipt_set": {"sites": list(wanted.sites), "quorum": wanted.quorum}, "sites": values}
    return Section("sites", "Sites", tuple(lines), value)


def _recovery(governance: Governance) -> Section:
    lines = []
    for key in governance.recovery_keys:
        state = "in force" if key is governance.recovery_key else "replaced"
        holders = ", ".join(officer for officer, _ in key.commitments.values())
        shares = f"opens with {key.threshold} of {len(key.commitments)} shares, of {holders}"
        lines.append(
            f"{key.name} ({key.ceremony.hex()[:8]}), set at position {key.act_at}, {state}: {shares}"
        )
    value = [
        {
            "name": key.name,
            "ceremony": key.ceremony.hex(),
            "threshold": key.threshold,
            "holders": [officer for officer, _ in key.commitments.values()],
            "set_at": key.act_at,
        }
        for key in governance.recovery_keys
    ]
    return Section("recovery_keys", "Recovery keys", tuple(lines), value)


def _erasures(governance: Governance) -> Section:
    lines = []
    for order in governance.erasure_orders.values():
        what = [f"{len(order.records)} records"] if order.records else []
        what += [f"subject {subject.hex()} in {registry}" for registry, subject in order.subjects]
        lines.append(
            f"{', '.join(what)}: ordered at position {order.position}, {_order_state(order)} ({order.legal_basis})"
        )
    value = [
        {
            "ordered_at": order.position,
            "records": [record.hex() for record in order.records],
            "subjects": [
                {"registry": registry, "subject": subject.hex()} for registry, subject in order.subjects
            ],
            "legal_basis": order.legal_basis,
            "wait": order.wait,
            "carried_out_at": order.carried_out_at,
            "withdrawn_at": order.withdrawn_at,
        }
        for order in governance.erasure_orders.values()
    ]
    return Section("erasures", "Erasures", tuple(lines), value)


def _order_state(order: ErasureOrder) -> str:
    if order.withdrawn_at is not None:
        return f"withdrawn at position {order.withdrawn_at}"
    if order.carried_out_at is not None:
        return f"carried out at position {order.carried_out_at}"
    wait = f" after {order.wait}" if order.wait else ""
    return f"withheld, to be carried out by a further act{wait}"


def _read_log(governance: Governance) -> Section:
    lines = []
    for delay in governance.read_log_delays.values():
        end = "in force" if delay.released_at is None else f"released at position {delay.released_at}"
        lines.append(
            f"delay {delay.name}: {len(delay.cases)} cases in {', '.join(delay.registries)}, ordered at position {delay.ordered_at}, {end}"
        )
    for (registry, compartment), agent in governance.key_agents.items():
        lines.append(f"keys of {Scope(registry, compartment).words} are opened by {agent} alone")
    value = {
        "delays": [
            {
                "name": delay.name,
                "registries": list(delay.registries),
                "cases": len(delay.cases),
                "ordered_at": delay.ordered_at,
                "released_at": delay.released_at,
            }
            for delay in governance.read_log_delays.values()
        ],
        "key_agents": [
            {"registry": registry, "compartment": compartment, "agent": agent}
            for (registry, compartment), agent in governance.key_agents.items()
        ],
    }
    return Section("read_log", "Read log", tuple(lines), value)


def _scopes(scopes: Iterable[Scope]) -> str:
    return ", ".join(scope.words for scope in scopes) or "nothing"


def _scope_values(scopes: Iterable[Scope]) -> list[dict[str, str]]:
    return [{"registry": scope.registry, "compartment": scope.compartment} for scope in scopes]


def _epochs(governance: Governance) -> Section:
    """Epochs that acts began, each with the gap that its recovery left."""
    lines, value = [], []
    for epoch in governance.epochs:
        lines.append(
            f"epoch {epoch.number}, begun at position {epoch.act_at} to {epoch.reason}: the first {epoch.fork_size} records of epoch {epoch.parent} stay"
        )
        if epoch.agreed_size < epoch.fork_size:
            lines.append(
                f"    a quorum is known to have cosigned {epoch.agreed_size} of them; receipts of epoch {epoch.parent} behind are good where a site shows it"
            )
        gap = gap_of(governance, epoch.number)
        if gap is not None and gap.open:
            lines.append(f"    {gap_sentence(gap)}")
        elif gap is not None:
            lines.append(
                f"    the gap as of {time_words(gap.as_of_ms)} is closed; known to stay missing: {gap.known_missing} records"
            )
        value.append(
            {
                "epoch": epoch.number,
                "parent": epoch.parent,
                "fork_size": epoch.fork_size,
                "agreed_size": epoch.agreed_size,
                "begun_at": epoch.act_at,
                "reason": epoch.reason,
                "plan": epoch.plan.hex(),
                "gap": None
                if gap is None
                else {
                    "as_of_ms": gap.as_of_ms,
                    "as_of_time": time_iso(gap.as_of_ms),
                    "known_missing": gap.known_missing,
                    "open": gap.open,
                },
            }
        )
    return Section("epochs", "Epochs", tuple(lines), value)
