"""A process that ends when the one that started it has: a sweep that was killed leaves nothing running."""

from __future__ import annotations

import os
import threading
import time

POLL = 0.5


def watch(parent: int) -> None:
    """End this process when another one has."""

    def loop() -> None:
        first = os.getppid()
        while True:
            time.sleep(POLL)
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os._exit(1)
            except PermissionError:
                pass
            if first == parent and os.getppid() != parent:  # a killed parent that nobody has waited for still has an id
                os._exit(1)

    threading.Thread(target=loop, daemon=True).start()
