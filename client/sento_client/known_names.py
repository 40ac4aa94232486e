"""A bounded memory of names that the pseudonym service gave: whoever reads a fact that was just written need not ask again.

It holds no identifier: a name is kept under a keyed hash of what was asked, and the key is drawn at start and dies with the process. What is on the disk of a
computer that was stolen, also in its swap, gives back nobody without that key.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

KNOWN_MAX = 4_096


class KnownNames:
    """The last names, the least recently used forgotten first. `key`: 32 random bytes."""

    def __init__(self, key: bytes, most: int = KNOWN_MAX) -> None:
        self._key = key
        self._most = most
        self._names: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._names)

    def find(self, asked: tuple[str, ...]) -> tuple[bytes, ...] | None:
        """What was answered to this."""
        place = self._place(asked)
        found = self._names.get(place)
        if found is not None:
            self._names.move_to_end(place)
        return found

    def keep(self, asked: tuple[str, ...], names: tuple[bytes, ...]) -> None:
        """Remember an answer."""
        self._names[self._place(asked)] = names
        while len(self._names) > self._most:
            self._names.popitem(last=False)

    def _place(self, asked: tuple[str, ...]) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for part in asked:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.digest()
