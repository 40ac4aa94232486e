"""What a site still owes to be whole and lawful: places to heal, payloads to fetch or to destroy, access records to order, a ledger to make anew.

Each goes by itself as long as the site reaches the others, and may be seen for a moment at a healthy site; one that stays is for people.
"""

from __future__ import annotations

from collections.abc import Iterator

from sento_client.site_status.problems import Problem, Trouble
from sento_client.site_status.wording import bytes_text, counted, to_go
from sento_proto.v1 import admin_pb2


def keeping_problems(site: str, status: admin_pb2.StatusReply) -> Iterator[Problem]:
    """What the site says that it owes."""
    scrub = status.scrub
    if scrub.fenced:
        words = (
            f"{counted(scrub.fenced, 'place')} on its disk cannot be proven, and what stands there is not given out; "
            f"{scrub.healed:,} of {scrub.found:,} that were found are healed"
        )
        yield Problem(site, Trouble.FENCED, words, may_pass=True)
    if status.payloads_awaited:
        words = (
            f"it awaits {counted(status.payloads_awaited, 'payload')} from other sites and cosigns nothing until it has them; "
            "what it awaits is read at another site"
        )
        yield Problem(site, Trouble.PAYLOADS_AWAITED, words, may_pass=True)
    if status.erasures_pending:
        words = (
            f"{counted(status.erasures_pending, 'erasure order')} that officers had carried out {_is(status.erasures_pending)} not done on its disk yet; "
            "sento erasure status says what is missing"
        )
        yield Problem(site, Trouble.ERASURE_PENDING, words, may_pass=True)
    if status.access_records_spooled:
        words = (
            f"{counted(status.access_records_spooled, 'access record')} {_is(status.access_records_spooled)} on its disk alone and not ordered yet; "
            "if that disk is lost, so is the word of who read"
        )
        yield Problem(site, Trouble.ACCESS_RECORDS_WAIT, words, may_pass=True)


def rebuilt(status: admin_pb2.StatusReply) -> str:
    """How far a ledger that is made anew has come, behind the word for the state; empty where none is."""
    target = status.rebuild_target_size
    if not target:
        return ""
    return f" ({status.rebuilt_size:,} of {target:,} records, {100 * min(status.rebuilt_size, target) // target} %)"


def copying(status: admin_pb2.StatusReply) -> str:
    """How far a site is that copies from another, in words; empty where none does."""
    if not status.HasField("sync"):
        return ""
    sync = status.sync
    what = "spine " if sync.stage == "spine" else ""
    things = "payloads" if sync.stage == "payloads" else "records"
    if sync.registry:
        things += f" (now {sync.registry})"
    words = [
        f"copying from {sync.source or 'whoever answers'}: {what}{sync.done:,} of {sync.wanted:,} {things}"
    ]
    if sync.bytes_done:
        words.append(bytes_text(sync.bytes_done))
        words.append(
            f"{bytes_text(sync.rate_bytes_per_s)}/s" if sync.rate_bytes_per_s else "nothing comes now"
        )
    if sync.time_to_go_s:
        words.append(f"{to_go(sync.time_to_go_s)} to go")
    return ", ".join(words)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
