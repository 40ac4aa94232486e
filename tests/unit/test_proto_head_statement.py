"""Head statements: one encoding each, signed with all that the site's keys demand, for one ledger, tree and subject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_world import KEYS, LEDGER_ID, SIGNERS, SITES, Tree, subject
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_proto.checkpoint import SiteKeys
from sento_proto.head_statement import (
    NO_HEAD,
    Head,
    HeadStatement,
    decode_statement,
    encode_statement,
    sign_head,
    statement_holds,
)
from sento_proto.keys import Signature, verifies
from sento_proto.pae import TYPE_HEAD, pae
from sento_proto.wire import Malformed

TREE = Tree([("health", 1), ("health", 2), ("tax", 1), ("health", 1)])
PLAIN, DOUBLE = "jp-fukuoka", "jp-ibaraki"
STATEMENT = TREE.statement(PLAIN, "health", 1, 4)

HASHES = st.binary(min_size=32, max_size=32)
HEADS = st.one_of(st.just(NO_HEAD), st.builds(Head, st.integers(0, 2**40 - 1), HASHES))
STATEMENTS = st.builds(
    HeadStatement,
    HASHES,
    st.integers(0, 2**32 - 1),
    st.integers(2**40, 2**63 - 1),
    HASHES,
    st.sampled_from(["health", "tax/local", "a" * 32]),
    HASHES,
    HEADS,
    st.sampled_from(SITES),
    st.sampled_from([(Signature(1, b"s" * 64),), (Signature(1, b"s" * 64), Signature(4, b"t" * 2420))]),
)


@PROPERTY
@given(STATEMENTS)
def test_decoding_gives_back_what_was_encoded(statement: HeadStatement) -> None:
    assert decode_statement(encode_statement(statement)) == statement


def test_every_byte_changed_and_every_truncation() -> None:
    assert_every_flip_and_cut(decode_statement, encode_statement, encode_statement(STATEMENT))


@PROPERTY
@given(damaged(encode_statement(TREE.statement(DOUBLE, "tax", 9, 4))))
def test_what_is_decoded_has_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode_statement, encode_statement, data)


def test_the_body_is_laid_out_as_written_down() -> None:
    body = STATEMENT.body
    assert body[:32] == LEDGER_ID
    assert body[32:36] == b"\0\0\0\1"
    assert body[36:44] == b"\0" * 7 + b"\4"
    assert body[76:83] == b"\x06health"
    assert body[83:115] == subject(1)
    assert body[115:124] == b"\x01" + b"\0" * 7 + b"\3"
    assert body[124:] == STATEMENT.head.link
    assert TREE.statement(PLAIN, "tax", 9, 4).body[112:] == bytes(41)


@pytest.mark.parametrize("site", [PLAIN, DOUBLE])
def test_each_field_is_covered_by_every_signature(site: str) -> None:
    statement = TREE.statement(site, "health", 1, 4)
    assert statement_holds(statement, KEYS[site])
    for changed in (
        statement._replace(ledger_id=bytes(32)),
        statement._replace(epoch=2),
        statement._replace(size=5),
        statement._replace(root=bytes(32)),
        statement._replace(registry="tax"),
        statement._replace(subject=subject(2)),
        statement._replace(head=NO_HEAD),
        statement._replace(head=statement.head._replace(last_position=2)),
        statement._replace(head=statement.head._replace(link=bytes(32))),
    ):
        message = pae(TYPE_HEAD, changed.body)
        for signature, key in zip(
            changed.signatures, (KEYS[site].ed25519, KEYS[site].ml_dsa_44), strict=False
        ):
            assert key is not None
            assert not verifies(key, signature, message)
        assert not statement_holds(changed, KEYS[site])


def test_a_site_with_two_keys_counts_only_with_both_signatures() -> None:
    both = TREE.statement(DOUBLE, "health", 1, 4)
    assert len(both.signatures) == 2
    for one in both.signatures:
        assert not statement_holds(both._replace(signatures=(one,)), KEYS[DOUBLE])
    spoiled = Signature(4, bytes(2420))
    assert not statement_holds(both._replace(signatures=(both.signatures[0], spoiled)), KEYS[DOUBLE])
    assert not statement_holds(both, SiteKeys(KEYS[DOUBLE].ed25519)), "a signature that nobody asked for"


def test_another_site_did_not_sign_it() -> None:
    assert not statement_holds(STATEMENT, KEYS["jp-ishikawa"])


@pytest.mark.parametrize(
    "statement",
    [
        STATEMENT._replace(head=Head(4, bytes(32))),
        STATEMENT._replace(head=Head(None, b"l" * 32)),
        STATEMENT._replace(registry="Health"),
        STATEMENT._replace(registry=""),
        STATEMENT._replace(site="no site"),
        STATEMENT._replace(size=2**63),
        STATEMENT._replace(root=bytes(31)),
        STATEMENT._replace(subject=bytes(16)),
    ],
)
def test_what_nobody_could_mean_is_neither_signed_nor_encoded(statement: HeadStatement) -> None:
    with pytest.raises(Malformed):
        sign_head(statement, SIGNERS[PLAIN])
    with pytest.raises(Malformed):
        encode_statement(statement)


def test_signatures_out_of_order_doubled_or_missing_are_malformed() -> None:
    one, two = Signature(1, b"s" * 64), Signature(4, b"t" * 64)
    for signatures in ((), (two, one), (one, one), (one, Signature(2, b"u"), two)):
        with pytest.raises(Malformed):
            encode_statement(STATEMENT._replace(signatures=signatures))
