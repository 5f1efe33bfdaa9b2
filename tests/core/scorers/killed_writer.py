"""Scores texts into an archive and says which are done, until it is killed.

Arguments: archive, endpoint, number of texts, queries per second.
"""

import sys

from detoxbench.core.scorers.archive import ScoreArchive, text_sha256
from detoxbench.core.scorers.archived import Archived
from detoxbench.core.scorers.perspective import PerspectiveScorer


class Reporting(ScoreArchive):
    def put(self, key, rows):
        added = super().put(key, rows)
        # From here on the scores may be used.
        sys.stdout.write("".join(row.text_sha256.hex() + "\n" for row in rows))
        sys.stdout.flush()
        return added


if __name__ == "__main__":
    path, endpoint, texts, qps = sys.argv[1:5]
    scorer = PerspectiveScorer(endpoint=endpoint, qps=int(qps), backoff=0.01)
    wanted = [f"text {number}" for number in range(int(texts))]
    scores = Archived(scorer, Reporting(path)).score(wanted, "en")
    assert text_sha256(wanted[0])
    sys.stdout.write(f"finished {sum(reason is None for reason in scores.reasons)}\n")
