"""Receipts: what is good verifies from the file and the followed keys alone, and whatever was altered, cut, lifted or left out is refused with words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from genesis_builder import SITES, TestWorld, build_genesis
from receipts_made import AUTHOR, SmallLedger, with_ml_dsa_44
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.receipt import decode_receipt, encode_receipt, verify_receipt
from sento_proto.wire import Malformed

SIZE = 13
Value = dict[str, object]


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def ledger(world: TestWorld) -> SmallLedger:
    return SmallLedger.of(world, SIZE)


@pytest.fixture(scope="module")
def governance(world: TestWorld) -> Governance:
    return from_genesis(world.genesis)


def why(data: bytes, governance: Governance, expected_hash: bytes | None = None) -> str:
    """Why the receipt is refused; empty when it is good."""
    try:
        return verify_receipt(decode_receipt(data), governance, expected_hash=expected_hash).why
    except Malformed as error:
        return str(error)


@pytest.mark.parametrize("with_record", [False, True])
def test_every_record_has_a_receipt_that_verifies_and_survives_being_written_and_read(
    ledger: SmallLedger, governance: Governance, with_record: bool
) -> None:
    for size in (1, 2, 7, 8, SIZE):
        checkpoint = ledger.checkpoint(size)
        for position in range(size):
            receipt = ledger.receipt(position, checkpoint, with_record=with_record)
            again = decode_receipt(encode_receipt(receipt))
            assert again == receipt
            verified = verify_receipt(again, governance)
            assert (verified.why, set(verified.cosigned)) == ("", set(SITES))
            assert verified.author == (AUTHOR if with_record else "")


def test_a_quorum_is_needed_and_is_enough(ledger: SmallLedger, governance: Governance) -> None:
    for sites, good in ((SITES[:1], False), (SITES[:2], True), ((), False)):
        data = encode_receipt(ledger.receipt(3, ledger.checkpoint(sites=sites)))
        assert (why(data, governance) == "") is good
    assert "2 are needed" in why(
        encode_receipt(ledger.receipt(3, ledger.checkpoint(sites=SITES[:1]))), governance
    )


def test_one_site_that_cosigns_twice_is_one_site(ledger: SmallLedger, governance: Governance) -> None:
    plain = ledger.checkpoint(sites=SITES[:1])
    twice = plain._replace(
        signatures=plain.signatures + ledger.checkpoint(sites=SITES[:1], time_s=7).signatures
    )
    assert "1 of 3 sites" in why(encode_receipt(ledger.receipt(3, twice)), governance)


def test_a_site_that_has_an_ml_dsa_44_key_counts_only_with_both_lines(world: TestWorld) -> None:
    stronger, second = with_ml_dsa_44(world)
    governance = from_genesis(stronger.genesis)
    ledger = SmallLedger.of(stronger, 5, second)
    good = ledger.checkpoint()
    assert why(encode_receipt(ledger.receipt(2, good)), governance) == ""
    ed25519_only = replace(ledger, second_keys={}).checkpoint()
    assert "0 of 3 sites" in why(encode_receipt(ledger.receipt(2, ed25519_only)), governance)
    ml_dsa_only = good._replace(signatures=tuple(line for line in good.signatures if len(line.data) > 100))
    assert "0 of 3 sites" in why(encode_receipt(ledger.receipt(2, ml_dsa_only)), governance)


def test_no_byte_of_the_file_can_be_another(ledger: SmallLedger, governance: Governance) -> None:
    data = encode_receipt(ledger.receipt(5, ledger.checkpoint(sites=SITES[:2]), with_record=True))
    good = json.loads(data)
    chance = random.Random(5)
    for _ in range(600):
        at = chance.randrange(len(data))
        altered = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        if why(altered, governance) == "":
            # Only what means the same may pass: white space, or an escape.
            assert json.loads(altered) == good, f"byte {at}"


def test_no_cut_file_is_read(ledger: SmallLedger, governance: Governance) -> None:
    data = encode_receipt(ledger.receipt(5, ledger.checkpoint()))
    end = len(data.rstrip())
    for length in range(0, end, 7):
        assert why(data[:length], governance).startswith("receipt:")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value | {"position": 4}, "not shown to stand"),
        (lambda value: value | {"path": value["path"][:-1]}, "not shown to stand"),
        (lambda value: value | {"path": [*value["path"], "00" * 32]}, "not shown to stand"),
        (lambda value: value | {"path": ["00" * 32] * 65}, "more than 64 hashes"),
        (lambda value: value | {"record_hash": "00" * 32}, "not shown to stand"),
        (lambda value: value | {"format": "sento-receipt-2"}, "format must be one of"),
        (lambda value: value | {"more": 1}, "not known to this release"),
        (lambda value: value | {"checkpoint": 5}, "must be a checkpoint's text"),
        (lambda value: value | {"checkpoint": value["checkpoint"] + "x"}, "checkpoint:"),
        (lambda value: value | {"ledger_id": "00" * 32}, "not that of the checkpoint"),
        (lambda value: {k: v for k, v in value.items() if k != "path"}, "path is missing"),
    ],
)
def test_an_altered_member_is_refused_by_name(
    ledger: SmallLedger, governance: Governance, change: Callable[[Value], Value], words: str
) -> None:
    value = json.loads(encode_receipt(ledger.receipt(5, ledger.checkpoint())))
    assert words in why(json.dumps(change(value)).encode(), governance)


def test_a_receipt_of_another_ledger_is_refused(ledger: SmallLedger) -> None:
    other = build_genesis(name="another")
    data = encode_receipt(ledger.receipt(5, ledger.checkpoint()))
    assert "it is of ledger" in why(data, from_genesis(other.genesis))


def test_signatures_lifted_from_a_ledger_with_the_same_sites_do_not_count(
    ledger: SmallLedger, governance: Governance
) -> None:
    """A training ledger's sites may have the same keys; the ledger id is in what they sign."""
    lifted = ledger.checkpoint()._replace(ledger_id=bytes(32))
    foreign = ledger.checkpoint()._replace(signatures=ledger.checkpoint(root=bytes(32)).signatures)
    assert "it is of ledger" in why(
        encode_receipt(ledger.receipt(5, lifted)._replace(ledger_id=bytes(32))), governance
    )
    assert "0 of 3 sites" in why(encode_receipt(ledger.receipt(5, foreign)), governance)


def test_cosignatures_of_another_epoch_do_not_count(ledger: SmallLedger, governance: Governance) -> None:
    replayed = ledger.checkpoint()._replace(epoch=1)
    assert "0 of 3 sites" in why(encode_receipt(ledger.receipt(5, replayed)), governance)


def test_a_good_receipt_of_another_record_is_not_the_one_that_is_meant(
    ledger: SmallLedger, governance: Governance
) -> None:
    data = encode_receipt(ledger.receipt(5, ledger.checkpoint()))
    assert why(data, governance, ledger.hashes[5]) == ""
    assert "another record than the one meant" in why(data, governance, ledger.hashes[6])


def test_the_record_in_a_receipt_is_held_to_its_hash_and_its_authors_signature(
    ledger: SmallLedger, governance: Governance
) -> None:
    receipt = ledger.receipt(5, ledger.checkpoint(), with_record=True)
    assert receipt.record is not None
    other = ledger.object(6)
    for record, words in (
        (other, "another one than the receipt is of"),
        (receipt.record._replace(header_bytes=other.header_bytes), "not that of header and payload hash"),
        (receipt.record._replace(payload_hash=bytes(32)), "not that of header and payload hash"),
        (receipt.record._replace(submission=other.submission), "signature"),
    ):
        assert words in why(encode_receipt(receipt._replace(record=record)), governance)
    value = json.loads(encode_receipt(receipt))
    value["record"]["payload"] = ""
    assert "no payload" in why(json.dumps(value).encode(), governance)


def test_the_receipt_set_in_force_at_the_checkpoints_size_judges(
    ledger: SmallLedger, governance: Governance
) -> None:
    """Officers made the third site alone the receipt set from size 10 on: what came before is judged by who counted then."""
    before = governance.receipt_quorums[0]
    alone = before._replace(from_size=10, keys={SITES[2]: before.keys[SITES[2]]}, quorum=1)
    later = governance.changed(receipt_quorums=(before, alone))
    first_two, third = ledger.checkpoint(9, sites=SITES[:2]), ledger.checkpoint(10, sites=SITES[2:])
    assert why(encode_receipt(ledger.receipt(5, first_two)), later) == ""
    assert why(encode_receipt(ledger.receipt(5, third)), later) == ""
    assert why(encode_receipt(ledger.receipt(5, third)), governance) != ""
    assert why(encode_receipt(ledger.receipt(5, ledger.checkpoint(10, sites=SITES[:2]))), later) != ""
