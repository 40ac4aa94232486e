"""Names made from keys, time and order: record ids, subjects, facts, tags, subject chains, pre-authentication encoding."""

from __future__ import annotations

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import PROPERTY
from sento_proto.chain import FIRST_LINK, link_over, next_link
from sento_proto.ids import uuid7
from sento_proto.pae import pae
from sento_proto.pseudonyms import fact_of, kind_family, subject_of, tag_of

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@PROPERTY
@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_record_ids_are_uuids_of_version_7_and_keep_time_and_randomness(time_ms: int, random: bytes) -> None:
    made = uuid.UUID(bytes=uuid7(time_ms, random))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == time_ms
    assert made.int & ((1 << 62) - 1) == int.from_bytes(random[2:], "big") & ((1 << 62) - 1)


def test_record_ids_are_ordered_by_time() -> None:
    assert uuid7(1, b"\xff" * 10) < uuid7(2, bytes(10))


@pytest.mark.parametrize(
    ("time_ms", "random"), [(-1, bytes(10)), (2**48, bytes(10)), (0, bytes(9)), (0, bytes(11))]
)
def test_record_ids_of_other_sizes_are_refused(time_ms: int, random: bytes) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        uuid7(time_ms, random)


def test_a_person_has_another_pseudonym_in_each_registry() -> None:
    assert subject_of(KEY, "1") != subject_of(OTHER_KEY, "1")
    assert subject_of(KEY, "1") == subject_of(KEY, "1") != subject_of(KEY, "2")


def test_a_facts_name_depends_on_the_kinds_family_and_not_on_the_rest_of_it() -> None:
    subject = subject_of(KEY, "1")
    prescription = fact_of(KEY, subject, "health/prescription", "17")
    assert (
        prescription
        == fact_of(KEY, subject, "health/dispense", "17")
        == fact_of(KEY, subject, "health", "17")
    )
    assert kind_family("health/prescription/x") == "health"
    others = {
        fact_of(KEY, subject, "healt", "h17"),
        fact_of(KEY, subject, "health", "18"),
        fact_of(KEY, subject_of(KEY, "2"), "health", "17"),
        fact_of(OTHER_KEY, subject, "health", "17"),
    }
    assert len(others | {prescription}) == 5


def test_tags_keep_their_fields_apart_and_are_never_of_one_field() -> None:
    assert len(tag_of(KEY, "kana-birth", ("ヤマダ", "1999"))) == 4
    assert tag_of(KEY, "t", ("ab", "c")) != tag_of(KEY, "t", ("a", "bc"))
    assert tag_of(KEY, "t", ("a", "b")) != tag_of(KEY, "u", ("a", "b"))
    assert tag_of(KEY, "t", ("a", "b")) != tag_of(KEY, "t", ("a", "b", ""))
    with pytest.raises(ValueError, match="single field"):
        tag_of(KEY, "t", ("1999-12-31",))


@PROPERTY
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=6), st.integers(0, 6))
def test_a_chain_can_be_continued_from_any_link(hashes: list[bytes], at: int) -> None:
    assert link_over(hashes[at:], link_over(hashes[:at])) == link_over(hashes)


def test_a_link_covers_every_record_and_their_order() -> None:
    one, two = b"1" * 32, b"2" * 32
    assert link_over([]) == FIRST_LINK == bytes(32)
    assert next_link(FIRST_LINK, one) == hashlib.sha256(b"\x02" + bytes(32) + one).digest()
    assert len({link_over(hashes) for hashes in ([one], [two], [one, two], [two, one], [one, two, one])}) == 5


@PROPERTY
@given(
    st.text(alphabet="ab1 /", max_size=6),
    st.binary(max_size=6),
    st.text(alphabet="ab1 /", max_size=6),
    st.binary(max_size=6),
)
def test_no_two_signed_things_share_bytes(kind: str, body: bytes, other_kind: str, other_body: bytes) -> None:
    same = (kind, body) == (other_kind, other_body)
    assert (pae(kind, body) == pae(other_kind, other_body)) == same


def test_pre_authentication_encoding_is_that_of_dsse() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
