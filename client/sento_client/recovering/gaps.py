"""The gap list: every record known as acknowledged that does not stand in the recovered epoch, by registry and author, with receipt numbers for the counter.

    {"format": "sento-gap-list-1", "ledger_id", "epoch", "as_of_size", "asked", "missing": [{"registry", "author", "receipt", "record_id", "record", "waits"}]}

A record stands when a quorum of the receipt set says so, at one position. A receipt's number is "<epoch>-<position>" with the record id behind it: that is what
people hold in their hands. What waits in an outbox comes back by itself; the rest comes back with the old sites, or is written anew. Pure.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sento_client.recovering.collected import Known
from sento_client.recovering.plan_words import NOT_NAMED
from sento_proto.governance.parts import ReceiptSet

FORMAT = "sento-gap-list-1"
NUMBER_COLUMNS = ("registry", "author", "receipt", "record_id", "record", "waits_in_outbox")


class SaidPlace(NamedTuple):
    """One site's word on one record: where it stands, or None where it does not."""

    site: str
    position: int | None


class GapList(NamedTuple):
    """What does not stand, by registry and author. `asked`: how many were asked for; `disputed`: sites that said another place than a quorum, with how often;
    `undecided`: records for which no quorum said one thing, counted as missing."""

    ledger_id: bytes
    epoch: int
    as_of_size: int
    asked: int
    missing: tuple[Known, ...]
    disputed: Mapping[str, int]
    undecided: int

    @property
    def waiting(self) -> int:
        """How many of them an outbox keeps and sends again by itself."""
        return sum(one.waits for one in self.missing)


def gap_list(
    ledger_id: bytes,
    epoch: int,
    as_of_size: int,
    known: Sequence[Known],
    said: Mapping[bytes, Sequence[SaidPlace]],
    receipt_set: ReceiptSet,
) -> GapList:
    """What of `known` does not stand. `said`: by record hash, what each site of the receipt set answered; a site that did not answer is not in it."""
    missing: list[Known] = []
    disputed: Counter[str] = Counter()
    undecided = 0
    asked = [one for one in known if one.at_home]
    for one in asked:
        words = [word for word in said.get(one.record_hash, ()) if word.site in receipt_set.sites]
        place, votes = _most(words)
        if votes < receipt_set.quorum:
            undecided += 1
            missing.append(one)
            continue
        disputed.update(word.site for word in words if word.position != place)
        if place is None:
            missing.append(one)
    missing.sort(key=_order)
    return GapList(ledger_id, epoch, as_of_size, len(asked), tuple(missing), dict(disputed), undecided)


def _most(words: Iterable[SaidPlace]) -> tuple[int | None, int]:
    """The place that most sites name, and how many do; on equal numbers nobody's."""
    counts = Counter(word.position for word in words).most_common(2)
    if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
        return None, 0
    return counts[0]


def _order(one: Known) -> tuple[str, str, int, int, bytes]:
    return (
        one.registry or "~",
        one.author,
        one.epoch,
        -1 if one.position is None else one.position,
        one.record_hash,
    )


def counts_of(gaps: GapList) -> list[tuple[str, str, int]]:
    """(registry, author, how many), in the list's order."""
    counts = Counter((one.registry or NOT_NAMED, one.author or "not known") for one in gaps.missing)
    return [(registry, author, count) for (registry, author), count in sorted(counts.items())]


def encode_gaps(gaps: GapList) -> bytes:
    """The list as JSON, for programs."""
    value = {
        "format": FORMAT,
        "ledger_id": gaps.ledger_id.hex(),
        "epoch": gaps.epoch,
        "as_of_size": gaps.as_of_size,
        "asked": gaps.asked,
        "undecided": gaps.undecided,
        "disputed": dict(sorted(gaps.disputed.items())),
        "missing": [
            {
                "registry": one.registry,
                "author": one.author,
                "receipt": one.receipt_number,
                "record_id": one.record_id.hex(),
                "record": one.record_hash.hex(),
                "waits": one.waits,
            }
            for one in gaps.missing
        ],
    }
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def gaps_csv(gaps: GapList) -> str:
    """The list for the counter, one line a record, as spreadsheets read it (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(NUMBER_COLUMNS)
    for one in gaps.missing:
        writer.writerow(
            (
                one.registry or NOT_NAMED,
                one.author,
                one.receipt_number,
                one.record_id.hex(),
                one.record_hash.hex(),
                "yes" if one.waits else "no",
            )
        )
    return out.getvalue()
