"""How `sento status` looks to people: the sentence, what is noted, and two lines a site in as many columns as the window has room for."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sento_client.cli.show import time_text
from sento_client.cli.terminal import printable
from sento_client.site_status import SERVING, Judgement, Writing
from sento_client.site_status.contacts import Contacts, contacts_of
from sento_client.site_status.keeping_whole import copying
from sento_client.site_status.one_site import certificate_left_s, lag_records
from sento_client.site_status.report import TIE_BREAKER, Look, SiteReport
from sento_client.site_status.wording import size_text, span
from sento_proto.genesis import Site
from sento_proto.governance.gaps import gap_sentence
from sento_proto.v1 import admin_pb2

_STYLES = {
    Writing.OK: "bold green",
    Writing.ONE_LOSS_STOPS: "bold yellow",
    Writing.STOPPED: "bold red",
    Writing.UNKNOWN: "bold red",
}
_UNBOUNDED = 10_000
_STATE_COLUMNS = 16
"""The longest word for a state takes two lines rather than another column's room."""
_Cell = tuple[str | Text, str]
"""The two lines of a site in one column."""


class _Row(NamedTuple):
    site: Site
    look: Look
    report: SiteReport | None
    status: admin_pb2.StatusReply | None
    contacts: Contacts


class _Column(NamedTuple):
    """`title`: what the two lines hold. The column with the highest `rank` goes first when there is no room."""

    title: tuple[str, str]
    cell: Callable[[_Row, admin_pb2.StatusReply], _Cell]
    rank: int
    silent: Callable[[_Row], _Cell] = lambda _: ("", "")


def status_view(console: Console, judgement: Judgement, age_ms: int | None = None) -> RenderableType:
    """The whole page for this console's width. `age_ms`: how old it is, shown when given."""
    noted = Table.grid(padding=(0, 1))
    for problem in judgement.problems:
        noted.add_row(" -", Text(printable(problem.line)))
    style = _STYLES[judgement.writing]
    if judgement.degraded and judgement.writing is Writing.OK:
        style = _STYLES[Writing.ONE_LOSS_STOPS]
    table, left_out = _fitting_table(console, judgement.look)
    parts: list[RenderableType] = [Text(judgement.sentence, style)]
    parts += [Text(gap_sentence(gap), "bold yellow") for gap in judgement.gaps]
    if judgement.problems:
        parts.append(noted)
    parts += [Text(printable(line), "cyan") for line in _copying(judgement.look)]
    return Group(*parts, table, _footer(judgement.look, age_ms, left_out))


def _copying(look: Look) -> list[str]:
    """One line for each site that copies from another."""
    lines = ((site, copying(status)) for site, status in look.answers.items())
    return [f"{site} is {words}." for site, words in lines if words]


def _footer(look: Look, age_ms: int | None, left_out: list[str]) -> Text:
    took = span(max((report.took_ms for report in look.reports), default=0))
    age = "" if age_ms is None else f", {age_ms // 1000} s ago"
    text = f"Asked at {time_text(look.asked_at_ms)}{age}; the slowest answer took {took}."
    if left_out:
        text += f" No room here for {', '.join(left_out)}: make the window wider, or use --json."
    return Text(text, "dim")


def _fitting_table(console: Console, look: Look) -> tuple[Table, list[str]]:
    columns, left_out = list(_COLUMNS), list[str]()
    options = console.options.update_width(_UNBOUNDED)
    while True:
        table = _table(look, columns)
        room = Measurement.get(console, options, table).maximum <= console.width
        last = max(columns, key=lambda column: column.rank)
        if room or not last.rank:
            return table, left_out
        columns.remove(last)
        left_out.append("/".join(last.title))


def _table(look: Look, columns: list[_Column]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        justify: JustifyMethod = "right" if column.rank else "left"
        table.add_column("\n".join(column.title), justify=justify, overflow="fold")
    for site in look.genesis.sites:
        report = look.report(site.name)
        status = report.status if report is not None else None
        row = _Row(site, look, report, status, contacts_of(look, site.name))
        cells = [column.silent(row) if status is None else column.cell(row, status) for column in columns]
        table.add_row(*(Text("\n").join((_text(first), _text(second))) for first, second in cells))
    return table


def _text(line: str | Text) -> Text:
    return line if isinstance(line, Text) else Text(printable(line))


# The columns' cells: for a site that answered, and for one that did not.


def _who(row: _Row, leads: bool = False) -> _Cell:
    role = row.look.role(row.site.name)
    part = {"voting": "votes", TIE_BREAKER: "votes, no ledger"}.get(role, role)
    through = "" if row.status is None else row.status.follows_through
    if through:
        part = f"{part} via {through}"
    return row.site.name, f"{part}, leads" if leads else part


def _state(row: _Row, status: admin_pb2.StatusReply) -> _Cell:
    good = status.state == SERVING and row.site.name in row.look.answers
    words = "\n".join(textwrap.wrap(printable(status.state), _STATE_COLUMNS))
    return Text(words, "green" if good else "yellow"), status.version


def _silent_state(row: _Row) -> _Cell:
    if row.report is None:
        return Text("not asked", "yellow"), ""
    return Text("turned away" if row.report.turned_away else "no answer", "red"), ""


def _silent_position(row: _Row) -> _Cell:
    size = max((contact.size for contact in row.contacts.heard), default=None)
    return "", "" if size is None else f"≥ {size:,}"


def _behind(row: _Row, status: admin_pb2.StatusReply) -> _Cell:
    if row.site.name not in row.look.answers or not row.look.keeps_ledger(row.site.name):
        return "", ""
    return f"{lag_records(row.look, status):,}", span(status.lag_ms)


def _cosigned(_: _Row, status: admin_pb2.StatusReply) -> _Cell:
    waiting = f"{max(0, status.flushed_size - status.quorum_size):,}"
    if not status.quorum_time_s:
        return waiting, "never"
    return waiting, f"{span(max(0, status.now_ms - status.quorum_time_s * 1000))} ago"


def _heard_by_peers(row: _Row) -> str:
    if row.contacts.heard:
        return f"{span(row.contacts.heard[0].age_ms)} ago"
    return "never" if row.contacts.never else ""


def _disk(_: _Row, status: admin_pb2.StatusReply) -> _Cell:
    left_s = certificate_left_s(status)
    return size_text(status.disk_free_bytes), "" if left_s is None else span(max(0, left_s) * 1000)


def _ordering_log(_: _Row, status: admin_pb2.StatusReply) -> _Cell:
    if not status.ordering_quota_bytes:
        return "", ""
    share = 100 * status.ordering_in_use_bytes / status.ordering_quota_bytes
    return size_text(status.ordering_in_use_bytes), f"{share:.1f} %"


_COLUMNS = (
    _Column(("site", "part"), lambda row, status: _who(row, status.is_lead and _serves(row)), 0, _who),
    _Column(("state", "release"), _state, 0, _silent_state),
    _Column(
        ("applied", "flushed"),
        lambda row, status: (
            (f"{status.applied_size:,}", f"{status.flushed_size:,}")
            if row.look.keeps_ledger(row.site.name)
            else ("", "")
        ),
        1,
        _silent_position,
    ),
    _Column(("behind", "for"), _behind, 2),
    _Column(
        ("heard", "by peers"),
        lambda row, _: ("now", _heard_by_peers(row)),
        3,
        lambda row: ("no", _heard_by_peers(row)),
    ),
    _Column(("disk free", "cert ends"), _disk, 4),
    _Column(("order log", "of quota"), _ordering_log, 5),
    _Column(("to cosign", "cosigned"), _cosigned, 6),
)


def _serves(row: _Row) -> bool:
    """Only then is what a site says of the lead from now."""
    return row.status is not None and row.status.state == SERVING
