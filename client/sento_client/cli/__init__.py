"""The command `sento`: one module for each of its commands, each of which asks the library and shows what it answered."""
