"""Who may do what at a position: the part of the ledger's state that officers decide.

Under rules number 1 it is what the genesis file says and nothing changes it; officers' acts will. Everything here is plain data with
questions on it, equal at every site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sento_proto.genesis import Author, Genesis, ReceiptSet, Scope
from sento_proto.keys import PublicKey

BUDGET_WINDOW_POSITIONS = 10_000
"""Budgets count per aligned window of this many positions: no clock is needed to count."""
ANSWERS_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Governance:
    """Authors, sites and the receipt set in force."""

    ledger_id: bytes
    rules: int
    authors: Mapping[str, Author]
    author_of_key: Mapping[bytes, tuple[str, PublicKey]]
    site_of_key: Mapping[bytes, tuple[str, PublicKey]]
    site_keys: Mapping[str, PublicKey]
    receipt_set: ReceiptSet
    readers: Mapping[str, tuple[Scope, ...]]
    _answered: dict[tuple[str, str, str], bool] = field(default_factory=dict, compare=False, repr=False)
    """Questions asked once for each record, mostly the same few; governance itself never changes."""

    def may_write(self, author: str, registry: str, compartment: str) -> bool:
        """Whether the institution may write there now."""
        name = (author, registry, compartment)
        answer = self._answered.get(name)
        if answer is None:
            answer = any(scope.covers(registry, compartment) for scope in self.authors[author].may_write)
            if len(self._answered) < ANSWERS_MAX:
                self._answered[name] = answer
        return answer

    def may_read(self, institution: str, registry: str, compartment: str) -> bool:
        """Whether a reader, or an author within what it may write, may be given records from there."""
        scopes = self.readers.get(institution, ())
        author = self.authors.get(institution)
        if author is not None:
            scopes = (*scopes, *author.may_write)
        return any(scope.covers(registry, compartment) for scope in scopes)


def from_genesis(genesis: Genesis) -> Governance:
    """The governance that holds at position 0."""
    return Governance(
        ledger_id=genesis.ledger_id,
        rules=genesis.rules,
        authors={author.name: author for author in genesis.authors},
        author_of_key={key.key_id: (author.name, key) for author in genesis.authors for key in author.keys},
        site_of_key={site.key.key_id: (site.name, site.key) for site in genesis.sites},
        site_keys={site.name: site.key for site in genesis.sites},
        receipt_set=genesis.receipt_set,
        readers={reader.name: reader.may_read for reader in genesis.readers},
    )
