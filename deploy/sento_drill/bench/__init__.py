"""The bench: this registry, etcd and PostgreSQL under the same works on the same machine, measured in turns. `command.py` is the way in."""
