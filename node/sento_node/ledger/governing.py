"""What a ledger says of its own governance: the acts and announcements in their order, why an act does not stand, and how full each budget is.

All of it is read from the flushed store along the pointers of facts, or decided from a governance in hand; nothing here writes or waits.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sento_node.ledger import reading
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.state import StandingBrief
from sento_node.ledger.store import LedgerStore
from sento_proto.errors import Code
from sento_proto.governance.acts import FACT, REGISTRY, act_signatures_refusal, judge_act
from sento_proto.governance.site_rules import subject_of_site
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS, Governance
from sento_proto.header import ZERO32
from sento_proto.submission import Submission

PAGE_VERSIONS = 500


class ActList:
    """Positions of all acts and of all sites' announcements, rising. Grows with the ledger: what was walked once is not walked again."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._acts: list[int] = []
        self._announcements: dict[str, list[int]] = {}

    def behind(self, after: int, sites: Iterable[str]) -> list[int]:
        """Those behind position `after`, in order. `sites`: every site there ever was. Raises LedgerDamaged."""
        self._catch_up(self._acts, FACT)
        for site in sites:
            self._catch_up(self._announcements.setdefault(site, []), subject_of_site(site)[:16])
        everything = [self._acts, *self._announcements.values()]
        return sorted(at for known in everything for at in known[bisect.bisect_right(known, after) :])

    def _catch_up(self, known: list[int], fact: bytes) -> None:
        """Add what came behind the last known version of the fact."""
        newest, last = _head(self._store, fact), known[-1] if known else -1
        found: list[int] = []
        before: int | None = None
        while newest > last:
            page = reading.fact_versions(
                self._store, REGISTRY, fact, limit=PAGE_VERSIONS, before=before, with_payload=False
            )
            new = [kept.position for kept in page.records if kept.position > last]
            found += new
            before = page.next_before
            if before is None or len(new) < len(page.records):
                break
        known += reversed(found)


def _head(store: LedgerStore, fact: bytes) -> int:
    head = store.fact_head(REGISTRY, fact)
    return -1 if head is None else head.position


def act_refusal_words(governance: Governance, epoch: int, act: Submission, code: Code, at: int) -> str:
    """One sentence or two on why an act was refused with `code`, as governance is now, when the next position is `at`; empty where there is no more to say."""
    as_of = f"As of now, at position {at}: "
    record = act.records[0]
    if code is Code.WRONG_LEDGER:
        if act.ledger_id != governance.ledger_id:
            return f"{as_of}the act names another ledger than {governance.name}."
        return f"{as_of}the act was signed for epoch {act.epoch} and the ledger is in epoch {epoch}."
    signature = act_signatures_refusal(governance, epoch, record.record_hash, act.officers)
    if signature is Code.NOT_AN_OFFICER:
        return f"{as_of}a signature is by a key that no officer ever had."
    if signature is not None:
        return f"{as_of}an officer's signature does not verify over this act."
    if code in (Code.STALE, Code.PREDECESSOR_MISSING):
        return as_of + _newest_words(governance, record.header.previous)
    signers = [officer.officer_key_id for officer in act.officers]
    judged = judge_act(governance, record.header.content, signers, at)
    return as_of + judged.why if judged.why else ""


def _newest_words(governance: Governance, previous: bytes) -> str:
    follows = "nothing, as a first act" if previous == ZERO32 else f"act {previous.hex()[:16]}"
    if not governance.acts:
        return f"the act says that it follows {follows}, and there is no act yet."
    newest = f"{governance.last_act.hex()[:16]} at position {governance.last_act_at}"
    return f"the act says that it follows {follows}, and the newest act is {newest}."


class BudgetUse(NamedTuple):
    """What one author used of the running window. `full_at`: position of the record that used the budget up; NOWHERE while there is room."""

    records: int
    subjects: int
    full_at: int = NOWHERE


def budget_use(
    governance: Governance, window: Sequence[StandingBrief], next_position: int
) -> dict[str, BudgetUse]:
    """Every author's use of the window that the next position falls into. `window`: at least that window's records, in order."""
    start = next_position - next_position % BUDGET_WINDOW_POSITIONS
    subjects: dict[str, set[bytes]] = {author: set() for author in governance.authors}
    uses = dict.fromkeys(governance.authors, BudgetUse(0, 0))
    budgets = {author: governance.budget(author, next_position) for author in governance.authors}
    for brief in window:
        if brief.position < start or brief.author not in uses:
            continue
        about = subjects[brief.author]
        about.add(brief.subject)
        records, _, full_at = uses[brief.author]
        budget = budgets[brief.author]
        full = records + 1 >= budget.records or len(about) >= budget.subjects
        if full and full_at == NOWHERE:
            full_at = brief.position
        uses[brief.author] = BudgetUse(records + 1, len(about), full_at)
    return uses
