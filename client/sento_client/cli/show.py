"""How results look: for programs as JSON values, for people as rich tables. Nothing is asked of a site here."""

from __future__ import annotations

import base64
import datetime as dt
import json

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sento_client.results import Version
from sento_client.verifying import Findings, Verdict

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
    }


def version_table(version: Version) -> Table:
    """One version, field by field, content last."""
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
        ("as of", f"{as_of.site}, size {as_of.size}, current at {time_text(as_of.confirmed_at_ms)}"),
        ("content", _content_text(version)),
    ]
    for name, value in rows:
        table.add_row(name, value)
    return table


def _content_text(version: Version) -> str:
    if version.content is None:
        return f"closed: {version.closed_because}"
    value = content_value(version.content)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def history_table(versions: list[Version]) -> Table:
    """Versions in the order given, a line each."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("position", "written", "author", "kind", "record", "content"):
        table.add_column(name, overflow="fold", no_wrap=name in ("position", "record", "content"))
    for version in versions:
        content = "closed" if version.content is None else f"{len(version.content)} bytes"
        table.add_row(
            str(version.position),
            time_text(version.header.time_ms),
            version.author,
            version.header.kind,
            version.record_hash.hex()[:16],
            content,
        )
    return table


def findings_value(findings: Findings) -> list[dict[str, str]]:
    """Findings as JSON objects."""
    return [{"check": str(f.check), "verdict": str(f.verdict), "why": f.why} for f in findings]


def findings_table(findings: Findings) -> Table:
    """Findings, a line each."""
    table = Table("check", "verdict", "why", box=SIMPLE_HEAD, pad_edge=False)
    for finding in findings:
        style = _VERDICT_STYLE[finding.verdict]
        table.add_row(str(finding.check), f"[{style}]{finding.verdict}[/]", finding.why)
    return table
