"""The result sheet: one page of plain text that is printed, signed and filed: what was recovered, by whom, how long it took, what is missing, what comes next.

It holds counts and names of sites, offices and registries, never of a person, so that it can hang on a wall. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sento_client.recovering.evidence import moment
from sento_client.recovering.gaps import GapList, counts_of
from sento_client.site_status.wording import span
from sento_proto.epoch_plan import EpochPlan, plan_hash

COLUMNS = 78
GAP_LINES_MOST = 12


class SheetFacts(NamedTuple):
    """What the page says. Times in ms since 1970, 0 where not known: when writing stopped, when the plan was first carried out, when the new epoch served.

    `proven`: the checkpoint under which the new epoch was verified, in words; `lists`: files of the gap list."""

    ledger_name: str
    plan: EpochPlan
    offices: Sequence[str]
    stopped_at_ms: int
    began_at_ms: int
    serving_at_ms: int
    made_at_ms: int
    proven: str
    gaps: GapList
    lists: Sequence[str]


def result_sheet(facts: SheetFacts) -> str:
    """The page, at most 78 columns and some 60 lines."""
    plan, gaps = facts.plan, facts.gaps
    parent = plan.parent
    lines = [
        "RECOVERY: RESULT",
        "=" * COLUMNS,
        *_pairs(
            ("Ledger", f"{facts.ledger_name}, {plan.ledger_id.hex()[:16]}"),
            ("Epoch", f"{plan.epoch}, from {parent.size} records of epoch {parent.epoch}"),
            ("Root at fork", parent.root.hex()),
            ("Plan", plan_hash(plan).hex()),
            ("Legal basis", plan.legal_basis),
            ("Signed by", ", ".join(facts.offices)),
            ("Voting now", ", ".join(plan.voting)),
            ("Receipts need", f"{plan.receipt_set.quorum} of {', '.join(plan.receipt_set.sites)}"),
        ),
        "",
        "TIMES",
        *_pairs(
            ("Writing stopped", _time(facts.stopped_at_ms)),
            ("Plan carried out", _time(facts.began_at_ms)),
            ("Serving again", _time(facts.serving_at_ms)),
            ("Outage (RTO)", _between(facts.stopped_at_ms, facts.serving_at_ms)),
            ("From plan to serving", _between(facts.began_at_ms, facts.serving_at_ms)),
            ("This sheet", _time(facts.made_at_ms)),
        ),
        "",
        "RECORDS",
        *_pairs(
            ("Verified", facts.proven),
            ("Asked for", f"{gaps.asked} known as acknowledged"),
            ("Stand", str(gaps.asked - len(gaps.missing))),
            ("Missing", f"{len(gaps.missing)}, of which {gaps.waiting} wait in outboxes"),
        ),
        *_missing(gaps),
        "",
        "WHAT TO DO NEXT",
        *_next(facts),
        "",
        "Read aloud and found right:",
        "",
        "  ______________________    ______________________    ____________________",
        "  officer                   officer                   date",
    ]
    return "\n".join(part for line in lines for part in _folded(line)) + "\n"


def _pairs(*pairs: tuple[str, str]) -> list[str]:
    return [f"  {name + ':':<22}{value}" for name, value in pairs]


def _time(time_ms: int) -> str:
    return moment(time_ms) if time_ms else "not known here: ____________________"


def _between(first_ms: int, last_ms: int) -> str:
    return span(last_ms - first_ms) if 0 < first_ms <= last_ms else "not known here: ____________________"


def _missing(gaps: GapList) -> list[str]:
    rows = counts_of(gaps)
    lines = [f"    {count:>8}  {registry} ({author})" for registry, author, count in rows[:GAP_LINES_MOST]]
    if len(rows) > GAP_LINES_MOST:
        rest = sum(count for _, _, count in rows[GAP_LINES_MOST:])
        lines.append(f"    {rest:>8}  in {len(rows) - GAP_LINES_MOST} further lines of the list")
    lines += [f"    {site} said another place {often} times" for site, often in sorted(gaps.disputed.items())]
    if gaps.undecided:
        lines.append(f"    {gaps.undecided:>8}  of them undecided: too few sites answered alike")
    return lines


def _next(facts: SheetFacts) -> list[str]:
    gaps = facts.gaps
    steps = [f"Gap list for the counter: {', '.join(facts.lists)}"] if facts.lists else []
    if gaps.waiting:
        steps.append("Start the programs whose outboxes wait: they send again by themselves.")
    if len(gaps.missing) > gaps.waiting:
        steps.append("Give each author its lines; old sites may bring them, else write anew.")
    steps += [
        "Keys burned with their holders: the recovery key, recovery.md.",
        "An old site comes back: sento return orphans, readmit; return.md.",
        "Run sento recover verify again after each of these.",
        "Nothing missing and nobody expected back: officers close the gap.",
    ]
    return [f"  {number}. {step}" for number, step in enumerate(steps, 1)]


def _folded(line: str) -> list[str]:
    """The line in pieces that fit, the later ones under the first one's text."""
    pieces: list[str] = []
    under = " " * (5 if line[2:3].isdigit() else 24)
    while len(line) > COLUMNS:
        at = line.rfind(" ", 30, COLUMNS)
        at = COLUMNS if at < 0 else at
        pieces.append(line[:at])
        line = under + line[at:].lstrip()
    return [*pieces, line]
