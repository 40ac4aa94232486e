"""The ordering log on the node's own etcd member: the log itself, and the supervisor of the member's process."""
