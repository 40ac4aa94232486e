"""Generated stubs of the part of etcd's gRPC interface that Sento uses; `etcd.proto` is the source."""
