"""The outbox: what a ministry has handed over stays on its own disk until a quorum of sites has cosigned a ledger that holds it."""
