"""What is wrong at one site, seen from here and by its peers."""

from __future__ import annotations

from collections.abc import Iterator

from sento_client.site_status.contacts import FRESH_MS, Contacts, contacts_of, heard_since
from sento_client.site_status.keeping_whole import keeping_problems, rebuilt
from sento_client.site_status.problems import Problem, Trouble
from sento_client.site_status.report import SERVING, TIE_BREAKER, Look, SiteReport
from sento_client.site_status.wording import counted, listed, size_text, span
from sento_proto.v1 import admin_pb2

FAR_BEHIND_MS = 10_000
FAR_BEHIND_RECORDS = 100_000
CERTIFICATE_WARNING_S = 14 * 86_400
DISK_CLOSES_MOST_BYTES = 2 * 1024**3
"""A site refuses new records below 5 % free or this, whichever is smaller; people hear of it at twice that."""
ORDERING_WARNING_SHARE = 0.4
"""A site refuses new records when its ordering log uses more than half of its quota."""
_DISK_LOW = "disk-low"


def site_problems(look: Look, before: Look | None) -> Iterator[Problem]:
    """Everything at each site, in the order of the genesis file's sites that were asked, then those that were not."""
    for report in look.reports:
        site = report.site
        if report.status is None:
            yield _silent(look, before, report)
        elif site in look.strangers:
            yield Problem(
                site,
                Trouble.OTHER_LEDGER,
                "it is a site of another ledger; check its address here, and whose genesis file is right",
            )
        elif site in look.outdated:
            words = f"it is still in epoch {report.status.epoch}, which is over; what it says does not count"
            yield Problem(site, Trouble.OLD_EPOCH, words)
        else:
            yield from _answering(look, site, report.status)
    yield from (_not_asked(look, site) for site in look.not_asked if _counts(look, site))


def takes_records(status: admin_pb2.StatusReply) -> bool:
    """Whether a client may write at this site: it serves, and neither its disk nor its ordering log closes it."""
    if status.role == TIE_BREAKER:
        return False
    full = 2 * status.ordering_in_use_bytes > status.ordering_quota_bytes > 0
    return status.state == SERVING and not full and not _disk_is_low(status)


def lag_records(look: Look, status: admin_pb2.StatusReply) -> int:
    """How many records this site has still to apply of those that any site is known to hold; a tie-breaker applies none."""
    if status.role == TIE_BREAKER:
        return 0
    return max(0, look.furthest_size - status.applied_size)


def certificate_left_s(status: admin_pb2.StatusReply) -> int | None:
    """Seconds until the site's certificate ends, by the site's own clock; negative when it has; None when it does not say."""
    if not status.certificate_expires_at_s:
        return None
    return status.certificate_expires_at_s - status.now_ms // 1000


# Sites that did not answer.


def _silent(look: Look, before: Look | None, report: SiteReport) -> Problem:
    if report.turned_away:
        words = f"it answers, but turns this computer away ({report.trouble}); check which certificate is used here"
        return Problem(report.site, Trouble.TURNED_AWAY, words)
    lives = heard_since(look, before, report.site)
    contacts = contacts_of(look, report.site)
    words = f"does not answer this computer ({report.trouble}); "
    if lives:
        words += f"{listed(lives)} can reach it: the network between here and there is at fault, not the site"
    else:
        words += _last_heard(contacts)
    recent = not lives and bool(contacts.heard) and contacts.heard[0].age_ms < FRESH_MS
    return Problem(report.site, Trouble.NO_ANSWER, words, may_pass=recent)


def _last_heard(contacts: Contacts) -> str:
    if contacts.heard:
        contact = contacts.heard[0]
        return f"{contact.by} last heard from it {span(contact.age_ms)} ago"
    if contacts.never:
        return f"{listed(contacts.never)} {_have(contacts.never)} not heard from it either since starting"
    return "no other site can say whether it lives"


def _not_asked(look: Look, site: str) -> Problem:
    words = f"was not asked: it stands in the genesis file and not in this computer's configuration; {_last_heard(contacts_of(look, site))}"
    return Problem(site, Trouble.NOT_ASKED, words)


def _counts(look: Look, site: str) -> bool:
    return site in look.genesis.voting_sites or site in look.genesis.receipt_set.sites


# Sites that answered.


def _answering(look: Look, site: str, status: admin_pb2.StatusReply) -> Iterator[Problem]:
    if status.state != SERVING:
        yield Problem(site, Trouble.STATE, f"it is {status.state}{rebuilt(status)}: {status.explanation}")
    for alarm in status.alarms:
        yield Problem(site, Trouble.ALARM, f"alarm {alarm}")
    for alarm in status.ordering_alarms:
        yield Problem(site, Trouble.ALARM, f"alarm of the ordering log: {alarm}")
    yield from _cut_off(look, site)
    yield from _behind(look, site, status)
    yield from _disk(site, status)
    yield from _ordering_log(site, status)
    yield from _certificate(site, status)
    yield from keeping_problems(site, status)


def _cut_off(look: Look, site: str) -> Iterator[Problem]:
    contacts = contacts_of(look, site)
    if not contacts.lost:
        return
    who = f"{listed(contacts.lost)} {'do' if len(contacts.lost) > 1 else 'does'} not reach it"
    words = f"answers this computer, but {who}: look at the network between the sites"
    # A node that has just started hears from the others within a second or two.
    yield Problem(site, Trouble.CUT_OFF, words, may_pass=True)


def _behind(look: Look, site: str, status: admin_pb2.StatusReply) -> Iterator[Problem]:
    records = lag_records(look, status)
    if status.lag_ms >= FAR_BEHIND_MS or records >= FAR_BEHIND_RECORDS:
        since = f", for {span(status.lag_ms)} now" if status.lag_ms else ""
        yield Problem(site, Trouble.BEHIND, f"it is {counted(records, 'record')} behind{since}")


def _disk(site: str, status: admin_pb2.StatusReply) -> Iterator[Problem]:
    closes_bytes = min(status.disk_total_bytes // 20, DISK_CLOSES_MOST_BYTES)
    if _disk_is_low(status) or status.disk_free_bytes >= 2 * closes_bytes:
        return
    yield Problem(
        site,
        Trouble.DISK_FILLING,
        f"its disk has {size_text(status.disk_free_bytes)} of {size_text(status.disk_total_bytes)} free; "
        f"below {size_text(closes_bytes)} the site refuses new records",
    )


def _disk_is_low(status: admin_pb2.StatusReply) -> bool:
    return any(alarm.startswith(_DISK_LOW) for alarm in status.alarms)


def _ordering_log(site: str, status: admin_pb2.StatusReply) -> Iterator[Problem]:
    in_use, quota = status.ordering_in_use_bytes, status.ordering_quota_bytes
    if not quota or in_use < ORDERING_WARNING_SHARE * quota:
        return
    then = (
        ", so the site refuses new records"
        if 2 * in_use > quota
        else "; above half the site refuses new records"
    )
    words = f"its ordering log uses {100 * in_use / quota:.0f} % of its quota{then}; a site that is behind holds back trimming"
    yield Problem(site, Trouble.ORDERING_LOG_FILLING, words)


def _certificate(site: str, status: admin_pb2.StatusReply) -> Iterator[Problem]:
    left_s = certificate_left_s(status)
    if left_s is None or left_s >= CERTIFICATE_WARNING_S:
        return
    words = f"its certificate ends in {span(left_s * 1000)}" if left_s > 0 else "its certificate has ended"
    yield Problem(site, Trouble.CERTIFICATE_ENDS, words)


def _have(names: tuple[str, ...]) -> str:
    return "have" if len(names) > 1 else "has"
