"""Exports: a whole ledger in one file that an auditor proves without any site (`client/audit/FORMAT.md`)."""
