"""Reading one TOML table field by field, so that all mistakes of a file are found in one pass, each with its field and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from sento_client.setup_errors import Setup, SetupError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ADDRESS = re.compile(r"([^\s:\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")
_NAME_WORDS = "1 to 32 characters of a-z 0-9 -"


def read_config(path: Path) -> bytes:
    """The bytes of a configuration file. Raises SetupError CONFIG_MISSING."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(Setup.CONFIG_MISSING, f"{path}: {error.strerror}") from None


def decode_document(data: bytes, path: Path) -> dict[str, object]:
    """The TOML document in `data`, as if it lay at `path`. Raises SetupError CONFIG_INVALID."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(Setup.CONFIG_INVALID, f"{path} is not TOML in UTF-8: {error}") from None


class Table:
    """One TOML table being read: each field is taken once, a mistake is noted and reading goes on with a stand-in."""

    def __init__(self, fields: Mapping[str, object], path: str, base: Path, mistakes: list[str]) -> None:
        self._left = dict(fields)
        self._path = path
        self._base = base
        self._mistakes = mistakes

    @property
    def mistakes(self) -> tuple[str, ...]:
        """All mistakes noted so far, in this table and in the others of its file."""
        return tuple(self._mistakes)

    def has(self, field: str) -> bool:
        """Whether the field stands in the table and was not taken yet."""
        return field in self._left

    def check(self, holds: bool, mistake: str) -> None:
        """Note a mistake unless it holds."""
        if not holds:
            self._mistakes.append(mistake)

    def name(self, field: str) -> str:
        """A name of 1 to 32 characters."""
        text = self._text(field, _NAME_WORDS)
        self.check(not text or bool(_NAME.fullmatch(text)), f"{self._at(field)}: expected {_NAME_WORDS}")
        return text

    def names(self, field: str) -> tuple[str, ...]:
        """A list of at least one name, each once."""
        value = self._left.pop(field, None)
        names = value if isinstance(value, list) else []
        good = bool(names) and all(isinstance(name, str) and _NAME.fullmatch(name) for name in names)
        expected = f"{self._at(field)}: expected a list of names, each once and of {_NAME_WORDS}"
        self.check(good and len(set(names)) == len(names), expected)
        return tuple(names) if good else ()

    def text(self, field: str, expected: str) -> str:
        """Text that is not empty; `expected` says what it should be."""
        return self._text(field, expected)

    def address(self, field: str) -> str:
        """host:port; an IPv6 address in brackets."""
        expected = '"host:port" with a port from 1 to 65535'
        text = self._text(field, expected)
        match = _ADDRESS.fullmatch(text)
        good = match is not None and 1 <= int(match[2]) <= 65535
        self.check(not text or good, f"{self._at(field)}: expected {expected}")
        return text

    def file(self, field: str, default: str = "") -> Path:
        """A path, relative to the file that the table stands in."""
        if default and field not in self._left:
            return self._base / default
        return self._base / self._text(field, "a path")

    def flag(self, field: str, default: bool) -> bool:
        """A flag, true or false."""
        value = self._left.pop(field, default)
        if isinstance(value, bool):
            return value
        self._mistakes.append(f"{self._at(field)}: expected true or false")
        return default

    def number(self, field: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds."""
        value = self._left.pop(field, default)
        if type(value) is int and low <= value <= high:
            return value
        self._mistakes.append(f"{self._at(field)}: expected a whole number from {low} to {high}")
        return default

    def table(self, field: str, *, optional: bool = False) -> Table:
        """A section; one that is missing is a mistake unless it is optional."""
        value = self._left.pop(field, {} if optional else None)
        if not isinstance(value, dict):
            found = "it is missing" if value is None else "it is not a table"
            self._mistakes.append(f"{self._at(field)}: expected a section [{self._at(field)}]; {found}")
            return Ignored()
        return Table(cast("dict[str, object]", value), self._at(field), self._base, self._mistakes)

    def tables(self, field: str) -> list[Table]:
        """A list of at least one section."""
        value = self._left.pop(field, None)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            self._mistakes.append(f"{self._at(field)}: expected at least one section [[{self._at(field)}]]")
            return []
        items = cast("list[dict[str, object]]", value)
        return [
            Table(item, f"{self._at(field)}[{index}]", self._base, self._mistakes)
            for index, item in enumerate(items)
        ]

    def end(self) -> None:
        """Note every field that nobody took."""
        for field in self._left:
            self._mistakes.append(f"{self._at(field)}: not known to this release; check its spelling")

    def _text(self, field: str, expected: str) -> str:
        value = self._left.pop(field, None)
        if isinstance(value, str) and value:
            return value
        found = "it is missing" if value is None else "it is empty or not text"
        self._mistakes.append(f"{self._at(field)}: expected {expected}; {found}")
        return ""

    def _at(self, field: str) -> str:
        return f"{self._path}.{field}" if self._path else field


class Ignored(Table):
    """Stands in for a section that is missing, whose fields need not be complained of one by one."""

    def __init__(self) -> None:
        super().__init__({}, "", Path(), [])
