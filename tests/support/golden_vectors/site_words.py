"""Vectors of what sites sign about subjects, and of files that convict a site by it: what must be accepted, what proves nothing, what is malformed.

The tree has four records about two subjects. Sites here have Ed25519 keys alone: ML-DSA-44 signatures differ in each run.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping

import sento_proto.fraud_building as build
from golden_vectors.ground import (
    LEDGER_ID,
    SITE_NAMES,
    SITES,
    TIME_MS,
    ZERO16,
    ZERO32,
    Group,
    digest,
    hexed,
    record_id,
)
from sento_proto.block import Lane, sign_block
from sento_proto.chain import link_over
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign
from sento_proto.fraud import KnownSites, ProvenRecord
from sento_proto.governance.site_keys import ReceiptQuorum
from sento_proto.head_statement import NO_HEAD, Head, HeadStatement, encode_statement, sign_head
from sento_proto.header import Header
from sento_proto.merkle import inclusion_proof, root_of, subtree_reader
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING, make_record

LIAR, OTHER, THIRD = SITE_NAMES
SIGNERS = {name: SiteSigners(signer) for name, signer in SITES.items()}
KEYS = {name: signers.keys for name, signers in SIGNERS.items()}
KNOWN = KnownSites(LEDGER_ID, {name: (keys,) for name, keys in KEYS.items()}, (ReceiptQuorum(0, KEYS, 2),))
ABOUT = ("one", "two", "one", "one")
RECORDS = [
    ProvenRecord(
        position,
        make_record(
            Header(
                record_id=record_id(900 + position),
                author_key_id=digest("author")[:16],
                time_ms=TIME_MS,
                key_epoch=1,
                payload_bytes=0,
                subject=digest(f"subject {about}"),
                fact=digest(f"fact {position}")[:16],
                previous=ZERO32,
                group=ZERO16,
                dek_commit=ZERO32,
                registry="health",
                compartment="",
                kind="note",
                content=b"",
            ),
            b"",
        ).header_bytes,
        PAYLOAD_HASH_OF_NOTHING,
    )
    for position, about in enumerate(ABOUT)
]
LEAVES = [record.record_hash for record in RECORDS]
FORKED = [*LEAVES[:2], digest("another record"), LEAVES[3]]


def head_of(about: str, size: int) -> Head:
    """The true head."""
    places = [at for at in range(size) if ABOUT[at] == about]
    return Head(places[-1], link_over(LEAVES[at] for at in places)) if places else NO_HEAD


def statement(
    site: str, about: str, size: int, head: Head | None = None, root: bytes | None = None
) -> HeadStatement:
    """A site's word, a true one unless another is given."""
    said = head_of(about, size) if head is None else head
    tree = root_of(LEAVES[:size]) if root is None else root
    return sign_head(
        HeadStatement(LEDGER_ID, 1, size, tree, "health", digest(f"subject {about}"), said, site),
        SIGNERS[site],
    )


def checkpoint(leaves: list[bytes]) -> Checkpoint:
    """The first site's cosigned checkpoint of a tree."""
    bare = Checkpoint(LEDGER_ID, 1, len(leaves), root_of(leaves))
    return bare._replace(signatures=(cosign(bare, LIAR, SITES[LIAR], TIME_MS // 1000),))


def _path(leaves: list[bytes], position: int) -> list[bytes]:
    return inclusion_proof(subtree_reader(leaves), position, len(leaves))


def statements() -> Group:
    """True words of the first site."""
    return [
        {
            "name": name,
            "bytes": hexed(encode_statement(one)),
            "public_key": SITES[one.site].public_key.data.hex(),
            "site": one.site,
            "registry": one.registry,
            "subject": one.subject.hex(),
            "epoch": one.epoch,
            "size": str(one.size),
            "root": one.root.hex(),
            "last_position": None if one.head.last_position is None else str(one.head.last_position),
            "link": one.head.link.hex(),
        }
        for name, one in (
            ("the last of three", statement(LIAR, "one", 4)),
            ("as of an older size", statement(LIAR, "one", 3)),
            ("position 0", statement(LIAR, "one", 1)),
            ("nothing stands", statement(LIAR, "three", 4)),
        )
    ]


def frauds() -> Group:
    """A file of each kind, as people would hand it on."""
    a, b = checkpoint(LEAVES), checkpoint(FORKED)
    omits, others = (
        statement(LIAR, "one", 4, head_of("one", 3)),
        [statement(site, "one", 4) for site in (OTHER, THIRD)],
    )
    invents = statement(LIAR, "one", 4, Head(1, digest("a link")))
    in_a, in_c = (LEAVES[2], _path(LEAVES, 2)), (FORKED[2], _path(FORKED[:3], 2))
    blocks = [
        sign_block(LEDGER_ID, 1, Lane(LIAR, 1, 0), 1, [digest(f"submission {n}")], SITES[LIAR])
        for n in (1, 2)
    ]
    files = [
        build.two_checkpoints(KNOWN, LIAR, a, b),
        build.two_histories(KNOWN, LIAR, a, checkpoint(FORKED[:3]), 2, in_a, in_c),
        build.two_heads(KNOWN, LIAR, omits, statement(LIAR, "one", 4)),
        build.head_root(KNOWN, statement(LIAR, "one", 4, root=root_of(FORKED)), a),
        build.head_omits(KNOWN, omits, RECORDS[3], _path(LEAVES, 3)),
        build.head_invents(KNOWN, invents, RECORDS[1], _path(LEAVES, 1)),
        build.head_against_quorum(KNOWN, statement(LIAR, "one", 4, Head(3, digest("a link"))), others),
        build.two_blocks(KNOWN, LIAR, *blocks),
    ]
    return [_file(json.loads(data)["kind"], json.loads(data)) for data in files]


def not_proven() -> Group:
    """Files in form that show nothing: nobody may be convicted by them."""
    good = {str(vector["name"]): vector["file"] for vector in frauds()}

    def changed(kind: str, **members: object) -> dict[str, object]:
        value = good[kind]
        assert isinstance(value, dict)
        return {**value, **members}

    honest = build_value("two-heads", a=statement(LIAR, "one", 4), b=statement(LIAR, "one", 3))
    return [
        _file("two true words at two sizes", honest),
        _file(
            "one word twice",
            build_value("two-heads", a=statement(LIAR, "one", 4), b=statement(LIAR, "one", 4)),
        ),
        _file(
            "words about two subjects",
            build_value("two-heads", a=statement(LIAR, "one", 4), b=statement(LIAR, "two", 4)),
        ),
        _file("another site is accused", changed("two-checkpoints", site=OTHER)),
        _file("one other site is no quorum", changed("head-against-quorum", others=_others(good, 1))),
        _file("another ledger", changed("two-blocks", ledger_id=digest("another ledger id").hex())),
        _file(
            "a path of another position", changed("head-omits", path=[one.hex() for one in _path(LEAVES, 2)])
        ),
        _file("two checkpoints of two sizes", changed("two-checkpoints", b=changed("two-histories")["b"])),
    ]


def _others(good: Mapping[str, object], count: int) -> list[object]:
    value = good["head-against-quorum"]
    assert isinstance(value, dict)
    return list(value["others"][:count])


def build_value(kind: str, a: HeadStatement, b: HeadStatement) -> dict[str, object]:
    """A file that no builder would make."""
    return {
        "format": "sento-fraud-1",
        "kind": kind,
        "ledger_id": LEDGER_ID.hex(),
        "site": LIAR,
        "a": b64encode(encode_statement(a)).decode(),
        "b": b64encode(encode_statement(b)).decode(),
    }


def _file(name: str, value: object) -> dict[str, object]:
    keys = {site: signer.public_key.data.hex() for site, signer in SITES.items()}
    return {"name": name, "file": value, "ledger_id": LEDGER_ID.hex(), "sites": keys, "quorum": 2}


def malformed_statements() -> Group:
    """Bytes that are no statement."""
    good = encode_statement(statement(LIAR, "one", 4))
    none = encode_statement(statement(LIAR, "three", 4))
    has = 1 + 32 + 4 + 8 + 32 + 1 + len("health") + 32
    frame = len(good) - 67
    vectors = {
        "format 2": b"\x02" + good[1:],
        "has is 2": good[:has] + b"\x02" + good[has + 1 :],
        "nothing stands and a position": none[: has + 8] + b"\x01" + none[has + 9 :],
        "nothing stands and a link": none[: has + 9] + b"\x01" + none[has + 10 :],
        "the last position is the size": good[: has + 8] + b"\x04" + good[has + 9 :],
        "no registry": good[: has - 39] + b"\x00" + good[has - 32 :],
        "capital letters in the registry": good.replace(b"health", b"Health"),
        "no site": good[: has + 41] + b"\x00" + good[frame - 1 :],
        "no signature": good[: frame - 1] + b"\x00",
        "a signature twice": good[: frame - 1] + b"\x02" + good[frame:] * 2,
        "suite 0": good[:frame] + b"\x00" + good[frame + 1 :],
        "a byte too many": good + b"\x00",
        "a byte too few": good[:-1],
        "empty": b"",
    }
    return [{"name": name, "bytes": hexed(data)} for name, data in vectors.items()]
