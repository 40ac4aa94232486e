"""What tests of key files share: passphrases that are stretched in no time, for a test of what files do is not to pay as an attacker must for a guess."""

from __future__ import annotations

import pytest

from sento_client import key_encryption

CHEAP_LOG2_N = 4


@pytest.fixture
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written at the lowest cost, and read at it too; `monkeypatch.undo()` in a test gives the real one back."""
    monkeypatch.setattr(key_encryption, "SCRYPT_LOG2_N", CHEAP_LOG2_N)
