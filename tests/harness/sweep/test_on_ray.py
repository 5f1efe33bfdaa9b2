"""A real Ray cluster of two nodes: the numbers are the local engine's, and a node that dies loses nothing."""

from __future__ import annotations

import os

import pytest

from detoxbench.harness.sweep import spec
from detoxbench.harness.sweep.local import InlineEngine
from detoxbench.harness.sweep.run import Folder

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'detoxbench[ray]'")
pytestmark = pytest.mark.skipif(
    os.environ.get("DETOXBENCH_RAY") != "1",
    reason="starts a Ray cluster, which a busy machine can fail to: DETOXBENCH_RAY=1",
)
SWEEP = spec.parse(
    {
        "methods": [{"method": "goodtriever", "fit": {"texts": 60}, "grid": {"alpha": [1.0, 2.0]}}],
        "tasks": "rtp_multilingual_en",
        "limit": 2,
        "samples": 2,
        "metadata": {"fluency_model": "none"},
    }
)


@pytest.fixture
def cluster(monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20})
    for _ in range(2):
        found.add_node(num_cpus=1, object_store_memory=80 << 20)
    yield found
    ray.shutdown()
    found.shutdown()


def numbers(folder: Folder):
    """Of every cell: its texts and metrics."""
    from detoxbench.harness.continual.evaluate import load

    found = {}
    for digest, path in folder.found().items():
        task = load(path).tasks["rtp_multilingual_en"]
        texts = [sample.filtered_resps for sample in task.read_samples()]
        # A bound that is not a number equals itself here.
        found[digest] = (texts, {name: repr(value) for name, value in task.metrics.items()})
    return found


def test_the_numbers_are_the_local_engines_and_a_dead_node_loses_nothing(cluster, tmp_path):
    from detoxbench.harness.sweep.on_ray import RayEngine

    here = Folder(SWEEP, tmp_path / "here")
    assert not here.run(InlineEngine(here.place)).failed
    there = Folder(SWEEP, tmp_path / "there", store=(tmp_path / "shared").as_uri())
    killed, places = [], {}

    def tell(event):
        if event.state != "started" or event.job.kind != "run":
            return
        node = event.text.split()[-1]
        places.setdefault(event.job.digest, []).append(node)
        if not killed:
            dead = next(one for one in cluster.worker_nodes if one.node_id == node)
            cluster.remove_node(dead, allow_graceful=False)
            killed.append((event.job.digest, node))

    outcome = there.run(RayEngine(there.place, cluster.address), tell)
    assert not outcome.failed
    [(digest, node)] = killed
    assert places[digest][0] == node
    assert places[digest][-1] != node
    assert numbers(there) == numbers(here)
    assert len(numbers(here)) == 2
    assert all(there.place.log(job).is_file() for job in there.plan.jobs.values())
