"""JSON read strictly: what is signed for years is not to be guessed at.

Every field is taken exactly once; a field that is missing, doubled, left over or of the wrong kind is refused with its path. Genesis files and officers' acts
are read by this; both are named by the hash of their bytes, so nothing is ever written back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import TypeVar, cast

from sento_proto.header import check_name
from sento_proto.wire import Malformed

NAME_SHOWN_MAX = 64
"""How much of an unknown field's name a complaint repeats."""
_T = TypeVar("_T")
_INSTITUTION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NOT_IN_ONE_LINE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\ud800-\uf8ff\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U0010ffff]"
)
"""What no text has: control and format characters, spaces that look like others, surrogates, private use. A list of its own, and not `str.isprintable`, whose
answer for a character depends on the Unicode version of the interpreter: two sites must not judge one act by two of them."""


def load(data: bytes, what: str) -> Fields:
    """The object in `data`, UTF-8. `what` begins each complaint ("genesis", "act"). Raises Malformed."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_doubles)
    except _Doubled as error:
        raise Malformed(f"{what}: field {error.name!a} stands twice in one object") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{what}: not JSON in UTF-8 ({error})") from None
    return Fields(value, "", what)


class _Doubled(Exception):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value: dict[str, object] = {}
    for name, inner in pairs:
        if name in value:
            raise _Doubled(name)
        value[name] = inner
    return value


def is_one_line(text: str) -> bool:
    """Whether a text may stand in a file of ours: in one line, without control or invisible characters."""
    return _NOT_IN_ONE_LINE.search(text) is None


class Fields:
    """One JSON object being read. Methods take a field off; `end` refuses what is left. All raise Malformed with the field's path."""

    def __init__(self, value: object, path: str, what: str) -> None:
        self._what = what
        self._path = path
        if not isinstance(value, dict):
            raise Malformed(f"{what}: {path or 'the file'} must be an object")
        self._left = cast("dict[str, object]", dict(value))

    def wrong(self, name: str, why: str) -> Malformed:
        """The complaint about a field, to be raised."""
        return Malformed(f"{self._what}: {self.path(name)} {why}")

    def has(self, name: str) -> bool:
        """Whether an optional field is there."""
        return name in self._left

    def text(self, name: str) -> str:
        """Text in one line."""
        return self._check_text(self.raw(name), name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, each in one line."""
        return tuple(
            self._check_text(item, f"{name}[{index}]") for index, item in enumerate(self._list(name))
        )

    def name(self, name: str) -> str:
        """A registry's, compartment's or kind's name."""
        return self.check_name(self.text(name), name)

    def names(self, name: str) -> tuple[str, ...]:
        """A list of such names."""
        return tuple(self.check_name(text, f"{name}[{index}]") for index, text in enumerate(self.texts(name)))

    def institution(self, name: str) -> str:
        """The name of an institution or a site."""
        return self._check_institution(self.text(name), name)

    def institutions(self, name: str) -> tuple[str, ...]:
        """A list of such names."""
        return tuple(
            self._check_institution(text, f"{name}[{index}]") for index, text in enumerate(self.texts(name))
        )

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number."""
        return self._check_number(self.raw(name), name, low, high)

    def numbers(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """A list of whole numbers."""
        return tuple(
            self._check_number(item, f"{name}[{index}]", low, high)
            for index, item in enumerate(self._list(name))
        )

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.raw(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the given texts."""
        text = self.text(name)
        if text not in choices:
            raise self.wrong(name, f"must be one of {', '.join(choices)}")
        return text

    def blob(self, name: str) -> bytes:
        """Bytes in base64, in its one form."""
        text = self.text(name)
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise self.wrong(name, "must be base64") from None
        if base64.b64encode(data).decode() != text:
            raise self.wrong(name, "is not in its one base64 form")
        return data

    def blobs(self, name: str) -> tuple[bytes, ...]:
        """A list of such bytes."""
        found = (
            Fields({"blob": item}, self.path(f"{name}[{index}]"), self._what)
            for index, item in enumerate(self._list(name))
        )
        return tuple(item.blob("blob") for item in found)

    def hex(self, name: str, size_bytes: int) -> bytes:
        """So many bytes in lower-case hex."""
        return self._check_hex(self.text(name), name, size_bytes)

    def hexes(self, name: str, size_bytes: int) -> tuple[bytes, ...]:
        """A list of such bytes."""
        return tuple(
            self._check_hex(text, f"{name}[{index}]", size_bytes)
            for index, text in enumerate(self.texts(name))
        )

    def objects(self, name: str, read: Callable[[Fields], _T]) -> tuple[_T, ...]:
        """A list of objects, each read by `read` and then ended."""
        return tuple(
            self._read(item, f"{name}[{index}]", read) for index, item in enumerate(self._list(name))
        )

    def inner(self, name: str, read: Callable[[Fields], _T]) -> _T:
        """One object, read by `read` and then ended."""
        return self._read(self.raw(name), name, read)

    def path(self, name: str) -> str:
        """Where a field stands."""
        return f"{self._path}.{name}" if self._path else name

    def raw(self, name: str) -> object:
        """A field of any kind."""
        if name not in self._left:
            raise self.wrong(name, "is missing")
        return self._left.pop(name)

    def rest(self) -> dict[str, object]:
        """Everything that is left, where the names themselves are data."""
        left, self._left = self._left, {}
        return left

    def end(self) -> None:
        """Nothing may be left."""
        if self._left:
            raise self.wrong(
                ascii(next(iter(self._left))[:NAME_SHOWN_MAX])[1:-1], "is not known to this release"
            )

    def _read(self, value: object, name: str, read: Callable[[Fields], _T]) -> _T:
        fields = Fields(value, self.path(name), self._what)
        result = read(fields)
        fields.end()
        return result

    def _list(self, name: str) -> list[object]:
        value = self.raw(name)
        if not isinstance(value, list):
            raise self.wrong(name, "must be a list")
        return cast("list[object]", value)

    def _check_text(self, value: object, name: str) -> str:
        if not isinstance(value, str) or not is_one_line(value):
            raise self.wrong(name, "must be text in one line")
        return value

    def check_name(self, text: str, name: str) -> str:
        """`text` if it is a name as registries, compartments and kinds have."""
        try:
            check_name(text, name)
        except Malformed:
            raise self.wrong(name, "must be 1 to 32 characters of a-z 0-9 / -") from None
        return text

    def _check_institution(self, text: str, name: str) -> str:
        if not _INSTITUTION.fullmatch(text):
            raise self.wrong(name, "must be 1 to 32 characters of a-z 0-9 -")
        return text

    def _check_number(self, value: object, name: str, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(name, f"must be a whole number from {low} to {high}")
        return value

    def _check_hex(self, text: str, name: str, size_bytes: int) -> bytes:
        if len(text) != 2 * size_bytes or not re.fullmatch(r"[0-9a-f]*", text):
            raise self.wrong(name, f"must be {2 * size_bytes} characters of 0-9 a-f")
        return bytes.fromhex(text)
