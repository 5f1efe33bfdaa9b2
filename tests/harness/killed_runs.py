"""Runs one command of lm-eval again and again, and kills it with SIGKILL; for ``test_journal.py``.

Arguments: kills, seed, and the command's own. Each run is a fork of this process, which has imported everything once
and started no thread; it is killed when its journal has grown to a random share of what is left. The last run ends by
itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import lm_eval.__main__

from detoxbench.harness import journal, model

IMPORTED_BEFORE_THE_FORKS = (model,)


def size() -> int:
    return sum(path.stat().st_size for path in journal.default_folder().glob(f"*/*{journal.SUFFIX}"))


def start(arguments: list[str]) -> int:
    child = os.fork()
    if child == 0:
        sys.argv = ["lm_eval", *arguments]
        status = 1
        try:
            lm_eval.__main__.cli_evaluate()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def main() -> None:
    kills, draw = int(sys.argv[1]), random.Random(int(sys.argv[2]))
    done = 0
    for _number in range(kills):
        before = size()
        child = start(sys.argv[3:])
        more = draw.randint(1, 700)
        while size() < before + more:
            if os.waitpid(child, os.WNOHANG) != (0, 0):
                sys.exit("the run ended before it was killed")
            time.sleep(0.001)
        time.sleep(draw.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        done += os.waitpid(child, 0)[1] == signal.SIGKILL
    status = os.waitpid(start(sys.argv[3:]), 0)[1]
    print(f"killed {done} left {size()}")
    sys.exit(status)


if __name__ == "__main__":
    main()
