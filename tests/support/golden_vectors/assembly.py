"""All golden vectors in one file: what stands in it and how it is written.

JSON with one vector a line, so that a difference between two versions names the vector. Bytes are hex, where `(bb*n)` stands for n times the byte
bb; numbers of 64 bits are decimal text.
"""

from __future__ import annotations

import json

from golden_vectors import (
    accepted_frames,
    accepted_records,
    closed_payloads,
    false_signatures,
    governed_records,
    malformed_frames,
    malformed_notes,
    malformed_records,
    odd_signatures,
    site_words,
    trees,
)
from golden_vectors.ground import Group

FORMAT = "sento-golden-vectors-1"


def groups() -> dict[str, Group]:
    """Every group by name. First what must be accepted, then what must be refused."""
    return {
        "error_codes": accepted_records.error_codes(),
        "keys": accepted_records.key_ids(),
        "pae": accepted_records.paes(),
        "uuid7": accepted_records.uuids(),
        "pseudonyms": accepted_records.pseudonyms(),
        "headers": accepted_records.headers(),
        "sealed": accepted_records.sealed(),
        "records": accepted_records.records(),
        "chains": accepted_records.chains(),
        "submissions": accepted_frames.submissions(),
        "submissions_form_only": accepted_frames.form_only(),
        "acts": accepted_frames.acts(),
        "act_contents": governed_records.act_contents(),
        "kek_records": governed_records.kek_records(),
        "site_rules": governed_records.site_rules(),
        "access_records": governed_records.access_records(),
        "delayed_cases": governed_records.delayed_cases(),
        "blocks": accepted_frames.blocks(),
        "checkpoints": [*accepted_frames.checkpoints(), *false_signatures.two_lines_of_one_site()],
        "ml_dsa_44_lines": accepted_frames.ml_dsa_44_lines(),
        "kek_seals": accepted_frames.kek_seals(),
        "head_statements": site_words.statements(),
        "fraud_proofs": site_words.frauds(),
        "trees": trees.trees(),
        "inclusion_proofs": trees.inclusions(),
        "consistency_proofs": trees.consistencies(),
        "signatures": odd_signatures.raw_signatures(),
        "p256_signatures": governed_records.p256_signatures(),
        "two_keys": closed_payloads.two_keys(),
        "malformed_headers": malformed_records.headers(),
        "malformed_payloads": malformed_records.payloads(),
        "malformed_submissions": malformed_frames.submissions(),
        "malformed_acts": malformed_frames.acts(),
        "malformed_blocks": malformed_frames.blocks(),
        "malformed_checkpoints": malformed_notes.checkpoints(),
        "malformed_head_statements": site_words.malformed_statements(),
        "fraud_not_proven": site_words.not_proven(),
        "closed_payloads": closed_payloads.closed(),
        "refused_keys": odd_signatures.refused_keys(),
        "false_signatures": false_signatures.signed_things(),
        "false_checkpoints": false_signatures.checkpoints(),
        "false_inclusion_proofs": trees.false_inclusions(),
        "false_consistency_proofs": trees.false_consistencies(),
    }


def encoded(named: dict[str, Group]) -> bytes:
    """The file's bytes."""
    parts = [f'{{\n"format": {json.dumps(FORMAT)}']
    for name, group in named.items():
        lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in group)
        parts.append(f",\n{json.dumps(name)}: [\n{lines}\n]")
    return ("".join(parts) + "\n}\n").encode()


def vectors_bytes() -> bytes:
    """The golden file as this release makes it."""
    return encoded(groups())
