"""A registry's keys sealed to the recovery key of a year, for the ceremony: without them nobody could be found again after a disaster.

    {"format": "sento-registry-key-seals-1", "ledger_id": hex, "recipient": base64 of the recovery public key,
     "seals": [{"registry", "kind": "pseudonym" | "index", "key_id": hex, "seal": base64}]}

The file holds no secret: only the officers together can open a seal. Each is bound to ledger, kind and registry; its key id says afterwards whether
the key that came out is the one that was in use. Keys in a token cannot be sealed, because they do not come out: they are sealed when they are made,
before the token takes them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from sento_client.pseudonym_service.key_file import Keys
from sento_client.pseudonym_service.macs import KeyName, SoftwareMac, key_ids
from sento_client.setup_errors import Setup, SetupError
from sento_proto.pseudonyms import KeyKind
from sento_proto.recovery import EntryKind, SealedEntry, registry_key_info
from sento_proto.seal import seal, seal_suite_of
from sento_proto.wire import Malformed

FORMAT = "sento-registry-key-seals-1"
ENTRY_KINDS: Mapping[KeyKind, EntryKind] = {
    KeyKind.PSEUDONYM: EntryKind.PSEUDONYM_KEY,
    KeyKind.INDEX: EntryKind.INDEX_KEY,
}


def read_recovery_public(path: Path) -> bytes:
    """The recovery public key in a file: base64 in one line, or a JSON object with "public_key". Raises SetupError KEY_FILE_INVALID."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        if text.startswith("{"):
            value = json.loads(text)
            text = value["public_key"] if isinstance(value.get("public_key"), str) else ""
        public = base64.b64decode(text, validate=True)
        seal_suite_of(public)
    except OSError as error:
        raise SetupError(Setup.KEY_FILE_MISSING, f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, binascii.Error, Malformed):
        why = "it holds no recovery public key: base64 in one line, or a JSON object with public_key"
        raise SetupError(Setup.KEY_FILE_INVALID, f"{path}: {why}") from None
    return public


def seals_text(keys: Keys, ledger_id: bytes, recipient_public: bytes) -> str:
    """The file's text. Raises Malformed when the recipient's key is none."""
    ids = key_ids(SoftwareMac(keys))
    seals = [
        {
            "registry": name.registry,
            "kind": name.kind.word,
            "key_id": ids[name].hex(),
            "seal": base64.b64encode(
                seal(
                    key, registry_key_info(ledger_id, ENTRY_KINDS[name.kind], name.registry), recipient_public
                )
            ).decode(),
        }
        for name, key in sorted(keys.items())
    ]
    document = {
        "format": FORMAT,
        "ledger_id": ledger_id.hex(),
        "recipient": base64.b64encode(recipient_public).decode(),
        "seals": seals,
    }
    return json.dumps(document, indent=1) + "\n"


def read_seals(path: Path) -> list[tuple[SealedEntry, bytes]]:
    """The sealed keys in a file as entries of a ceremony's payload, each with its 16-byte key id. Raises SetupError KEY_FILE_INVALID."""
    kinds = {kind.word: entry for kind, entry in ENTRY_KINDS.items()}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(FORMAT)
        return [
            (
                SealedEntry(
                    kinds[entry["kind"]], entry["registry"], base64.b64decode(entry["seal"], validate=True)
                ),
                bytes.fromhex(entry["key_id"]),
            )
            for entry in cast("list[dict[str, str]]", document["seals"])
        ]
    except OSError as error:
        raise SetupError(Setup.KEY_FILE_MISSING, f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SetupError(Setup.KEY_FILE_INVALID, f"{path}: it is not of format {FORMAT}") from None


def same_keys(keys: Keys, ids: Mapping[KeyName, bytes]) -> bool:
    """Whether the keys are those with these ids: after an unlock, and after an import into a token."""
    return key_ids(SoftwareMac(keys)) == dict(ids)
