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
    NOT_ENROLLED = "NOT_ENROLLED"
    CANNOT_SIGN = "CANNOT_SIGN"
    NO_PSEUDONYM_KEY = "NO_PSEUDONYM_KEY"
    NO_KEK = "NO_KEK"
    TLS_INVALID = "TLS_INVALID"
    OUTBOX_UNUSABLE = "OUTBOX_UNUSABLE"
    OUTBOX_FOREIGN = "OUTBOX_FOREIGN"


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
    Setup.NO_KEK: Words(
        "The key for this author, registry, compartment and key epoch is not sealed to this institution.",
        "Ask the author to seal it; to write, have a key made for the scope first.",
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
}


class SetupError(Exception):
    """Something on this computer must be mended before the client can work. `details`: one line for each mistake found."""

    def __init__(self, code: Setup, *details: str) -> None:
        self.code = code
        self.details = details
        words = TABLE[code]
        middle = f" ({'; '.join(details)})" if details else ""
        super().__init__(f"{code}: {words.cause}{middle} {words.remedy}")
