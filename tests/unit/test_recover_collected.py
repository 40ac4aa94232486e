"""What was collected comes out of its file as it went in, and a record known twice, by receipt and by outbox, is one record that loses nothing of either."""

from __future__ import annotations

import json

import pytest

from sento_client.recovering.collected import (
    Collected,
    Known,
    decode_collected,
    encode_collected,
    merged,
)
from sento_proto.wire import Malformed
from survivors import EMBASSY, Ruins

CUT = {
    "author": "a",
    "registry": "",
    "epoch": 0,
    "position": 0,
    "at_home": True,
    "waits": False,
    "told": "",
    "hashes": "AAAA",
    "ids": "",
}


def known(position: int | None, number: int, **fields: object) -> Known:
    one = Known(number.to_bytes(32, "big"), number.to_bytes(16, "big"), "iizuka-city", "", 0, position)
    return one._replace(**fields)  # type: ignore[arg-type]  # each caller names fields of its own types


def test_a_collection_comes_back_whole_and_neighbours_share_a_row() -> None:
    ruins = Ruins()
    records = [known(position, position + 1) for position in range(5, 30)]
    records += [
        known(40, 99, epoch=1),
        known(None, 100, registry="tax", at_home=False, waits=True, told="HELD"),
    ]
    collected = ruins.collected(
        ruins.survey(EMBASSY, 12, agreed=10), known=records, trusts=(b"{}",), checkpoints=("a\nb\n",), notes=("One note.",)
    )  # fmt: skip
    data = encode_collected(collected)
    assert decode_collected(data) == collected
    assert len(json.loads(data)["known"]) == 3


def test_a_record_known_by_receipt_and_by_outbox_has_a_place_a_registry_and_waits() -> None:
    receipt = known(7, 1)
    kept = known(None, 1, registry="health", at_home=False, waits=True, told="NO_ORDERING")
    for order in ([receipt, kept], [kept, receipt]):
        (one,) = merged(order)
        assert (one.receipt_number, one.registry, one.waits, one.at_home) == ("0-7", "health", True, True)


def test_of_two_receipts_of_one_record_the_later_epoch_s_place_counts() -> None:
    (one,) = merged([known(7, 1), known(3, 1, epoch=1)])
    assert one.receipt_number == "1-3"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("format", "sento-collected-2", "format"),
        ("known", [CUT], "pieces of 32"),
        ("silent", [{"site": "x", "at_ms": 1}], "words is missing"),
        ("more", 1, "not known to this release"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_in_form_is_refused(field: str, value: object, why: str) -> None:
    whole = json.loads(encode_collected(Collected(bytes(32), 1)))
    with pytest.raises(Malformed, match=why):
        decode_collected(json.dumps({**whole, field: value}).encode())
