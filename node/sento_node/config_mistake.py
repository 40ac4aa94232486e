"""The error of everything that a person configured and that cannot be used; apart, so that reading one file does not need the whole configuration."""

from __future__ import annotations


class ConfigMistake(Exception):
    """The configuration cannot be used; the text lists each field and what it should be."""
