module sento.internal/etcdload

go 1.21
