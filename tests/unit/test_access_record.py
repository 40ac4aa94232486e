"""What an access record says goes there and back unchanged, has one form, and always fits the largest payload that apply takes."""

from __future__ import annotations

import json

import pytest

from access_records import said
from sento_proto.access_record import (
    CONTENT_MAX_BYTES,
    PAYLOAD_MAX_BYTES,
    RECORDS_MAX,
    access_header,
    decode_access,
    encode_access,
    fact_of_access,
)
from sento_proto.sealing import payload_bytes_for
from sento_proto.wire import Malformed

PURPOSE_MAX_CHARACTERS = 200
"""What sites take of a purpose and of a case number."""


@pytest.mark.parametrize(
    ("access", "kind"),
    [
        (said(), "access"),
        (said(outcome="NOT_PERMITTED", refused_before=12, records=()), "access-refused"),
        (said(subject=b"\1" * 32, delay="inv-7"), "access-delayed"),
        (said(subject=b"\1" * 32, delay="inv-7", outcome="ERASED"), "access-delayed"),
    ],
)
def test_what_is_said_is_read_again_and_names_its_kind(access: object, kind: str) -> None:
    content = encode_access(access)  # type: ignore[arg-type]
    assert decode_access(content) == access
    assert decode_access(content).kind == kind


def test_the_fullest_access_record_fits_the_largest_payload() -> None:
    widest = "\U00020b9f" * PURPOSE_MAX_CHARACTERS
    access = said(
        site="s" * 32, reader="r" * 32, purpose=widest, case_number=widest, records=tuple(bytes([at]) * 32 for at in range(RECORDS_MAX)),
        more=2**63 - 1, outcome="RECORD_ID_REUSED", refused_before=2**63 - 1, asked_at_ms=2**63 - 1, subject=bytes(32), delay="d" * 32,
    )  # fmt: skip
    content = encode_access(access)
    assert len(content) <= CONTENT_MAX_BYTES
    assert payload_bytes_for(len(content)) <= PAYLOAD_MAX_BYTES == 8 * 1024 + 64


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "two\nlines"},
        {"case_number": "\ud800"},
        {"reader": "Relief Desk"},
        {"method": "steal"},
        {"outcome": "ACCEPTED"},
        {"outcome": "NO_SUCH_CODE"},
        {"records": (bytes(32),) * (RECORDS_MAX + 1)},
        {"records": (bytes(31),)},
        {"more": -1},
        {"refused_before": 2**63},
        {"asked_at_ms": 1.5},
        {"subject": bytes(32)},
        {"delay": "inv-7"},
        {"purpose": "x" * CONTENT_MAX_BYTES},
    ],
    ids=str,
)
def test_what_no_access_record_says_is_refused_before_it_is_sealed(fields: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        encode_access(said(**fields))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value | {"format": "sento-access-2"},
        lambda value: value | {"name": "somebody"},
        lambda value: {name: inner for name, inner in value.items() if name != "more"},
        lambda value: value | {"asked_at_ms": True},
        lambda value: value | {"records": ["AA" * 32]},
    ],
)
def test_content_in_another_form_is_not_read(spoil: object) -> None:
    value = json.loads(encode_access(said()))
    with pytest.raises(Malformed):
        decode_access(json.dumps(spoil(value)).encode())  # type: ignore[operator]


def test_the_header_has_a_fact_of_its_own_and_follows_nothing() -> None:
    header = access_header(
        bytes(16), b"k" * 16, 7, registry="health", key_epoch=2, subject=bytes(32), kind="access"
    )
    assert (header.fact, header.is_first_version) == (fact_of_access(bytes(16)), True)
    assert fact_of_access(bytes(16)) != fact_of_access(b"\1" * 16)
