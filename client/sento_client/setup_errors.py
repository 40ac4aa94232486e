"""What can be wrong on the client's own computer before any site is asked: configuration, key files, missing keys.

`sento_proto.errors` has the codes that travel; these never do. They have the same form: a stable code, one sentence of cause, one of remedy, and
a detail that names a file or a field and never what stands in it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Setup(StrEnum):
    """Stable names; programs compare them."""

    CONFIG_MISSING = "CONFIG_MISSING"
    CONFIG_INVALID = "CONFIG_INVALID"
    GENESIS_INVALID = "GENESIS_INVALID"
    KEY_FILE_MISSING = "KEY_FILE_MISSING"
    KEY_FILE_OPEN = "KEY_FILE_OPEN"
    KEY_FILE_INVALID = "KEY_FILE_INVALID"
    PASSPHRASE_MISSING = "PASSPHRASE_MISSING"
    PASSPHRASE_WRONG = "PASSPHRASE_WRONG"
    TOKEN_MODULE_MISSING = "TOKEN_MODULE_MISSING"
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_KEY_MISSING = "TOKEN_KEY_MISSING"
    TOKEN_KEY_UNSUITED = "TOKEN_KEY_UNSUITED"
    TOKEN_FAILED = "TOKEN_FAILED"
    TOKEN_SILENT = "TOKEN_SILENT"
    PIN_MISSING = "PIN_MISSING"
    PIN_WRONG = "PIN_WRONG"
    PIN_LOCKED = "PIN_LOCKED"
    TRUST_INVALID = "TRUST_INVALID"
    RULES_UNKNOWN = "RULES_UNKNOWN"
    NOT_ENROLLED = "NOT_ENROLLED"
    CANNOT_SIGN = "CANNOT_SIGN"
    NO_PSEUDONYM_KEY = "NO_PSEUDONYM_KEY"
    NAMES_ARE_ASKED = "NAMES_ARE_ASKED"
    NO_KEK = "NO_KEK"
    KEK_SEAL_WRONG = "KEK_SEAL_WRONG"
    KEK_DIFFERS = "KEK_DIFFERS"
    TLS_INVALID = "TLS_INVALID"
    OUTBOX_UNUSABLE = "OUTBOX_UNUSABLE"
    OUTBOX_FOREIGN = "OUTBOX_FOREIGN"
    RECEIPTS_UNUSABLE = "RECEIPTS_UNUSABLE"
    RECEIPTS_FOREIGN = "RECEIPTS_FOREIGN"
    VOLUMES_UNUSABLE = "VOLUMES_UNUSABLE"
    VOLUMES_FULL = "VOLUMES_FULL"
    VOLUMES_TAKEN = "VOLUMES_TAKEN"
    VOLUMES_FOREIGN = "VOLUMES_FOREIGN"
    EXTRACTS_UNUSABLE = "EXTRACTS_UNUSABLE"


class Words(NamedTuple):
    """One row of the table."""

    cause: str
    remedy: str


TABLE: dict[Setup, Words] = {
    Setup.CONFIG_MISSING: Words(
        "The configuration file cannot be read.",
        "Name it with --config or in the environment variable SENTO_CONFIG.",
    ),
    Setup.CONFIG_INVALID: Words(
        "The configuration file has mistakes.", "Mend every field that is listed, then start again."
    ),
    Setup.GENESIS_INVALID: Words(
        "The genesis file cannot be read or is not one.",
        "Fetch it again from the officers; its hash is the ledger's name, so a changed copy belongs to no ledger.",
    ),
    Setup.KEY_FILE_MISSING: Words(
        "A key file cannot be read.", "Check the path in the configuration and who may read the file."
    ),
    Setup.KEY_FILE_OPEN: Words(
        "A key file can be read by others than its owner, so the key may be known to them.",
        "Find out who could read it; if nobody did, run chmod 600 on it, otherwise have the key replaced.",
    ),
    Setup.KEY_FILE_INVALID: Words(
        "A key file is not in the form that its name promises.", "Restore it from its backup; do not edit it."
    ),
    Setup.PASSPHRASE_MISSING: Words(
        "A key file is encrypted and there is no passphrase for it.",
        "Name a file with it as keys.passphrase_file, set SENTO_PASSPHRASE, or start from a terminal.",
    ),
    Setup.PASSPHRASE_WRONG: Words(
        "The passphrase does not open a key file.",
        "Try the right passphrase; without it the key is lost and another one must be enrolled.",
    ),
    Setup.TOKEN_MODULE_MISSING: Words(
        "The PKCS#11 module of the token cannot be loaded.",
        "Install the vendor's module and the extra sento[token], and check keys.token.module.",
    ),
    Setup.TOKEN_MISSING: Words(
        "The token is not there.",
        "Plug it in, or check keys.token.token_label; the next call finds it, and nothing was half signed.",
    ),
    Setup.TOKEN_KEY_MISSING: Words(
        "The token has no such key.",
        "Check key_label and seal_label of keys.token; a private key needs its public key under the same label.",
    ),
    Setup.TOKEN_KEY_UNSUITED: Words(
        "The key on the token cannot be used here.",
        "Make an Ed25519 or P-256 key pair on the token (P-256 for seals) that is sensitive and cannot be extracted.",
    ),
    Setup.TOKEN_FAILED: Words(
        "The token failed in the middle of its work; nothing was signed or opened.",
        "Plug it in anew and try again; if it goes on, ask its vendor what the named error means.",
    ),
    Setup.TOKEN_SILENT: Words(
        "The token does not answer; nothing was signed or opened.",
        "See whether it waits to be touched or unlocked; if not, plug it in anew and restart this program.",
    ),
    Setup.PIN_MISSING: Words(
        "There is no PIN for the token.",
        "Name a file with it as keys.token.pin_file, set SENTO_PIN, or start from a terminal.",
    ),
    Setup.PIN_WRONG: Words(
        "The token refused the PIN, and this program does not send it again, because a few wrong ones lock the token.",
        "Correct the PIN, then start again.",
    ),
    Setup.PIN_LOCKED: Words(
        "The token is locked, or one wrong PIN away from it.",
        "Log in once with the vendor's own tool, or have the token's security officer set a new PIN.",
    ),
    Setup.TRUST_INVALID: Words(
        "The file trust.json, in which this client keeps the governance that it followed, cannot be used.",
        "Move it away and look at who could change it; the client then follows governance anew from the genesis file and the sites.",
    ),
    Setup.RULES_UNKNOWN: Words(
        "The ledger is under rules that this release does not know, so it cannot judge what was decided since.",
        "Install a release that knows them; the message names the rules that this one knows.",
    ),
    Setup.NOT_ENROLLED: Words(
        "The institution or its key does not stand in the genesis file.",
        "Compare institution and key files with the genesis file, or have the key enrolled.",
    ),
    Setup.CANNOT_SIGN: Words(
        "This client has no signing key, so it can read and not write.",
        "Set keys.signing in the configuration, or write with another one.",
    ),
    Setup.NO_PSEUDONYM_KEY: Words(
        "The pseudonym key of this registry is not in the key files, so nobody can be named in it.",
        "Ask the registry's officers for the key if the institution may use this registry.",
    ),
    Setup.NAMES_ARE_ASKED: Words(
        "This client asks the pseudonym service for names, so it cannot compose a record without waiting for them.",
        "Await compose_named, or names and then compose with what it gave; write and the other calls do so by themselves.",
    ),
    Setup.NO_KEK: Words(
        "The key for this author, registry, compartment and key epoch is not sealed to this institution.",
        "Ask the author to seal it (sento keys reseal); to write, make a key for the scope first (sento keys make).",
    ),
    Setup.KEK_SEAL_WRONG: Words(
        "A key in the ledger was sealed wrongly to this institution, so nothing under it can be read here.",
        "Tell the author that is named: it seals the key again with sento keys reseal --again; and tell the officers if it comes twice.",
    ),
    Setup.KEK_DIFFERS: Words(
        "The ledger has another key for this scope than the file keys.kek_seals, so neither was written over.",
        "Keep a copy of the file, which alone opens what was sealed under its key; then take that seal out of it and write those records anew.",
    ),
    Setup.TLS_INVALID: Words(
        "The certificate, its key or the authority's certificate cannot be used.",
        "Check the three files of the section tls; an expired certificate is replaced by its authority.",
    ),
    Setup.OUTBOX_UNUSABLE: Words(
        "The directory of the outbox, or a file in it, cannot be used.",
        "Name a directory on a local disk that this program may write as outbox.directory; a damaged file is moved away and looked at, not deleted.",
    ),
    Setup.OUTBOX_FOREIGN: Words(
        "The outbox belongs to another institution or another ledger.",
        "Give each institution and each ledger an outbox.directory of its own.",
    ),
    Setup.RECEIPTS_UNUSABLE: Words(
        "The directory of receipts, or a file in it, cannot be used.",
        "Name a directory on a local disk that this program may write as receipts.directory; a damaged file is moved away and kept, not deleted.",
    ),
    Setup.RECEIPTS_FOREIGN: Words(
        "The receipts are those of another institution or another ledger.",
        "Give each ledger a receipts.directory of its own; receipts are never mixed.",
    ),
    Setup.VOLUMES_UNUSABLE: Words(
        "The directory of volumes cannot be used.",
        "Check the path, the medium and who may write there; another directory serves as well.",
    ),
    Setup.VOLUMES_FULL: Words(
        "The disk is full; every volume that is named there is whole.",
        "Free space, or carry whole volumes off and leave sento-catalogue.json, and run the command again: it goes on.",
    ),
    Setup.VOLUMES_TAKEN: Words(
        "Another program works in this directory.",
        "Wait for it, or give another directory: two sets are never mixed.",
    ),
    Setup.VOLUMES_FOREIGN: Words(
        "The directory holds volumes of another ledger.", "Give each ledger a directory of its own."
    ),
    Setup.EXTRACTS_UNUSABLE: Words(
        "The log of opened extracts cannot be used, so no extract is opened: what is shown must stand there first.",
        "Make room on that disk, or wait for the other program; a log that was altered is moved away and shown to those who look after releases.",
    ),
}


class SetupError(Exception):
    """Something on this computer must be mended before the client can work. `details`: one line for each mistake found."""

    def __init__(self, code: Setup, *details: str) -> None:
        self.code = code
        self.details = details
        words = TABLE[code]
        middle = f" ({'; '.join(details)})" if details else ""
        super().__init__(f"{code}: {words.cause}{middle} {words.remedy}")
