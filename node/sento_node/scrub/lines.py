"""What the scrub's child says to its site: one JSON object a line, a finding, where it is, or how a round ended.

    {"at": words, "bytes": read so far}
    {"finding": {"kind", "position", "block", "words", "part", "key": hex, "number"}}
    {"ended": {"bytes", "records", "blocks", "payload_bytes"}}

Keys of index entries are pseudonyms: these lines stay between the two processes and are not logged.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from sento_node.ledger.findings import PARTS, Finding, Kind, Summary


class At(NamedTuple):
    """Where the child is."""

    words: str
    read_bytes: int


class Ended(NamedTuple):
    """The round is over."""

    read_bytes: int


Said = At | Finding | Ended


class NotUnderstood(ValueError):
    """A line that the child would not say."""


def at_line(words: str, read_bytes: int) -> str:
    """Where the round is."""
    return json.dumps({"at": words, "bytes": read_bytes})


def finding_line(finding: Finding) -> str:
    """Something that was found."""
    return json.dumps(
        {"finding": finding._replace(kind=finding.kind.value, key=finding.key.hex())._asdict()}  # type: ignore[arg-type]
    )


def ended_line(read_bytes: int, summary: Summary) -> str:
    """The round's end."""
    told = {"bytes": read_bytes, "records": summary.records, "blocks": summary.blocks}
    return json.dumps({"ended": told | {"payload_bytes": summary.payload_bytes}})


def read_line(line: bytes) -> Said:
    """What a line says. Raises NotUnderstood."""
    try:
        told = json.loads(line)
        match told:
            case {"at": str(words), "bytes": int(count)}:
                return At(words, count)
            case {"ended": {"bytes": int(count)}}:
                return Ended(count)
            case {"finding": dict(found)}:
                return _finding(found)
    except (ValueError, TypeError, KeyError) as error:
        raise NotUnderstood(f"a line of the scrub's child cannot be read ({type(error).__name__})") from None
    raise NotUnderstood("a line of the scrub's child says nothing known")


def _finding(found: dict[str, object]) -> Finding:
    position, block, part, number = found["position"], found["block"], found["part"], found["number"]
    if not isinstance(number, int) or part not in PARTS:
        raise ValueError("a finding of no form")
    return Finding(
        position if isinstance(position, int) else None,
        block if isinstance(block, int) else None,
        Kind(found["kind"]),
        str(found["words"]),
        str(part),
        bytes.fromhex(str(found["key"])),
        number,
    )
