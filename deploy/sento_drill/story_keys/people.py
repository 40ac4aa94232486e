"""What institutions hand to the officers: their public keys, as a change in an act states them."""

from __future__ import annotations

import base64
from pathlib import Path

from sento_client.keyfiles import read_seal_key, read_signing_key
from sento_drill.config_files import SEAL_KEY, SIGNING_KEY
from sento_drill.plan import AuthorPlan, ReaderPlan
from sento_proto.genesis import Scope
from sento_proto.kek_seal import xwing_public

Json = dict[str, object]
_SUITES = {1: "ed25519", 2: "ecdsa-p256"}


def scope_json(scope: Scope) -> Json:
    """A scope as acts name it."""
    return {"registry": scope.registry, "compartment": scope.compartment}


def key_json(path: Path) -> Json:
    """The public key of a signing key file."""
    key = read_signing_key(path).public_key
    return {"suite": _SUITES[key.suite], "public_key": base64.b64encode(key.data).decode()}


def key_id(path: Path) -> str:
    """The key id of a signing key file, hex."""
    return read_signing_key(path).public_key.key_id.hex()


def enrol_author(directory: Path, plan: AuthorPlan, records: int, subjects: int) -> Json:
    """The change that enrols it."""
    return {
        "do": "enrol-author",
        "name": plan.name,
        "keys": [key_json(directory / SIGNING_KEY)],
        "may_write": [scope_json(scope) for scope in plan.may_write],
        "budget_per_10000_positions": {"records": records, "subjects": subjects},
        "seal_key": _seal_public(directory),
    }


def enrol_reader(directory: Path, plan: ReaderPlan) -> Json:
    """The change that enrols it."""
    return {
        "do": "enrol-reader",
        "name": plan.name,
        "may_read": [scope_json(scope) for scope in plan.may_read],
        "seal_key": _seal_public(directory),
    }


def _seal_public(directory: Path) -> str:
    return base64.b64encode(xwing_public(read_seal_key(directory / SEAL_KEY))).decode()
