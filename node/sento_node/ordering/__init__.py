"""The ordering log: the port that the node stands on and its two forms. `DESIGN.md` beside this file gives the reasons."""
