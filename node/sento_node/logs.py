"""Structured logs: one JSON object a line, or readable lines on a terminal. Never a name, a number or a key of a person: callers log counts and codes."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(level: str) -> None:
    """Route structlog to standard error at `level` (debug, info, warning, error)."""
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
