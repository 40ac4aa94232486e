"""A site makes its ledger anew from other sites: when, from where on, and when it is whole again."""
