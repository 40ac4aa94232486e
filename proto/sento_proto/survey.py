"""A survey: what one surviving site holds after the majority is gone, said and signed by the site itself.

    body   {"ledger_id", "site", "epoch", "made_at_ms", "tip": {size, root, block}, "extended": {size, root, block}, "agreed": {...} (absent: none),
            "agreed_note": base64, "agreed_at_s", "last_record_ms", "last_act": hex, "cosigned_size", "remembers": {site: size},
            "tail": {"blocks", "uncommitted", "last_term", "last_index", "trouble"} (absent: the site has no log of its own),
            "contacts": [{"site", "reached", "last_ms"}], "has_majority", "payloads_awaited", "version"}

`tip` is the ledger on disk. `extended` is what it comes to with the blocks that this site's own ordering log holds behind it, committed or not: which of those
were acknowledged nobody can tell, and none may be thrown away. A survey travels in the envelope of `site_word.py`; one whose site's key is lost, made from a
copy of its disk, is in the same envelope without a signature. Pure.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import NamedTuple

from sento_proto.site_word import Kind
from sento_proto.strict_json import Fields, load

SURVEY = Kind("survey", "sento-survey-1", "sento-survey-1", 16 * 1024 * 1024)
_SIZE_MAX = 2**63 - 1
_HASH_BYTES = 32


class Tree(NamedTuple):
    """The tree of `size` records with `root`, at the end of `block`."""

    size: int
    root: bytes
    block: int


class LogTail(NamedTuple):
    """What the site's own ordering log holds behind its ledger. `uncommitted`: how many of the `blocks` its member did not know to be committed.

    `last_term` and `last_index` are the last entry's: of two tails the one with the higher pair holds all that was acknowledged (raft, section 5.4.1).
    `trouble`: why blocks between ledger and log are missing or the log cannot be read to its end, in words; empty when nothing is missing.
    """

    blocks: int
    uncommitted: int
    last_term: int
    last_index: int
    trouble: str


class Contact(NamedTuple):
    """Another site as this one sees it: whether it answers, and when it last did (ms since 1970; 0: never in this life)."""

    site: str
    reached: bool
    last_ms: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What a site says. `agreed`: the largest tree on its disk that a quorum cosigned, with the note, and when it had (s since 1970). `last_record_ms`: the
    time in the newest record's header. `last_act`: the newest act in `extended`. `cosigned_size`: up to where it remembers to have cosigned itself: more than
    `tip` means that its disk was put back. `remembers`: of other sites, the largest size that they cosigned. `voting`: whether by governance it votes."""

    ledger_id: bytes
    site: str
    epoch: int
    made_at_ms: int
    tip: Tree
    extended: Tree
    agreed: Tree | None
    agreed_note: bytes
    agreed_at_s: int
    last_record_ms: int
    last_act: bytes
    cosigned_size: int
    remembers: tuple[tuple[str, int], ...] = ()
    tail: LogTail | None = None
    contacts: tuple[Contact, ...] = ()
    has_majority: bool = False
    payloads_awaited: int = 0
    version: str = ""


def encode_survey(survey: Survey) -> bytes:
    """The body's bytes."""
    value: dict[str, object] = {
        "ledger_id": survey.ledger_id.hex(),
        "site": survey.site,
        "epoch": survey.epoch,
        "made_at_ms": survey.made_at_ms,
        "tip": _tree_value(survey.tip),
        "extended": _tree_value(survey.extended),
        "agreed_note": base64.b64encode(survey.agreed_note).decode(),
        "agreed_at_s": survey.agreed_at_s,
        "last_record_ms": survey.last_record_ms,
        "last_act": survey.last_act.hex(),
        "cosigned_size": survey.cosigned_size,
        "remembers": dict(sorted(survey.remembers)),
        "contacts": [one._asdict() for one in survey.contacts],
        "has_majority": survey.has_majority,
        "payloads_awaited": survey.payloads_awaited,
        "version": survey.version,
    }
    if survey.agreed is not None:
        value["agreed"] = _tree_value(survey.agreed)
    if survey.tail is not None:
        value["tail"] = survey.tail._asdict()
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def decode_survey(body: bytes) -> Survey:
    """The survey in the body, form only. Raises Malformed."""
    fields = load(body, "survey")
    survey = Survey(
        ledger_id=fields.hex("ledger_id", _HASH_BYTES),
        site=fields.institution("site"),
        epoch=fields.number("epoch", 0, 9_999),
        made_at_ms=fields.number("made_at_ms", 0, _SIZE_MAX),
        tip=fields.inner("tip", _read_tree),
        extended=fields.inner("extended", _read_tree),
        agreed=fields.inner("agreed", _read_tree) if fields.has("agreed") else None,
        agreed_note=fields.blob("agreed_note"),
        agreed_at_s=fields.number("agreed_at_s", 0, _SIZE_MAX),
        last_record_ms=fields.number("last_record_ms", 0, _SIZE_MAX),
        last_act=fields.hex("last_act", _HASH_BYTES),
        cosigned_size=fields.number("cosigned_size", 0, _SIZE_MAX),
        remembers=fields.inner("remembers", _read_sizes),
        tail=fields.inner("tail", _read_tail) if fields.has("tail") else None,
        contacts=fields.objects("contacts", _read_contact),
        has_majority=fields.flag("has_majority"),
        payloads_awaited=fields.number("payloads_awaited", 0, _SIZE_MAX),
        version=fields.text("version"),
    )
    fields.end()
    return survey


def unsigned_survey_file(survey: Survey) -> bytes:
    """The envelope of a survey that nobody signed: with no signature in it."""
    body = base64.b64encode(encode_survey(survey)).decode()
    value = {"format": SURVEY.format, "site": survey.site, "body": body, "signatures": []}
    return json.dumps(value, indent=1).encode() + b"\n"


def _tree_value(tree: Tree) -> dict[str, object]:
    return {"size": tree.size, "root": tree.root.hex(), "block": tree.block}


def _read_tree(fields: Fields) -> Tree:
    return Tree(
        fields.number("size", 0, _SIZE_MAX),
        fields.hex("root", _HASH_BYTES),
        fields.number("block", 0, _SIZE_MAX),
    )


def _read_tail(fields: Fields) -> LogTail:
    return LogTail(
        fields.number("blocks", 0, _SIZE_MAX),
        fields.number("uncommitted", 0, _SIZE_MAX),
        fields.number("last_term", 0, _SIZE_MAX),
        fields.number("last_index", 0, _SIZE_MAX),
        fields.text("trouble"),
    )


def _read_contact(fields: Fields) -> Contact:
    return Contact(fields.institution("site"), fields.flag("reached"), fields.number("last_ms", 0, _SIZE_MAX))


def _read_sizes(fields: Fields) -> tuple[tuple[str, int], ...]:
    sizes = fields.rest()
    for site, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _SIZE_MAX:
            raise fields.wrong(site, "must be a size")
    return tuple(sorted((site, size) for site, size in sizes.items() if isinstance(size, int)))
