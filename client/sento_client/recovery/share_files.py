"""A share on disk: `sento-share-1 <base64 of 51 bytes>` in one line, in a file that only its owner can read.

It is the holder's share in the open. A file that others can read is refused, as every key file is.
"""

from __future__ import annotations

import base64
from pathlib import Path

from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.secret_files import read_secret, write_secret
from sento_proto.recovery import RecoveryShare, decode_share
from sento_proto.wire import Malformed

SHARE_FORMAT = "sento-share-1"


def write_share(path: Path, share: RecoveryShare) -> None:
    """Put the share at `path` with mode 0600. Raises OSError."""
    write_secret(path, f"{SHARE_FORMAT} {base64.b64encode(share.encode()).decode()}\n".encode())


def read_share(path: Path) -> RecoveryShare:
    """The share in the file. Raises SetupError KEY_FILE_MISSING or KEY_FILE_OPEN, RecoveryRefused SHARE_INVALID; neither with what stands in it."""
    form, _, rest = read_secret(path).decode("ascii", "replace").partition(" ")
    if form != SHARE_FORMAT:
        raise RecoveryRefused(Refusal.SHARE_INVALID, f"{path} does not begin with {SHARE_FORMAT}")
    try:
        return decode_share(base64.b64decode(rest.removesuffix("\n"), validate=True))
    except Malformed as error:
        raise RecoveryRefused(Refusal.SHARE_INVALID, f"{path}: {error}") from None
    except ValueError:
        raise RecoveryRefused(Refusal.SHARE_INVALID, f"{path}: it is cut off or altered") from None
