"""Bounds of a call to the pseudonym service, known to both ends."""

from __future__ import annotations

NAMES_AT_ONCE_MAX = 500
"""Cost of one call at most. A person with no fact or one costs 1, each further fact and each tag 1 more."""
IDENTIFIER_MAX_BYTES = 256
NATURAL_KEY_MAX_BYTES = 512
TAG_FIELDS_MAX = 8
TAG_FIELD_MAX_BYTES = 256
PURPOSE_MAX_CHARACTERS = 200
