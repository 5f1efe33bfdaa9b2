"""``python -m benchmarks.real``: the whole study, or a part of it; run again, it goes on where it was."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detoxbench.core.errors import DetoxbenchError

from . import job


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__)
    explained = "; ".join(f"{name}: {what.__doc__}" for name, what in job.COMMANDS.items())
    parser.add_argument("command", choices=job.COMMANDS, help=explained)
    parser.add_argument("studies", nargs="*", choices=[*job.STUDIES, []], metavar="STUDY",
                        help=f"of {', '.join(job.STUDIES)}; default: all, in this order")  # fmt: skip
    parser.add_argument("--data", type=Path, default=job.default_data(), help=f"the sample data; default: ${job.DATA}")
    parser.add_argument("--cache", type=Path, default=job.default_cache(),
                        help="models, artifacts and runs; default: real, in detoxbench's data folder")  # fmt: skip
    parser.add_argument("--records", type=Path, default=job.RECORDS, help="where finished runs' records go")
    given = parser.parse_args()
    try:
        return job.COMMANDS[given.command](given)
    except DetoxbenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
