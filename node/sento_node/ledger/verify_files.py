"""Verification of the files themselves: the database's pages, and the segments against the account that the database keeps of them.

A database whose pages are damaged must not be opened: the engine trusts them. So its file is first walked from outside, page by page, without the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lmdb import verify as lmdb_verify

from sento_node.ledger import rows
from sento_node.ledger.findings import ACCOUNT, SEGMENT, Finding, Kind, Summary
from sento_node.ledger.lmdb_files import database_directory
from sento_node.ledger.segments import HEADER_BYTES, segment_header, segment_numbers, segment_path
from sento_node.ledger.verify_image import Image
from sento_proto.wire import Malformed

PROBLEMS_TOLD = 5


def verify_pages(directory: Path) -> Iterator[Finding]:
    """What is wrong with the database's pages. With any finding here the database must not be opened."""
    path = database_directory(directory) / "data.mdb"
    if not path.exists():
        yield Finding(
            None, None, Kind.MISSING, "The database file is missing. Rebuild the ledger from another site."
        )
        return
    try:
        problems: list[str] = lmdb_verify.verify(str(path))  # type: ignore[no-untyped-call]
    except (lmdb_verify.VerifyError, OSError) as error:
        problems = [str(error)]
    for problem in problems[:PROBLEMS_TOLD]:
        yield Finding(None, None, Kind.WRONG, f"The database's pages are damaged: {problem}.")
    if problems:
        words = (
            f"{len(problems)} such places in all; the database is not opened and what stands in it was not examined. "
            "Rebuild the ledger from another site."
        )
        yield Finding(None, None, Kind.WRONG, words)


def verify_segments(
    image: Image, payloads: Path, ledger_id: bytes, named_bytes: Mapping[int, int], summary: Summary
) -> Iterator[Finding]:
    """Segment files against their account. `named_bytes`: for each segment, how many bytes the records' locators name."""
    ends: dict[int, int] = {}
    gone: dict[int, int] = {}
    for key, row in image.scan(image.tables.segments):
        try:
            number, end, gone_bytes = rows.decode_segment_account(key, row)
        except Malformed as error:
            yield Finding(None, None, Kind.WRONG, f"A segment's row cannot be read ({error}).", ACCOUNT, key)
            continue
        ends[number], gone[number] = end, gone_bytes
    last = max(ends, default=0)
    for number, end in ends.items():
        yield from _verify_segment(payloads, ledger_id, number, end, summary, is_last=number == last)
        named = HEADER_BYTES + named_bytes.get(number, 0) + gone[number]
        if named != end:
            words = f"Segment {number} ends at byte {end} by its account, and the records name {named} bytes of it."
            yield Finding(None, None, Kind.WRONG, words, ACCOUNT, rows.segment_key(number), named)
    for number in named_bytes.keys() - ends.keys():
        yield Finding(
            None,
            None,
            Kind.MISSING,
            f"Segment {number} has records and no account.",
            ACCOUNT,
            rows.segment_key(number),
            HEADER_BYTES + named_bytes[number],
        )
    for number in segment_numbers(payloads):
        if number > last:
            summary.unnamed_bytes += segment_path(payloads, number).stat().st_size
        elif number not in ends:
            yield Finding(None, None, Kind.WRONG, f"Segment {number} has a file and no account.")


def _verify_segment(
    payloads: Path, ledger_id: bytes, number: int, end: int, summary: Summary, *, is_last: bool
) -> Iterator[Finding]:
    path = segment_path(payloads, number)
    if not path.exists():
        yield Finding(
            None, None, Kind.MISSING, f"The file of segment {number} is missing.", SEGMENT, number=number
        )
        return
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    length = path.stat().st_size
    if header != segment_header(number, ledger_id):
        yield Finding(
            None,
            None,
            Kind.WRONG,
            f"The file of segment {number} does not begin as it must.",
            SEGMENT,
            number=number,
        )
    if length < end:
        yield Finding(
            None,
            None,
            Kind.MISSING,
            f"The file of segment {number} ends at byte {length} of {end}.",
            SEGMENT,
            number=number,
        )
    elif is_last:
        summary.unnamed_bytes += length - end
    elif length > end:
        yield Finding(None, None, Kind.WRONG, f"The file of segment {number} goes on after its last entry.")
