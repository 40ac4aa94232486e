"""A registry in memory for the tests of programs: everything real except network and disk. `Registry` is the way in."""

from __future__ import annotations

from sento_client.testing.faults import Faults
from sento_client.testing.institutions import Institution
from sento_client.testing.registry import Registry, StandingRecord
from sento_client.testing.sites import Site
from sento_proto.genesis import Budget, Scope

__all__ = ["Budget", "Faults", "Institution", "Registry", "Scope", "Site", "StandingRecord"]
