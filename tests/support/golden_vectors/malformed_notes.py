"""Checkpoints that every decoder must refuse, each under the name of its fault.

A checkpoint is text, and text has more ways to say the same thing than bytes have: each of them but one is a fault here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from golden_vectors.accepted_frames import CHECKPOINT, signed_checkpoint
from golden_vectors.ground import LEDGER_ID, Group, digest, hexed
from sento_proto.checkpoint import encode_checkpoint

Cases = Iterator[tuple[str, bytes]]
_ORIGIN = f"{LEDGER_ID.hex()}/1"
_ROOT = base64.b64encode(digest("root")).decode()
_BLOB = base64.b64encode(digest("key hash", 4) + digest("signature", 64)).decode()
_LINE = f"— jp-fukuoka {_BLOB}\n"


def note(origin: str = _ORIGIN, size: str = "1000", root: str = _ROOT, lines: str = _LINE) -> bytes:
    """A checkpoint from any text."""
    return f"{origin}\n{size}\n{root}\n\n{lines}".encode()


def _origins() -> Cases:
    ledger = LEDGER_ID.hex()
    for fault, origin in (
        ("empty", ""),
        ("without epoch", ledger),
        ("with an empty epoch", f"{ledger}/"),
        ("without ledger id", "/1"),
        ("in upper case", f"{ledger.upper()}/1"),
        ("with a ledger id of 63 digits", f"{ledger[1:]}/1"),
        ("with a ledger id of 65 digits", f"0{ledger}/1"),
        ("with a letter that is no hex digit", f"{ledger[:-1]}g/1"),
        ("with a zero before its epoch", f"{ledger}/01"),
        ("with epoch 00", f"{ledger}/00"),
        ("with an epoch of 2^32", f"{ledger}/{2**32}"),
        ("with an epoch of eleven digits", f"{ledger}/10000000000"),
        ("with a negative epoch", f"{ledger}/-1"),
        ("with a plus sign", f"{ledger}/+1"),
        ("with Arabic digits", f"{ledger}/١"),
        ("with a second epoch", f"{ledger}/1/1"),
        ("with a space in front", f" {ledger}/1"),
        ("with a space behind", f"{ledger}/1 "),
        ("with a carriage return behind", f"{ledger}/1\r"),
        ("of another kind of log", "example.com/log"),
    ):
        yield f"origin {fault}", note(origin=origin)


def _sizes_and_roots() -> Cases:
    for fault, size in (
        ("empty", ""),
        ("with a zero in front", "01000"),
        ("of two zeros", "00"),
        ("negative", "-1"),
        ("with a plus sign", "+1"),
        ("hexadecimal", "0x10"),
        ("with a fraction", "10.0"),
        ("with an exponent", "1e3"),
        ("with an underscore", "1_000"),
        ("with a comma", "1,000"),
        ("of twenty digits", "1" + "0" * 19),
        ("with full-width digits", "１０"),
        ("with a superscript", "1²"),
        ("with a space in front", " 1000"),
        ("with a carriage return behind", "1000\r"),
    ):
        yield f"size {fault}", note(size=size)
    for fault, root in (
        ("empty", ""),
        ("of 31 bytes", base64.b64encode(digest("root")[:31]).decode()),
        ("of 33 bytes", base64.b64encode(digest("root", 33)).decode()),
        ("in hex", digest("root").hex()),
        ("without padding", _ROOT.rstrip("=")),
        ("with more padding", _ROOT + "="),
        ("with bits set behind its last byte", _next_form(_ROOT)),
        ("in the alphabet of URLs", base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode()),
        ("with a space in front", " " + _ROOT),
        ("with a space inside", _ROOT[:8] + " " + _ROOT[8:]),
        ("with a carriage return behind", _ROOT + "\r"),
        ("with a character that is none of base64's", "!" + _ROOT[1:]),
    ):
        yield f"root {fault}", note(root=root)


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _next_form(text: str) -> str:
    """Base64 that a lax decoder reads as the same bytes: the unused low bits of the last character are not zero."""
    last = len(text.rstrip("=")) - 1
    return text[:last] + _ALPHABET[_ALPHABET.index(text[last]) | 1] + text[last + 1 :]


def _shapes() -> Cases:
    good = note()
    head = f"{_ORIGIN}\n1000\n{_ROOT}\n"
    yield "empty", b""
    yield "an empty line alone", b"\n\n"
    yield "one line", f"{_ORIGIN}\n\n".encode()
    yield "two lines", f"{_ORIGIN}\n1000\n\n{_LINE}".encode()
    yield "ends behind the origin", f"{_ORIGIN}\n".encode()
    yield "ends inside the root", head[:-8].encode()
    yield "ends before the empty line", head.encode()
    yield "no empty line before the signatures", (head + _LINE).encode()
    yield "a fourth line of text", f"{head}extension\n\n{_LINE}".encode()
    yield "two empty lines", f"{head}\n\n{_LINE}".encode()
    yield "an empty line in front", b"\n" + good
    yield "lines that end as on Windows", good.replace(b"\n", b"\r\n")
    yield "a byte order mark", b"\xef\xbb\xbf" + good
    yield "not UTF-8", good.replace("—".encode(), b"\xe2\x80")
    yield "text in UTF-16", good.decode().encode("utf-16-be")
    yield "a zero byte behind the end", good + b"\x00"
    yield "over 128 KiB", note(lines="".join(f"— s{n} {'A' * 4000}\n" for n in range(33)))
    yield "65 signature lines", note(lines="".join(f"— s{n} {_BLOB}\n" for n in range(65)))


def _lines() -> Cases:
    short = base64.b64encode(bytes(4)).decode()
    for fault, line in (
        ("without line end", _LINE[:-1]),
        ("followed by an empty line", _LINE + "\n"),
        ("with a hyphen for the dash", _LINE.replace("—", "-")),
        ("with two hyphens for the dash", _LINE.replace("—", "--")),
        ("with an en dash", _LINE.replace("—", "–")),
        ("with a horizontal bar for the dash", _LINE.replace("—", "―")),
        ("without dash", _LINE[2:]),
        ("without space behind the dash", _LINE.replace("— ", "—")),
        ("with two spaces behind the dash", _LINE.replace("— ", "—  ")),
        ("with two spaces before the signature", _LINE.replace(" " + _BLOB, "  " + _BLOB)),
        ("with a no-break space", _LINE.replace("— ", "—\xa0")),
        ("with a tab", _LINE.replace("— ", "—\t")),
        ("with a space behind", _LINE[:-1] + " \n"),
        ("with a carriage return", _LINE[:-1] + "\r\n"),
        ("without name", f"—  {_BLOB}\n"),
        ("of a name alone", "— jp-fukuoka\n"),
        ("of a name and a space", "— jp-fukuoka \n"),
        ("with a name in upper case", _LINE.replace("jp-", "JP-")),
        ("with a plus in the name", _LINE.replace("jp-", "jp+")),
        ("with a slash in the name", _LINE.replace("jp-", "jp/")),
        ("with a name of 33 characters", _LINE.replace("jp-fukuoka", "a" * 33)),
        ("with a name in kanji", _LINE.replace("jp-fukuoka", "福岡")),
        ("with a key id alone", f"— jp-fukuoka {short}\n"),
        ("with three bytes", f"— jp-fukuoka {base64.b64encode(bytes(3)).decode()}\n"),
        ("without base64 padding", _LINE.replace("=", "")),
        ("with bits set behind its last byte", f"— jp-fukuoka {_next_form(_BLOB)}\n"),
        ("in the alphabet of URLs", f"— jp-fukuoka {'-_' * 6}\n"),
        ("with a space inside its base64", f"— jp-fukuoka {_BLOB[:8]} {_BLOB[8:]}\n"),
    ):
        yield f"signature line {fault}", note(lines=line)
    two = encode_checkpoint(signed_checkpoint(CHECKPOINT, "jp-fukuoka", ["jp-ishikawa"]))
    yield "second signature line ends early", two[:-20]


def checkpoints() -> Group:
    """Checkpoints to refuse."""
    cases = [*_shapes(), *_origins(), *_sizes_and_roots(), *_lines()]
    return [{"name": fault, "bytes": hexed(data)} for fault, data in cases]
