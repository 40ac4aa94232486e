"""The worked example of `client/audit/FORMAT.md`: made from the golden ledger of rules 1, so that no value in it can drift.

`python tests/support/audit_example.py` writes it into the page anew."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from audit_ledgers import golden_audit_ledger
from sento_node.ledger import reading
from sento_proto.checkpoint import checkpoint_text, encode_signature_line, note_key_hash
from sento_proto.header import decode
from sento_proto.merkle import node_hash
from sento_proto.pae import TYPE_SUBMISSION, pae
from sento_proto.wire import u32

PAGE = Path(__file__).resolve().parents[2] / "client" / "audit" / "FORMAT.md"
BEGIN, END = "<!-- example -->\n", "<!-- /example -->\n"


def worked_example() -> str:
    """The text between the marks."""
    ledger = golden_audit_ledger("ledger_rules_1")
    kept = ledger.records()[0]
    header = decode(kept.header_bytes)
    record = ledger.record(kept)
    submission = record.submission
    size = 2
    checkpoint = ledger.checkpoint(size)
    path = reading.inclusion(ledger.driver.store, 0, size)
    [signature] = submission.signatures
    root = node_hash(kept.record_hash, *submission.path) if submission.path else kept.record_hash
    body = ledger.world.ledger_id + root + u32(submission.records) + submission.author_key_id
    site, line = checkpoint.signatures[0].name, checkpoint.signatures[0]
    key = ledger.world.genesis.sites[0].key
    text = checkpoint_text(*checkpoint[:4])
    time_s = int.from_bytes(line.data[:8], "big")
    rows = [
        ("ledger id = SHA-256(genesis file)", ledger.world.ledger_id),
        ("header of position 0", kept.header_bytes),
        ("payload hash", kept.payload_hash),
        ("0x00, header length, header, payload hash", b"\0" + u32(len(kept.header_bytes)) + kept.header_bytes + kept.payload_hash),
        ("its SHA-256: the record hash", kept.record_hash),
        ("author key id, of header and submission", header.author_key_id),
        (f"path in its submission of {submission.records}, index {submission.place}", b"".join(submission.path)),
        ("SHA-256(0x01, record hash, path): the submission's root", root),
        ("what the author signed: PAE", pae(TYPE_SUBMISSION, body)),
        ("the author's Ed25519 key", next(author.keys[0].data for author in ledger.world.genesis.authors if author.keys[0].key_id == header.author_key_id)),
        ("its signature", signature.data),
        ("SHA-256(0x02, 32 zero bytes, record hash): the subject's link", hashlib.sha256(b"\2" + bytes(32) + kept.record_hash).digest()),
        (f"inclusion path of position 0 in the tree of size {size}", b"".join(path)),
        ("SHA-256(0x01, record hash, path): the tree's root", checkpoint.root),
        ("checkpoint's text", text),
        (f"key hash of {site} for type 0x04", note_key_hash(site, 4, key)),
        (f"what {site} cosigned", b"cosignature/v1\ntime %d\n" % time_s + text),
        (f"{site}'s Ed25519 key", key.data),
        ("its signature, behind the time of 8 bytes", line.data[8:]),
    ]  # fmt: skip
    said = "".join(f"{words}\n    {data.hex()}\n" for words, data in rows)
    note = encode_signature_line(line).decode()
    assert base64.b64encode(checkpoint.root) in text
    return f"```\n{said}the cosignature's line\n    {note}```\n"


def page_with_example(page: str) -> str:
    """The page with this example in it."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + worked_example() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page_with_example(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
