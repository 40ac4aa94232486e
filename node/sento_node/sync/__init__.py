"""Bringing a ledger to a site that fell behind the ordering log: chunks that end at a quorum's checkpoint."""
