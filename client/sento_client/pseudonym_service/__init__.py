"""The pseudonym service: a process of the ministry that keeps the pseudonym and index keys and names persons and facts for programs that do not."""
