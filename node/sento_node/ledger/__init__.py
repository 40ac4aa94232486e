"""The ledger of one site: what apply decides, and how it stands on disk."""
