"""Changes to who writes: authors, their keys, what they may write, their budgets.

Retire a key, and late submissions under it still count until a further act closes it; revoke it, and nothing under it counts from that position on. A
revoked key may be called suspect from an earlier position: what stands stays, and auditors are told where to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from sento_proto.governance.changing import (
    Unfit,
    check_new_key,
    check_scopes,
    list_scopes,
    rights_of_author,
    with_entry,
    with_rights,
)
from sento_proto.governance.parts import (
    Author,
    Budget,
    Scope,
    SigningKey,
    read_author,
    read_budget,
    read_scope,
    read_signing_key,
)
from sento_proto.governance.state import (
    BUDGET_WINDOW_POSITIONS,
    AuthorKey,
    AuthorRights,
    Governance,
    Grant,
    rights_of,
)
from sento_proto.keys import KEY_ID_BYTES
from sento_proto.rules import RULES
from sento_proto.strict_json import Fields

POSITION_MAX = 2**63 - 1


def enrol(governance: Governance, author: str, signing: SigningKey, at: int) -> Governance:
    """The governance with one key more. Raises Unfit."""
    rules = RULES[governance.rules]
    if signing.companion is not None and not rules.companions:
        raise Unfit(f"Under rules {governance.rules} a key has no ML-DSA-65 companion.")
    if governance.authors[author].post_quantum and signing.companion is None:
        raise Unfit(f"{author} signs with ML-DSA-65 too, and this key has no companion.")
    for key in (signing.key, signing.companion):
        if key is not None:
            check_new_key(governance, key)
    known = AuthorKey(author, signing, at)
    return governance.changed(author_keys=with_entry(governance.author_keys, signing.key.key_id, known))


@dataclass(frozen=True, slots=True)
class EnrolAuthor:
    """A new institution that writes."""

    DO: ClassVar[str] = "enrol-author"
    RULES: ClassVar[int] = 2
    author: Author

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(read_author(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        author = self.author
        if author.name in governance.authors:
            raise Unfit(f"{author.name} is an author already.")
        if author.may_write:
            check_scopes(governance, author.may_write)
        governance = governance.changed(
            authors=with_entry(governance.authors, author.name, rights_of(author))
        )
        for signing in author.signing_keys:
            governance = enrol(governance, author.name, signing, at)
        return governance

    def words(self, governance: Governance) -> str:
        may = list_scopes(self.author.may_write) or "nothing yet"
        return f"{self.author.name} is enrolled as an author and may write {may}."


@dataclass(frozen=True, slots=True)
class EnrolKey:
    """A further signing key of an author."""

    DO: ClassVar[str] = "enrol-key"
    RULES: ClassVar[int] = 2
    author: str
    signing: SigningKey

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("author"), fields.inner("key", read_signing_key))

    def effect(self, governance: Governance, at: int) -> Governance:
        rights_of_author(governance, self.author)
        return enrol(governance, self.author, self.signing, at)

    def words(self, governance: Governance) -> str:
        beside = " with an ML-DSA-65 companion" if self.signing.companion is not None else ""
        return f"{self.author} may also sign with key {self.signing.key.key_id.hex()}{beside}."


@dataclass(frozen=True, slots=True)
class _OneKey:
    """A change to one key of an author."""

    author: str
    key_id: bytes

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("author"), fields.hex("key_id", KEY_ID_BYTES))

    def _known(self, governance: Governance) -> AuthorKey:
        known = governance.author_keys.get(self.key_id)
        if known is None or known.author != self.author:
            raise Unfit(f"{self.author} has no key {self.key_id.hex()}.")
        if known.ended_at is not None:
            raise Unfit(f"The key {self.key_id.hex()} is {'revoked' if known.revoked else 'closed'} already.")
        return known

    def _with(self, governance: Governance, known: AuthorKey) -> Governance:
        return governance.changed(author_keys=with_entry(governance.author_keys, self.key_id, known))


@dataclass(frozen=True, slots=True)
class RetireKey(_OneKey):
    """The key is not to be used any more; what was signed before and comes late still counts."""

    DO: ClassVar[str] = "retire-key"
    RULES: ClassVar[int] = 2

    def effect(self, governance: Governance, at: int) -> Governance:
        known = self._known(governance)
        if known.retired_at is not None:
            raise Unfit(f"The key {self.key_id.hex()} is retired already.")
        return self._with(governance, known._replace(retired_at=at))

    def words(self, governance: Governance) -> str:
        return f"Key {self.key_id.hex()} of {self.author} is retired; late records under it are accepted until an act closes it."


@dataclass(frozen=True, slots=True)
class CloseKey(_OneKey):
    """The time for late records under a retired key is over."""

    DO: ClassVar[str] = "close-key"
    RULES: ClassVar[int] = 2

    def effect(self, governance: Governance, at: int) -> Governance:
        known = self._known(governance)
        if known.retired_at is None:
            raise Unfit(f"The key {self.key_id.hex()} is not retired; retire it first, or revoke it.")
        return self._with(governance, known._replace(ended_at=at))

    def words(self, governance: Governance) -> str:
        return f"No record under the retired key {self.key_id.hex()} of {self.author} is accepted any more."


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """The key is in wrong hands: nothing under it counts any more."""

    DO: ClassVar[str] = "revoke-key"
    RULES: ClassVar[int] = 2
    author: str
    key_id: bytes
    suspect_from: int | None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        author, key_id = fields.institution("author"), fields.hex("key_id", KEY_ID_BYTES)
        suspect = (
            fields.number("suspect_from_position", 0, POSITION_MAX)
            if fields.has("suspect_from_position")
            else None
        )
        return cls(author, key_id, suspect)

    def effect(self, governance: Governance, at: int) -> Governance:
        one = _OneKey(self.author, self.key_id)
        known = one._known(governance)
        return one._with(
            governance, known._replace(ended_at=at, revoked=True, suspect_from=self.suspect_from)
        )

    def words(self, governance: Governance) -> str:
        suspect = (
            ""
            if self.suspect_from is None
            else f" What it signed from position {self.suspect_from} on is suspect and must be looked at."
        )
        left = [
            known
            for key_id, known in governance.author_keys.items()
            if known.author == self.author and known.ended_at is None and key_id != self.key_id
        ]
        alone = "" if left else f" {self.author} has no other key and cannot write until one is enrolled."
        return (
            f"Key {self.key_id.hex()} of {self.author} is revoked: nothing under it is accepted.{suspect}{alone} "
            "Whoever had it may have made the keys that this author's records are sealed under: unless that can be ruled out, "
            "start a new key epoch where it writes, in the same act."
        )


@dataclass(frozen=True, slots=True)
class SetBudget:
    """How much an author may write from now on."""

    DO: ClassVar[str] = "set-budget"
    RULES: ClassVar[int] = 2
    author: str
    budget: Budget

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("author"), fields.inner("budget_per_10000_positions", read_budget))

    def effect(self, governance: Governance, at: int) -> Governance:
        return with_rights(governance, self.author, budget=self.budget)

    def words(self, governance: Governance) -> str:
        budget = self.budget
        return (
            f"{self.author} may write {budget.records} records about {budget.subjects} subjects in each 10,000 positions; "
            "what is above is held until officers decide."
        )


@dataclass(frozen=True, slots=True)
class GrantBudget:
    """Officers decided that what was held is meant: so much more, in the window of positions in which the act stands."""

    DO: ClassVar[str] = "grant-budget"
    RULES: ClassVar[int] = 2
    author: str
    more: Budget

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("author"), fields.inner("more", read_budget))

    def effect(self, governance: Governance, at: int) -> Governance:
        rights_of_author(governance, self.author)
        start = at - at % BUDGET_WINDOW_POSITIONS
        before = governance.grants.get(self.author)
        records, subjects = self.more.records, self.more.subjects
        if before is not None and before.window_start == start:
            records, subjects = records + before.records, subjects + before.subjects
        grants = {name: grant for name, grant in governance.grants.items() if grant.window_start == start}
        return governance.changed(grants={**grants, self.author: Grant(start, records, subjects)})

    def words(self, governance: Governance) -> str:
        more = self.more
        return f"{self.author} may write {more.records} records and {more.subjects} subjects more, within this window of 10,000 positions only."


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Whether each of an author's submissions must carry an ML-DSA-65 signature too."""

    DO: ClassVar[str] = "set-policy"
    RULES: ClassVar[int] = 3
    author: str
    post_quantum: bool

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("author"), fields.flag("ml_dsa_65"))

    def effect(self, governance: Governance, at: int) -> Governance:
        rights_of_author(governance, self.author)
        able = any(
            known.author == self.author and known.ended_at is None and known.signing.companion is not None
            for known in governance.author_keys.values()
        )
        if self.post_quantum and not able:
            raise Unfit(f"{self.author} has no key with an ML-DSA-65 companion and could not write any more.")
        return with_rights(governance, self.author, post_quantum=self.post_quantum)

    def words(self, governance: Governance) -> str:
        if self.post_quantum:
            return f"{self.author} must sign with ML-DSA-65 too; what lacks that signature is refused."
        return f"{self.author} need not sign with ML-DSA-65; a key with a companion still signs twice."


@dataclass(frozen=True, slots=True)
class PermitWriting:
    """Scopes that an author may write from now on; part of `permit`."""

    author: str
    scopes: tuple[Scope, ...]

    def effect(self, governance: Governance) -> Governance:
        """Raises Unfit."""
        rights: AuthorRights = rights_of_author(governance, self.author)
        check_scopes(governance, self.scopes)
        doubled = tuple(scope for scope in self.scopes if scope in rights.may_write)
        if doubled:
            raise Unfit(f"{self.author} may write {list_scopes(doubled)} already.")
        return with_rights(governance, self.author, may_write=rights.may_write + self.scopes)


@dataclass(frozen=True, slots=True)
class WithdrawWriting:
    """Scopes that an author may not write any more; part of `withdraw`."""

    author: str
    scopes: tuple[Scope, ...]

    def effect(self, governance: Governance) -> Governance:
        """Raises Unfit."""
        rights: AuthorRights = rights_of_author(governance, self.author)
        missing = tuple(scope for scope in self.scopes if scope not in rights.may_write)
        if missing or not self.scopes:
            raise Unfit(
                f"{self.author} has no permission to write {list_scopes(missing) or 'nothing'} that could be withdrawn."
            )
        left = tuple(scope for scope in rights.may_write if scope not in self.scopes)
        return with_rights(governance, self.author, may_write=left)


def read_scopes(fields: Fields) -> tuple[Scope, ...]:
    """The field `scopes`."""
    return fields.objects("scopes", read_scope)
