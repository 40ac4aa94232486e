"""Small pieces of the sentences: lists of names, numbers of things, spans of time."""

from __future__ import annotations

from collections.abc import Sequence

_SMALL = ("no", "one", "two", "three", "four", "five")


def listed(names: Sequence[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last


def count_words(count: int) -> str:
    """`one`, `two`; digits from six on."""
    return _SMALL[count] if 0 <= count < len(_SMALL) else str(count)


def counted(count: int, thing: str) -> str:
    """`1 record`, `2 records`, with thousands apart."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def span(duration_ms: int) -> str:
    """A span of time as a tired person reads it: one unit, two digits where it is short."""
    if duration_ms < 100:
        return f"{duration_ms} ms"
    if duration_ms < 10_000:
        return f"{duration_ms / 1000:.1f} s"
    seconds = duration_ms // 1000
    for unit_s, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"


def bytes_text(size_bytes: int) -> str:
    """`812 B`, `41 kB`, `9.1 MB`, `12.3 GB`: thousands, as links are sold."""
    for unit_bytes, unit in ((10**9, "GB"), (10**6, "MB")):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:,.1f} {unit}"
    return f"{size_bytes // 1000} kB" if size_bytes >= 1_000 else f"{size_bytes} B"


def to_go(seconds: int) -> str:
    """`3 s`, `1 min 3 s`, `2 h 14 min`, `3 days 4 h`: two units, so that an hour's wait is told from two."""
    for unit_s, unit, rest_s, rest in (
        (86_400, "days", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {unit} {seconds % unit_s // rest_s} {rest}"
    return f"{seconds} s"


def size_text(size_bytes: int) -> str:
    """`812 MiB`, `12.3 GiB`."""
    mib = size_bytes / 1024**2
    return f"{mib / 1024:,.1f} GiB" if mib >= 10_000 else f"{mib:,.0f} MiB"
