"""Who may have names of which registry, and how many: decided before any key is used. Pure; time comes in.

A caller is an author or a reader by its certificate. What it may ask for is configured at the service and beside the ledger's governance on purpose:
the service runs in the ministry's own network, also while no site can be reached, and must not open because somebody bought an officer.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from sento_client.pseudonym_service.limiting import Limiter
from sento_client.pseudonym_service.macs import KeyName
from sento_proto.errors import Code, SentoError
from sento_proto.identity import Identity

ROLES_THAT_ASK = ("author", "reader")
ROLES_THAT_LOOK = ("author", "reader", "operator")


class AtLimit(SentoError):
    """RATE_LIMITED; `wait_ms`: after how long the same call may pass."""

    def __init__(self, detail: str, wait_ms: int) -> None:
        super().__init__(Code.RATE_LIMITED, detail)
        self.wait_ms = wait_ms


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that may be answered. `unusual`: it took the hour beyond its alarm."""

    institution: str
    unusual: bool


def require_identity(caller: Identity | None, roles: tuple[str, ...]) -> Identity:
    """The caller, if it has one of the roles. Raises SentoError IDENTITY_REFUSED."""
    if caller is None:
        raise SentoError(Code.IDENTITY_REFUSED, "the certificate carries no Sento identity")
    if caller.role not in roles:
        raise SentoError(Code.IDENTITY_REFUSED, f"role {caller.role} is not one of {', '.join(roles)}")
    return caller


def require_key(keys: Set[KeyName], key: KeyName) -> None:
    """Raises SentoError NOT_FOUND for a registry that the service has no such key of. What was asked for is not repeated: it may be anything."""
    if key not in keys:
        raise SentoError(Code.NOT_FOUND, f"the pseudonym service has no {key.kind.word} key of that registry")


def admit(limiter: Limiter, caller: Identity, registry: str, names: int, now_ms: int) -> Admission:
    """Whether this caller may have so many names now. Raises SentoError IDENTITY_REFUSED, AtLimit."""
    allowance = limiter.allowance(caller.name, registry)
    if allowance is None:
        raise SentoError(
            Code.IDENTITY_REFUSED,
            f"{caller.name} may not ask for names of registry {registry}; the pseudonym service's configuration allows who may",
        )
    grant = limiter.take(caller.name, registry, names, now_ms)
    if grant.wait_ms:
        raise AtLimit(
            f"{caller.name} may ask for {allowance.names_per_minute} names of registry {registry} a minute; "
            f"these {names} may pass in {grant.wait_ms / 1000:.1f} s",
            grant.wait_ms,
        )
    return Admission(caller.name, grant.unusual)
