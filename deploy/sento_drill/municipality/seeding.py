"""Seeding: one source of randomness per purpose and person, so that what is drawn for one never shifts another."""

from __future__ import annotations

import random


def seeded(seed: int, *purpose: str) -> random.Random:
    """A generator that depends on the seed and the purpose alone, on every machine and in every process."""
    return random.Random("/".join((str(seed), *purpose)))  # noqa: S311 - invented people, not keys
