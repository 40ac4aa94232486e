"""The table of error codes is complete, and its numbers are a promise."""

from __future__ import annotations

import grpc
import pytest

from sento_proto.errors import (
    FINAL_CODES,
    STANDING_CODES,
    TABLE,
    Code,
    SentoError,
    Standing,
    describe,
)


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_every_code_has_a_cause_a_remedy_and_a_grpc_status(code: Code) -> None:
    entry = TABLE[code]
    for sentence in (entry.cause, entry.remedy):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert len(sentence) > 10
    assert entry.grpc_status in grpc.StatusCode.__members__
    assert (entry.grpc_status == "OK") == (entry.standing is Standing.STANDS)


def test_numbers_and_names_are_unique_and_nothing_stands_beside_the_table() -> None:
    assert set(TABLE) == set(Code)
    assert len({int(code) for code in Code}) == len(Code.__members__)


def test_final_are_exactly_the_outcomes_that_can_never_come_true_later() -> None:
    final = {"MALFORMED", "BAD_SIGNATURE", "RECORD_ID_REUSED", "STALE", "GROUP_REFUSED"}
    final |= {"KEY_ENDED", "ACT_REFUSED", "KEY_EPOCH_CLOSED", "NOT_AN_OFFICER", "NOT_PROVEN"}
    assert {code.name for code in FINAL_CODES} == final
    assert {code.name for code in STANDING_CODES} == {"ACCEPTED", "KNOWN"}
    not_yet = {code.name for code, entry in TABLE.items() if entry.standing is Standing.NOT_YET}
    assert {"PREDECESSOR_MISSING", "NOT_PERMITTED", "HELD"} <= not_yet


def test_an_error_says_code_cause_detail_and_remedy() -> None:
    error = SentoError(Code.STALE, "position 17")
    entry = TABLE[Code.STALE]
    assert str(error) == f"STALE: {entry.cause} (position 17) {entry.remedy}"
    assert (error.code, error.detail) == (Code.STALE, "position 17")
    assert "()" not in describe(Code.STALE)
