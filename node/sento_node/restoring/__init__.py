"""Restoring: a ledger made from a directory of backup volumes alone, as it stood at a moment, every chunk proven."""
