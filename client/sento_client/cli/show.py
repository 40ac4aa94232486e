"""How results look: for programs as JSON values, for people as rich tables. Nothing is asked of a site here."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sento_client.cli.terminal import printable
from sento_client.results import Version
from sento_client.verifying import Findings, Verdict
from sento_proto.governance.gaps import as_of_words, time_iso, time_words

TABLE_MIN_COLUMNS = 100
_VERDICT_STYLE = {Verdict.HOLDS: "green", Verdict.FAILS: "bold red", Verdict.NOT_SHOWN: "yellow"}


def time_text(time_ms: int) -> str:
    """Milliseconds since 1970 as UTC text; what no calendar holds stays a number."""
    try:
        return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def content_value(content: bytes | None) -> object:
    """Content for JSON: the value it holds, else its text, else base64 in an object."""
    if content is None:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def version_value(version: Version) -> dict[str, object]:
    """A version as a JSON object."""
    header, as_of = version.header, version.as_of
    return {
        "position": version.position,
        "record": version.record_hash.hex(),
        "record_id": header.record_id.hex(),
        "author": version.author,
        "registry": header.registry,
        "compartment": header.compartment,
        "kind": header.kind,
        "time_ms": header.time_ms,
        "subject": header.subject.hex(),
        "fact": header.fact.hex(),
        "previous": None if version.previous is None else version.previous.hex(),
        "content": content_value(version.content),
        "closed_because": version.closed_because,
        "as_of": as_of._asdict(),
        **gap_fields(version.as_of_ms),
    }


def gap_fields(as_of_ms: int | None) -> dict[str, object]:
    """As of when a record is that stands below an open gap, for programs: in ms since 1970 and as text (RFC 3339); both null for every other."""
    return {"as_of_ms": as_of_ms, "as_of_time": None if as_of_ms is None else time_iso(as_of_ms)}


def age_text(age_ms: int) -> str:
    """How old an answer is, in the largest unit of which it has two, as "7 minutes old"."""
    seconds = max(0, age_ms) // 1000
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} old"
    return f"{seconds} seconds old"


def version_table(version: Version, now_ms: int | None = None) -> Table:
    """One version, field by field, content last. `now_ms`: this computer's clock, where the answer's age matters because it may be old."""
    header, as_of = version.header, version.as_of
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    compartment = f" / {header.compartment}" if header.compartment else ""
    rows = [
        ("position", str(version.position)),
        ("record", version.record_hash.hex()),
        ("author", version.author),
        ("registry", header.registry + compartment),
        ("kind", header.kind),
        ("written", time_text(header.time_ms)),
        ("follows", version.previous.hex() if version.previous else "nothing: it is the first version"),
        (
            "as of",
            f"{as_of.site}, size {as_of.size}, current at {time_text(as_of.confirmed_at_ms)}"
            + ("" if now_ms is None else f", {age_text(now_ms - as_of.confirmed_at_ms)}"),
        ),
        ("content", _content_text(version)),
    ]
    if version.as_of_ms is not None:
        rows.insert(-1, ("gap", as_of_words(version.as_of_ms)))
    for name, value in rows:
        table.add_row(name, Text(printable(value)))
    return table


def _content_text(version: Version) -> str:
    if version.content is None:
        return f"closed: {version.closed_because}"
    value = content_value(version.content)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def print_history(console: Console, versions: list[Version]) -> None:
    """Versions in the order given: a table with a line each, or two lines each where the terminal is too narrow for it; then what stands below an open gap."""
    _print_lines(console, versions)
    dated = Counter(version.as_of_ms for version in versions if version.as_of_ms is not None)
    for as_of_ms, count in sorted(dated.items()):
        of_these = f"{count} of these {'is' if count == 1 else 'are'}" if len(versions) > 1 else "It is"
        console.print(f"{of_these} {as_of_words(as_of_ms)}.", markup=False)


def _print_lines(console: Console, versions: list[Version]) -> None:
    if console.width < TABLE_MIN_COLUMNS:
        for version in versions:
            console.print(
                f"{version.position:>8}  {time_text(version.header.time_ms)}  {_content_words(version)}",
                markup=False,
            )
            console.print(
                f"          {_hash_begin(version)}  {version.author}  {version.header.kind}", markup=False
            )
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("position", "written", "author", "kind", "record", "content"):
        table.add_column(name, overflow="fold", no_wrap=name not in ("author", "kind"))
    for version in versions:
        table.add_row(
            str(version.position),
            time_text(version.header.time_ms),
            version.author,
            version.header.kind,
            _hash_begin(version),
            _content_words(version),
        )
    console.print(table, soft_wrap=False)


def change_line(version: Version) -> str:
    """One record of a stream in one line, in columns that a pipe can cut."""
    gap = "" if version.as_of_ms is None else f"  as of {time_words(version.as_of_ms)}"
    return (
        f"{version.position:>10}  {time_text(version.header.time_ms)}  {_hash_begin(version)}  "
        f"{version.author}  {version.header.kind}  {_content_words(version)}{gap}"
    )


def _hash_begin(version: Version) -> str:
    return version.record_hash.hex()[:16]


def _content_words(version: Version) -> str:
    return "closed" if version.content is None else f"{len(version.content)} bytes"


def findings_value(findings: Findings) -> list[dict[str, str]]:
    """Findings as JSON objects."""
    return [{"check": str(f.check), "verdict": str(f.verdict), "why": f.why} for f in findings]


def findings_table(findings: Findings) -> Table:
    """Findings, a line each."""
    table = Table("check", "verdict", "why", box=SIMPLE_HEAD, pad_edge=False)
    for finding in findings:
        style = _VERDICT_STYLE[finding.verdict]
        table.add_row(str(finding.check), Text(finding.verdict, style), Text(printable(finding.why)))
    return table
