"""The keys that one institution holds, by what they are for: KEKs opened from their seals, and pseudonyms of persons and facts.

A seal is opened when its KEK is first needed (about 0.3 ms) and the KEK is kept. Seals come from the ledger, where `kek_keeping` finds them and puts what
they open to in here; in drills and offline also from a file. Whoever has no seal for (author, registry, compartment, key epoch) cannot read what was sealed
under it; that is told as SetupError NO_KEK with the scope's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sento_client.keyfiles import SealedKek
from sento_client.setup_errors import Setup, SetupError
from sento_proto.kek_seal import KekName, SealOpener, open_kek
from sento_proto.keys import is_blocking
from sento_proto.pseudonyms import fact_of, subject_of
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed


class Keyring:
    """Keys of one institution in one ledger. `opener`: opens the seals that are made to it, None where there are none."""

    def __init__(
        self,
        ledger_id: bytes,
        opener: SealOpener | None,
        seals: Iterable[SealedKek],
        pseudonym_keys: Mapping[str, bytes],
    ) -> None:
        self._ledger_id = ledger_id
        self._opener = opener
        self._seals = {(seal.author, seal.registry, seal.compartment, seal.key_epoch): seal for seal in seals}
        self._pseudonym_keys = dict(pseudonym_keys)
        self._keks: dict[tuple[str, str, str, int], bytes] = {}
        self._newest: dict[tuple[str, str, str], int] = {}
        for author, registry, compartment, key_epoch in self._seals:
            scope = (author, registry, compartment)
            self._newest[scope] = max(key_epoch, self._newest.get(scope, 0))

    @property
    def blocking(self) -> bool:
        """Whether `kek_for` may wait for hardware, so that an event loop must call it on a thread."""
        return is_blocking(self._opener)

    def kek_for(self, author: str, registry: str, compartment: str, key_epoch: int) -> bytes:
        """The 32-byte KEK. Raises SetupError NO_KEK when it is not sealed to this institution or its seal does not open;
        another SetupError when the key is on a token and the token does not work."""
        scope = (author, registry, compartment, key_epoch)
        kek = self._keks.get(scope)
        if kek is None:
            kek = self._keks[scope] = self._open(scope)
        return kek

    @property
    def opener(self) -> SealOpener | None:
        """What opens the seals that are made to this institution."""
        return self._opener

    def holds(self, author: str, registry: str, compartment: str, key_epoch: int) -> bool:
        """Whether the KEK was opened already."""
        return (author, registry, compartment, key_epoch) in self._keks

    def put(self, author: str, registry: str, compartment: str, key_epoch: int, kek: bytes) -> None:
        """Keep a KEK that was opened elsewhere and compared with its commitment."""
        self._keks[author, registry, compartment, key_epoch] = kek

    @property
    def scopes_in_file(self) -> tuple[tuple[str, str, str, int], ...]:
        """(author, registry, compartment, key epoch) of each seal in the file, sorted."""
        return tuple(sorted(self._seals))

    def seal_in_file(self, author: str, registry: str, compartment: str, key_epoch: int) -> bytes | None:
        """The seal of the KEK as it lies in the file, unopened; None where the file has none."""
        found = self._seals.get((author, registry, compartment, key_epoch))
        return None if found is None else found.seal

    def _open(self, scope: tuple[str, str, str, int]) -> bytes:
        words = "author {}, registry {}, compartment '{}', key epoch {}".format(*scope)
        sealed = self._seals.get(scope)
        if sealed is None or self._opener is None:
            raise SetupError(Setup.NO_KEK, words)
        try:
            return open_kek(sealed.seal, KekName(self._ledger_id, *scope), self._opener)
        except (CannotOpen, Malformed) as error:
            raise SetupError(Setup.NO_KEK, f"{words}: {error}") from None

    def newest_key_epoch(self, author: str, registry: str, compartment: str) -> int:
        """The highest key epoch of the seals from the file: the one to write under where governance says none. Raises SetupError NO_KEK."""
        key_epoch = self._newest.get((author, registry, compartment))
        if key_epoch is None:
            raise SetupError(
                Setup.NO_KEK, f"author {author}, registry {registry}, compartment '{compartment}'"
            )
        return key_epoch

    def subject(self, registry: str, identifier: str) -> bytes:
        """32-byte pseudonym of the person in the registry. Raises SetupError NO_PSEUDONYM_KEY."""
        return subject_of(self._pseudonym_key(registry), identifier)

    def fact(self, registry: str, subject: bytes, kind: str, natural_key: str) -> bytes:
        """16-byte name of the fact about a subject of the registry. Raises SetupError NO_PSEUDONYM_KEY."""
        return fact_of(self._pseudonym_key(registry), subject, kind, natural_key)

    def _pseudonym_key(self, registry: str) -> bytes:
        key = self._pseudonym_keys.get(registry)
        if key is None:
            raise SetupError(Setup.NO_PSEUDONYM_KEY, f"registry {registry}")
        return key
