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
from typing import NamedTuple, cast

from sento_client.pseudonym_service.key_file import Keys
from sento_client.pseudonym_service.macs import KeyName, SoftwareMac, key_ids
from sento_client.setup_errors import Setup, SetupError
from sento_proto.pseudonyms import KeyKind
from sento_proto.recovery import REGISTRY_KEY_BYTES, EntryKind, SealedEntry, registry_key_info
from sento_proto.seal import TAG_BYTES, decode_seal, recipient_key_id, seal, seal_suite_of
from sento_proto.wire import Malformed

FORMAT = "sento-registry-key-seals-1"
ENTRY_KINDS: Mapping[KeyKind, EntryKind] = {
    KeyKind.PSEUDONYM: EntryKind.PSEUDONYM_KEY,
    KeyKind.INDEX: EntryKind.INDEX_KEY,
}


def read_recovery_public(path: Path) -> bytes:
    """The recovery public key in a file: base64 in one line, a JSON object with "public_key", or a ceremony's proposal. Raises SetupError KEY_FILE_INVALID."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        if text.startswith("{"):
            value = json.loads(text)
            if "act" in value:
                (value,) = value["act"]["changes"]
            text = value["public_key"] if isinstance(value.get("public_key"), str) else ""
        public = base64.b64decode(text, validate=True)
        seal_suite_of(public)
    except OSError as error:
        raise SetupError(Setup.KEY_FILE_MISSING, f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, Malformed):
        why = "it holds no recovery public key: base64 in one line, a JSON object with public_key, or a ceremony's proposal"
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


class SealedKeys(NamedTuple):
    """A file of sealed keys: of which ledger, to which recovery public key, and each as an entry of a ceremony's payload with its 16-byte key id."""

    ledger_id: bytes
    recipient: bytes
    entries: tuple[tuple[SealedEntry, bytes], ...]

    def mistakes(self, ledger_id: bytes, recovery_public: bytes) -> list[str]:
        """Why these cannot stand in that ledger's ceremony of that key; empty where they can. What is inside a seal nobody can see."""
        found = []
        if self.ledger_id != ledger_id:
            found.append("its keys are of another ledger")
        if self.recipient != recovery_public:
            found.append("its keys are sealed to another recovery key")
        if not self.entries:
            found.append("it holds no key")
        wanted = recipient_key_id(seal_suite_of(recovery_public), recovery_public)
        for entry, _ in self.entries:
            what = f"{entry.kind.name.lower().replace('_', ' ')} of registry {entry.name}"
            try:
                parts = decode_seal(entry.seal)
            except Malformed as error:
                found.append(f"{what}: {error}")
                continue
            if parts.recipient_key_id != wanted:
                found.append(f"{what}: it is sealed to another key")
            elif len(parts.ciphertext) != REGISTRY_KEY_BYTES + TAG_BYTES:
                found.append(f"{what}: what is sealed does not have {REGISTRY_KEY_BYTES} bytes")
        return found


def read_seals(path: Path) -> SealedKeys:
    """The sealed keys in a file. Raises SetupError KEY_FILE_INVALID."""
    kinds = {kind.word: entry for kind, entry in ENTRY_KINDS.items()}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(FORMAT)
        entries = tuple(
            (
                SealedEntry(
                    kinds[entry["kind"]], entry["registry"], base64.b64decode(entry["seal"], validate=True)
                ),
                bytes.fromhex(entry["key_id"]),
            )
            for entry in cast("list[dict[str, str]]", document["seals"])
        )
        recipient = base64.b64decode(document["recipient"], validate=True)
        return SealedKeys(bytes.fromhex(document["ledger_id"]), recipient, entries)
    except OSError as error:
        raise SetupError(Setup.KEY_FILE_MISSING, f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SetupError(Setup.KEY_FILE_INVALID, f"{path}: it is not of format {FORMAT}") from None


def same_keys(keys: Keys, ids: Mapping[KeyName, bytes]) -> bool:
    """Whether the keys are those with these ids: after an unlock, and after an import into a token."""
    return key_ids(SoftwareMac(keys)) == dict(ids)
