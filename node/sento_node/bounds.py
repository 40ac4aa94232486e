"""Every bound of the node's gRPC in one place: message sizes, deadlines, how much may wait."""

from __future__ import annotations

from sento_proto import limits

CALL_DEADLINE_MAX_MS = 30_000
"""A call that answers once and has no deadline, or a longer one, gets this one."""
WRITE_ANSWER_TIMEOUT_MS = 5_000
"""How long a submission may wait in line or for its order; then NO_ORDERING, and the client goes elsewhere with the same ids."""
LINEARIZABLE_TIMEOUT_MS = 5_000
"""How long a linearizable read may wait for the majority and the flush, within its deadline."""
WRITE_STREAM_IN_FLIGHT_MAX = 256
"""Submissions of one stream that may wait for their answer; then the stream is not read further."""
REFUSED_STREAM_LISTENS_MS = 1_000
"""How long a write stream whose caller is refused waits for the first message, so that the refusal and not a broken stream is what the caller sees."""
STREAMS_PER_CONNECTION_MAX = 256
DRAIN_TIMEOUT_MS = 3_000
"""How long a node that stops waits for the answers it still owes."""
TICKETS_MAX = 65_536
"""Submissions of all clients that may wait for their answer; then QUEUE_FULL."""
READS_WAITING_MAX = 10_000
HEAD_EVERY_MS = 2
"""One head statement in so many milliseconds, in the long run: signing and walking take a fraction of it."""
HEAD_ML_DSA_EVERY_MS = 20
"""The same for a site with an ML-DSA-44 key as well: a signature takes 4 ms of the event loop, and another thread would not help: it holds Python's lock."""
HEAD_BURST_MS = 500
HEAD_PATIENCE_MS = 1_000
"""Whoever would wait longer for a statement is refused (RATE_LIMITED), and asks another site."""
PEER_CALL_TIMEOUT_MS = 2_000
CONNECT_TIMEOUT_MS = 5_000
"""How long TCP, TLS and HTTP/2's first word may take together: three round trips and the other side's processor. gRPC's name for it is the shortest
time between two attempts (`min_reconnect_backoff_ms`); an attempt under way is given up by it, so a short one cuts off who is merely busy or far."""
PLAN_CHUNKS_MAX = 1024
PLAN_CHUNKS_PROVEN_MAX = 256
"""Chunks that one answer plans; fewer with proofs, which take up to 2 KB each, below the message limit."""
CHUNK_PIECE_BYTES = 64 * 1024
"""A piece of a chunk as it is sent: a broken line loses at most what is under way, and a slow one shows progress: four streams at 64 kbit/s one in 32 s."""
PLAN_TIMEOUT_MS = 90_000
"""A plan with its proofs is half a megabyte at most: a minute at 64 kbit/s."""
FETCH_PAYLOADS_MAX = 256
"""Payloads that one site asks another for in one call, by record hash."""
FETCH_BLOCKS_MAX = 64
"""Blocks that one site asks another for in one call, by number."""
FETCH_TIMEOUT_MS = 30_000

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", limits.GRPC_MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", limits.GRPC_MESSAGE_MAX_BYTES),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    # the answer of a site on a thin line waits behind a minute of chunks
    ("grpc.keepalive_timeout_ms", 90_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", limits.GRPC_MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", limits.GRPC_MESSAGE_MAX_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
CHUNK_WINDOW_BYTES = 128 * 1024
"""So much of a stream's chunk may be under way: four streams fill 2.5 Mbit/s at 650 ms, and are a minute's worth at 64 kbit/s."""
CHUNK_CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", limits.GRPC_MESSAGE_MAX_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", CHUNK_WINDOW_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 90_000),
    ("grpc.min_reconnect_backoff_ms", 20_000),
)
"""For a connection that carries chunks: one of its own, patient over long and thin lines."""
