"""The lines of a bulk load: JSON objects, a line each, become drafts; what is wrong with one line is that line's error and no other's.

    {"registry": ..., "kind": ..., "subject": ..., "fact": ..., "content": ...}        needed; registry and kind may be given once for all lines
    {..., "compartment": "", "previous": "<record hash, 64 hex>", "content_base64": ...}      may be absent; content_base64 stands in place of content

Content that is text is written as UTF-8, anything else as JSON. An error names the field and never what stands in it.

Pure: bytes in, drafts out.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from sento_client.composing import Content, Draft
from sento_proto.errors import Code, SentoError

LINE_MAX_BYTES = 256 * 1024
"""30 KiB of content with every character escaped fits; nothing longer is kept in memory."""
_FIELDS = frozenset(
    ("registry", "kind", "subject", "fact", "content", "content_base64", "compartment", "previous")
)
_HASH = re.compile(r"[0-9a-fA-F]{64}")


class Defaults(NamedTuple):
    """What lines need not repeat; None: each line must say it."""

    registry: str | None
    kind: str | None
    compartment: str


@dataclass(slots=True)
class LineSplitter:
    """Cuts a stream of bytes into numbered lines (from 1), keeping at most one line's bound of an unfinished one."""

    number: int = 0
    _rest: bytearray = field(default_factory=bytearray)
    _too_long: bool = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that `data` completes; None in place of one over LINE_MAX_BYTES. Empty lines count and are left out."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            yield from self._cut()
            start = end + 1
        self._keep(data[start:])

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """The unfinished line, if there is one: a stream need not end with a line's end."""
        if self._rest or self._too_long:
            yield from self._cut()

    def _cut(self) -> Iterator[tuple[int, bytes | None]]:
        line, too_long = bytes(self._rest), self._too_long
        self._rest.clear()
        self._too_long = False
        self.number += 1
        if too_long:
            yield self.number, None
        elif line.strip():
            yield self.number, line

    def _keep(self, part: bytes) -> None:
        if len(self._rest) + len(part) > LINE_MAX_BYTES:
            self._too_long = True
            self._rest.clear()
        if not self._too_long:
            self._rest += part


def draft_of(line: bytes | None, defaults: Defaults) -> Draft:
    """The draft in one line. Raises SentoError TOO_LARGE, or BAD_REQUEST that names the field."""
    if line is None:
        raise SentoError(Code.TOO_LARGE, f"the line is over {LINE_MAX_BYTES} bytes")
    fields = _object(line)
    unknown = len(fields.keys() - _FIELDS)
    if unknown:
        # Their names are not repeated: a line that is cut wrongly may have anything in their place.
        raise _bad(f"{unknown} of its fields are not known; known are {', '.join(sorted(_FIELDS))}")
    return Draft(
        registry=_text(fields, "registry", defaults.registry),
        kind=_text(fields, "kind", defaults.kind),
        subject=_text(fields, "subject", None).strip() or _must("subject is empty"),
        fact=_text(fields, "fact", None),
        content=_content(fields),
        previous=_previous(fields.get("previous")),
        compartment=_text(fields, "compartment", defaults.compartment),
    )


def _object(line: bytes) -> Mapping[str, object]:
    try:
        value: object = json.loads(
            line.decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        # Python's own text may quote the line.
        raise _bad("the line is not JSON in UTF-8 with each name once") from None
    if not isinstance(value, dict):
        raise _bad("the line is not a JSON object")
    return cast("dict[str, object]", value)


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice")
    return fields


def _no_constant(_name: str) -> object:
    raise ValueError("JSON has no such number")


def _text(fields: Mapping[str, object], name: str, default: str | None) -> str:
    value = fields.get(name, default)
    if value is None:
        raise _bad(f"{name} is missing")
    if not isinstance(value, str):
        raise _bad(f"{name} is not text")
    return value


def _content(fields: Mapping[str, object]) -> Content:
    if ("content" in fields) == ("content_base64" in fields):
        raise _bad("exactly one of content and content_base64 is needed")
    if "content_base64" in fields:
        try:
            return base64.b64decode(_text(fields, "content_base64", None), validate=True)
        except (binascii.Error, ValueError):
            raise _bad("content_base64 is not base64") from None
    content = fields["content"]
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return cast("dict[str, object]", content)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _previous(value: object) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str) and _HASH.fullmatch(value):
        return bytes.fromhex(value)
    raise _bad("previous is not a record hash of 64 hexadecimal digits")


def _must(why: str) -> str:
    raise _bad(why)


def _bad(why: str) -> SentoError:
    return SentoError(Code.BAD_REQUEST, why)
