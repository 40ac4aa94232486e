"""Carrying erasure orders out at a site: payloads off its disk, out of its ordering log's files, and its signed word about it."""
