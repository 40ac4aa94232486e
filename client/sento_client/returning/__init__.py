"""Returning: what an old capital set aside with its epoch, as a file that people review, and what of it is offered again. `orphans_file` and `sorting` are
pure; `asking` is the shell."""
