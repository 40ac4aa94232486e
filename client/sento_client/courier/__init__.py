"""Copies of the ledger outside of a site: courier volumes and backups, made from live sites, judged offline, brought back in."""
