"""The drill: stands on the client and shows, on one machine or many, that the registry keeps what it promised:
it builds a synthetic municipality to write about, runs sites as real processes, breaks them, and measures what follows."""
