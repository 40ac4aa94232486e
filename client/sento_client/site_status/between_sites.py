"""What is wrong between the sites: no lead or two, different releases, clocks apart, checkpoints that do not come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sento_client.site_status.problems import Problem, Trouble
from sento_client.site_status.report import SERVING, Look
from sento_client.site_status.wording import counted, listed, span

CHECKPOINT_OLD_MS = 60_000
CLOCK_APART_MS = 5_000


def common_problems(look: Look) -> Iterator[Problem]:
    """What no single site can be blamed for; checkpoints stand apart, in `old_checkpoint`."""
    yield from _lead(look)
    yield from _releases(look)
    yield from _clocks(look)


def lead_of(look: Look) -> str | None:
    """The site that leads, when all that serve name the same one."""
    leads = _claims(look)
    return next(iter(leads)) if len(leads) == 1 and "" not in leads else None


def _claims(look: Look) -> dict[str, list[str]]:
    """Lead -> the serving sites that name it; the others' word may be from before they lost contact."""
    claims: dict[str, list[str]] = defaultdict(list)
    for site, status in look.answers.items():
        if status.state == SERVING:
            claims[status.lead_site].append(site)
            if status.is_lead and status.lead_site != site:
                claims[site].append(site)
    return dict(claims)


def _lead(look: Look) -> Iterator[Problem]:
    claims = _claims(look)
    named = {lead: sites for lead, sites in claims.items() if lead}
    if claims and not named:
        words = (
            "No site knows which one leads: an election is under way, or the sites do not reach each other."
        )
        yield Problem("", Trouble.NO_LEAD, words, may_pass=True)
    elif len(named) > 1:
        said = "; ".join(
            f"{listed(sites)} {'say' if len(sites) > 1 else 'says'} {lead}" for lead, sites in named.items()
        )
        words = f"The sites do not agree on which one leads ({said}): the lead is moving, or the sites do not reach each other."
        yield Problem("", Trouble.LEADS_DIFFER, words, may_pass=True)


def _releases(look: Look) -> Iterator[Problem]:
    releases: dict[str, list[str]] = defaultdict(list)
    for site, status in look.answers.items():
        releases[status.version].append(site)
    if len(releases) > 1:
        said = "; ".join(
            f"{release or 'no number'} at {listed(sites)}" for release, sites in releases.items()
        )
        yield Problem("", Trouble.RELEASES_DIFFER, f"The sites run different releases: {said}.")


def _clocks(look: Look) -> Iterator[Problem]:
    apart = {site: offset for site in look.answers if (offset := clock_offset_ms(look, site)) is not None}
    wrong = {
        site: offset for site, offset in apart.items() if abs(offset) > CLOCK_APART_MS + _took_ms(look, site)
    }
    if (
        len(wrong) > 1
        and len(wrong) == len(apart)
        and max(wrong.values()) - min(wrong.values()) <= CLOCK_APART_MS
    ):
        offset = next(iter(wrong.values()))
        words = f"This computer's clock is {_apart(-offset)} every site's; mend it first, for what is said here in days and seconds rests on it."
        yield Problem("", Trouble.CLOCK, words)
        return
    for site, offset in wrong.items():
        yield Problem(
            site, Trouble.CLOCK, f"its clock is {_apart(offset)} this computer's; one of the two is wrong"
        )


def clock_offset_ms(look: Look, site: str) -> int | None:
    """How far a site's clock is ahead of this computer's, as well as one question can tell; None when the site told no time."""
    status = look.answers[site]
    if not status.now_ms:
        return None
    return status.now_ms - look.asked_at_ms - _took_ms(look, site) // 2


def _took_ms(look: Look, site: str) -> int:
    report = look.report(site)
    return report.took_ms if report is not None else 0


def _apart(offset_ms: int) -> str:
    return f"{span(abs(offset_ms))} {'ahead of' if offset_ms > 0 else 'behind'}"


def old_checkpoint(look: Look, before: Look | None) -> Iterator[Problem]:
    """Records wait for a checkpoint, and the last one is old. One look cannot tell them from records that came a moment ago; two can."""
    waiting, covered = _waiting(look)
    newest_s = max((status.quorum_time_s for status in look.answers.values()), default=0)
    now_ms = max((status.now_ms for status in look.answers.values()), default=0)
    if not waiting or now_ms - newest_s * 1000 <= CHECKPOINT_OLD_MS:
        return
    if before is not None and (_waiting(before)[0] == 0 or _waiting(before)[1] != covered):
        return
    age = f"the last one is {span(now_ms - newest_s * 1000)} old" if newest_s else "there was none yet"
    words = (
        f"{counted(waiting, 'record')} stand under no checkpoint of a quorum, and {age}: they get no receipts, "
        "and the ordering log grows. Look for a site of the receipt set that is behind or says alarm."
    )
    yield Problem("", Trouble.CHECKPOINT_OLD, words, may_pass=True)


def _waiting(look: Look) -> tuple[int, int]:
    """Records flushed somewhere and under no quorum's checkpoint known anywhere; and the size that is under one."""
    covered = max((status.quorum_size for status in look.answers.values()), default=0)
    flushed = max((status.flushed_size for status in look.answers.values()), default=0)
    return max(0, flushed - covered), covered
