# SPDX-License-Identifier: Apache-2.0
"""Errors: a class for each kind, with the agent's own sentence as the text."""

from __future__ import annotations


class OutriderError(Exception):
    """`code` is that of outrider.h, a negative number."""

    code = -11  # OUTRIDER_EFAILED


class InvalidError(OutriderError, ValueError):
    """An argument, the configuration or a registration is wrong."""

    code = -1


class NotFoundError(OutriderError, LookupError):
    """No such service, instance or check, or none that is usable."""

    code = -3


class RefusedError(OutriderError):
    """The agent refuses it: a limit, or not allowed for programs."""

    code = -4


class WaitTimeoutError(OutriderError, TimeoutError):
    """Not within the time."""

    code = -5


class ForkedError(OutriderError):
    """The agent belongs to the parent process."""

    code = -8


class NoAgentError(OutriderError, ConnectionError):
    """No agent runs, or it does not answer."""

    code = -9


class NotPermittedError(OutriderError, PermissionError):
    """This user may not use the agent's socket."""

    code = -10


class ClosedError(OutriderError):
    """The agent was closed."""

    code = -12


class WouldBlockError(OutriderError, BlockingIOError):
    """It would have to wait where it must not."""

    code = -6


class WrongThreadError(OutriderError, RuntimeError):
    """outrider.aio: not on the thread of its loop."""

    code = -7


_KINDS = {kind.code: kind for kind in (
    InvalidError, NotFoundError, RefusedError, WaitTimeoutError, ForkedError, NoAgentError, NotPermittedError,
    ClosedError, WouldBlockError, WrongThreadError)}


def error_of(code: int, text: str) -> Exception:
    if code == -2:
        return MemoryError(text)
    error = _KINDS.get(code, OutriderError)(text)
    error.code = code
    return error
