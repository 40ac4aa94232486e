"""A new epoch at one site: what is cut off and set aside, how the new log begins, and what is taken over again."""
