"""Receipts: on disk beside the outbox, for programs and people, and what conflicting checkpoints become."""
