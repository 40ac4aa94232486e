"""Every bound on size and count that both sides enforce, in one place.

A decoder refuses what is over a bound with MALFORMED or TOO_LARGE before it reads on. The sizes nest: a submission's records and signatures
fit into one block together with the block's own frame (about 200 bytes).
"""

from __future__ import annotations

KIB = 1024

NAME_MAX_BYTES = 32
"""Longest registry, compartment, kind or lane part, ASCII."""
HEADER_MAX_BYTES = 512
"""Longest header without its clear content."""
CONTENT_MAX_BYTES = 16 * KIB
"""Longest clear content of a header; only registries in `CLEAR_CONTENT_REGISTRIES` may have any."""
CLEAR_CONTENT_REGISTRIES = frozenset({"governance", "keys"})
"""Registries whose records carry content in clear, because apply must read it."""
PAYLOAD_MAX_BYTES = 32 * KIB
"""Longest payload: wrapped DEK, tags and ciphertext with their lengths."""
SUBMISSION_RECORDS_MAX_BYTES = 56 * KIB
"""All records of a submission with their length fields."""
SUBMISSION_SIGNATURES_MAX_BYTES = 4 * KIB
"""All signatures of a submission with their frames."""
SUBMISSION_MAX_RECORDS = 1024
SUBMISSION_MAX_SIGNATURES = 16
SUBMISSION_MAX_BYTES = SUBMISSION_RECORDS_MAX_BYTES + SUBMISSION_SIGNATURES_MAX_BYTES + 256
BLOCK_MAX_BYTES = 64 * KIB
"""What the packer fills. etcd before 3.5.14 keeps some 5,500 blocks in memory, so this bounds its size."""
BLOCK_DECODE_MAX_BYTES = 256 * KIB
"""What the decoder accepts, so that a later release may pack larger blocks without a new format."""
BLOCK_MAX_SUBMISSIONS = 1024
LANE_MAX_BYTES = 64

PLAINTEXT_SIZE_CLASSES = (256, 512, 1024, 2048, 4096, 8192, 16 * KIB, 30 * KIB)
"""Plaintext sizes a payload is padded to: sites learn the class and not the length."""
PLAINTEXT_LENGTH_BYTES = 4
CONTENT_OF_PAYLOAD_MAX_BYTES = PLAINTEXT_SIZE_CLASSES[-1] - PLAINTEXT_LENGTH_BYTES
"""Longest content that fits one record; a larger thing is chunk records and a manifest."""
TAG_BYTES = 4
TAGS_MAX = 64

CHECKPOINT_MAX_BYTES = 128 * KIB
"""A site with an ML-DSA-44 key puts 3.4 KiB of lines under each; 31 such sites have room."""
CHECKPOINT_MAX_SIGNATURES = 64
GENESIS_MAX_BYTES = 1024 * KIB
PROOF_MAX_HASHES = 64

GRPC_MESSAGE_MAX_BYTES = 1024 * KIB
"""Largest message on any Sento RPC; the sync service cuts its chunks to it."""
LIST_PAGE_MAX = 500
"""Most entries in one answer that lists."""
