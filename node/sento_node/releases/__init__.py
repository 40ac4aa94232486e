"""Releases of persons' payloads: each is recorded in the ledger before the payload leaves the site."""
