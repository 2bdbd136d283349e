# SPDX-License-Identifier: Apache-2.0
"""An Outrider agent inside a Python program, or a connection to one that runs beside it.

    import outrider

    with outrider.open(name="shop") as agent:
        agent.register({"name": "orders", "port": 8080})
        for instances in agent.watch("payments", healthy=True):
            print([instance.id for instance in instances])

open() uses an agent that runs, or becomes one; connect() and start() do one of the two. All other calls
are the same. outrider.aio has the same for asyncio. The work is done by liboutrider (outrider.3).
"""

from .agent import Agent, Registration, Watch, connect, open, start
from .errors import (ClosedError, ForkedError, InvalidError, NoAgentError, NotFoundError, NotPermittedError,
                     OutriderError, RefusedError, WaitTimeoutError)
from .model import CheckState, Explanation, Instance, Selection, ServiceSummary, Snapshot

__version__ = "0.1.0"
__all__ = [
    "Agent", "CheckState", "ClosedError", "Explanation", "ForkedError", "Instance", "InvalidError", "NoAgentError",
    "NotFoundError", "NotPermittedError", "OutriderError", "RefusedError", "Registration", "Selection",
    "ServiceSummary", "Snapshot", "WaitTimeoutError", "Watch", "connect", "open", "start",
]
