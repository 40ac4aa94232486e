"""The judgement as one JSON object, `sento-status-1`: every key is always there, null where nothing is known.

    format, ledger, ledger_name, asked_at_ms, took_ms
    sentence, degraded, problems [{site, trouble, words}]
    writing          ok | one_loss_stops | stopped | unknown
    critical_sites   sites each of which, lost alone, stops writing
    voting           {sites, at_work, needed}
    may_be_lost      {any_of, sites, come_back}: losing the disks of any `any_of` of `sites` can lose something acknowledged; with any_of 0 it may be lost
                     already, unless `come_back` of them come back; null: cannot be said
    receipts         {state, critical_sites}: the same for checkpoints and receipts
    lead             the site that leads, null while the sites do not agree
    gaps             [{epoch, as_of_ms, known_missing, from_size}]: what recoveries left and officers have not closed; no site's fault, so nothing is degraded
    sites            [...], a flat object for each site of the genesis file; units are in the names; `role`: voting | embassy | tie-breaker, and
                     `follows_through`: the site through which an embassy follows the order

A key may be added under the same format; one that is taken away or changes its meaning makes it `sento-status-2`.
"""

from __future__ import annotations

from sento_client.site_status.between_sites import clock_offset_ms
from sento_client.site_status.contacts import contacts_of
from sento_client.site_status.judging import Judgement
from sento_client.site_status.one_site import certificate_left_s, lag_records, takes_records
from sento_client.site_status.report import VOTES, Look
from sento_proto.governance.gaps import gap_value
from sento_proto.v1 import admin_pb2

FORMAT = "sento-status-1"
_OF_STATUS = (
    "state",
    "explanation",
    "version",
    "epoch",
    "boot_number",
    "applied_size",
    "flushed_size",
    "quorum_size",
    "quorum_time_s",
    "applied_block",
    "flushed_block",
    "ordered_block",
    "trimmed_block",
    "lag_ms",
    "flush_ms",
    "queued_records",
    "rules",
    "lead_site",
    "now_ms",
    "confirmed_at_ms",
    "ordering_version",
    "ordering_size_bytes",
    "ordering_in_use_bytes",
    "ordering_quota_bytes",
    "ordering_resident_bytes",
    "disk_free_bytes",
    "disk_total_bytes",
    "certificate_expires_at_s",
    "payloads_awaited",
    "erasures_pending",
    "access_records_spooled",
    "rebuilt_size",
    "rebuild_target_size",
    "follows_through",
)
"""Fields of StatusReply that are given as they came."""
_OF_SCRUB = (
    "rounds",
    "round_bytes_done",
    "round_bytes_total",
    "round_began_ms",
    "last_round_ended_ms",
    "found",
    "healed",
    "fenced",
)

_OF_SYNC = (
    "source",
    "stage",
    "registry",
    "done",
    "wanted",
    "bytes_done",
    "bytes_wanted",
    "rate_bytes_per_s",
    "time_to_go_s",
)


def status_value(judgement: Judgement) -> dict[str, object]:
    """The object."""
    look, loss = judgement.look, judgement.may_be_lost
    return {
        "format": FORMAT,
        "ledger": look.genesis.ledger_id.hex(),
        "ledger_name": look.genesis.name,
        "asked_at_ms": look.asked_at_ms,
        "took_ms": max((report.took_ms for report in look.reports), default=0),
        "sentence": judgement.sentence,
        "degraded": judgement.degraded,
        "problems": [
            {"site": problem.site or None, "trouble": str(problem.trouble), "words": problem.words}
            for problem in judgement.problems
        ],
        "writing": str(judgement.writing),
        "critical_sites": list(judgement.critical_sites),
        "voting": {
            "sites": list(judgement.count.voting),
            "at_work": list(judgement.count.at_work),
            "needed": judgement.count.needed,
        },
        "may_be_lost": None if loss is None else {**loss._asdict(), "sites": list(loss.sites)},
        "receipts": {
            "state": str(judgement.receipts.state),
            "critical_sites": list(judgement.receipts.critical_sites),
        },
        "lead": judgement.lead,
        "gaps": [gap_value(gap) for gap in judgement.gaps],
        "sites": [_site_value(look, site.name) for site in look.genesis.sites],
    }


def _site_value(look: Look, name: str) -> dict[str, object]:
    report = look.report(name)
    status = report.status if report is not None else None
    contacts = contacts_of(look, name)
    latest = contacts.heard[0] if contacts.heard else None
    value: dict[str, object] = {
        "site": name,
        "role": look.role(name),
        "in_receipt_set": name in look.genesis.receipt_set.sites,
        "configured": report is not None,
        "reachable": status is not None,
        "trouble": report.trouble or None if report is not None else None,
        "took_ms": report.took_ms if report is not None else None,
        "heard_by_peer": latest.by if latest is not None else None,
        "heard_by_peer_age_ms": latest.age_ms if latest is not None else None,
        "last_known_size": max((contact.size for contact in contacts.heard), default=None),
        "peers_that_lost_it": list(contacts.lost),
        "ledger": status.ledger_id.hex() if status is not None else None,
        "lead": status.is_lead if status is not None else None,
        "at_work": name in look.among((name,), VOTES),
        "takes_records": takes_records(status) if status is not None else None,
        "alarms": [*status.alarms, *status.ordering_alarms] if status is not None else None,
        **{field: getattr(status, field, None) for field in _OF_STATUS},
        "scrub": None if status is None else {field: getattr(status.scrub, field) for field in _OF_SCRUB},
        "sync": {field: getattr(status.sync, field) for field in _OF_SYNC}
        if status is not None and status.HasField("sync")
        else None,
    }
    return value | _compared(look, name)


def _compared(look: Look, name: str) -> dict[str, object]:
    """What comes out only beside the other sites of this ledger, or beside this computer's clock."""
    status: admin_pb2.StatusReply | None = look.answers.get(name)
    left_s = None if status is None else certificate_left_s(status)
    return {
        "lag_records": None if status is None else lag_records(look, status),
        "clock_offset_ms": None if status is None else clock_offset_ms(look, name),
        "certificate_days": None if left_s is None else left_s // 86_400,
    }
