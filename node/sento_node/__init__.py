"""A site's node: takes submissions in, orders them with the other sites, applies them to the ledger, and gives them out again."""
