"""The person's view: who was given what of one person's records, when and why."""
