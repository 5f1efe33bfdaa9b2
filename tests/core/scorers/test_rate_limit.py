"""The quota is a bound in every one-second window and is used: with a clock that the tests turn."""

import heapq
import random
import threading
import time

import pytest

from detoxbench.core.scorers.rate_limit import RateLimiter, StoppedError


class World:
    """A clock, and a server whose answers come while somebody sleeps."""

    def __init__(self, latency):
        self.now, self.latency, self.pending, self.arrivals = 1000.0, latency, [], []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        until = self.now + seconds
        while self.pending and self.pending[0][0] <= until:
            self.now, _, grant = heapq.heappop(self.pending)
            grant.__exit__(None, None, None)
        self.now = until

    def send(self, grant):
        before, after = self.latency()
        self.arrivals.append((self.now + before, grant.tokens))
        heapq.heappush(self.pending, (self.now + before + after, len(self.arrivals), grant))


def busiest(arrivals):
    arrivals = sorted(arrivals)
    return max(sum(n for at, n in arrivals if start <= at < start + 1) for start, _ in arrivals)


def run(qps, latency, seconds=20):
    world = World(latency)
    limiter = RateLimiter(qps, clock=world.clock, sleep=world.sleep)
    size = limiter.batch()
    start = world.now
    while world.now < start + seconds:
        world.send(limiter.take(size))
        world.sleep(0)
    return busiest(world.arrivals), sum(n for _, n in world.arrivals) / (qps * (world.now - start))


@pytest.mark.parametrize("qps", [1, 2, 7, 10, 15, 100, 333, 997, 1000])
@pytest.mark.parametrize("latency", [0.0, 0.003, 0.25, 3.0])
def test_steady_answers_leave_the_whole_quota_to_use(qps, latency):
    most, use = run(qps, lambda: (latency / 2, latency / 2), seconds=20 if latency < 1 else 60)
    assert most <= qps
    assert use >= 0.95


@pytest.mark.parametrize("qps", [1, 10, 100, 1000])
def test_requests_that_are_late_on_the_way_never_exceed_the_quota(qps):
    rng = random.Random(qps)
    # Mostly quick, now and then half a second in some queue before they are counted.
    most, use = run(qps, lambda: (rng.random() * (0.5 if rng.random() < 0.05 else 0.02), 0.05))
    assert most <= qps
    assert use >= 0.95


def test_a_broken_connection_counts():
    world = World(lambda: (0, 0))
    limiter = RateLimiter(1, clock=world.clock, sleep=world.sleep)
    grant = limiter.take()
    world.sleep(0.5)
    grant.__exit__(OSError, OSError("broken"), None)
    limiter.take()
    assert world.now >= 1001.5


def test_everybody_pauses():
    world = World(lambda: (0, 0))
    limiter = RateLimiter(10, clock=world.clock, sleep=world.sleep)
    limiter.pause(30)
    limiter.take()
    assert world.now >= 1030


def test_the_wall_clock_does_not_matter(monkeypatch):
    times = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: next(times))
    limiter = RateLimiter(100)
    start = time.monotonic()
    for _ in range(110):
        with limiter.take():
            pass
    assert time.monotonic() - start >= 1


def test_threads_share_a_quota():
    limiter, sent, lock = RateLimiter(50), [], threading.Lock()

    def work():
        for _ in range(15):
            with limiter.take(2), lock:
                sent.append((time.monotonic(), 2))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 75
    assert busiest(sent) <= 50


def test_a_wait_can_be_stopped():
    stop = threading.Event()
    limiter = RateLimiter(1)
    limiter.pause(3600)
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppedError):
        limiter.take(1, stop)


@pytest.mark.parametrize("qps", [0, -1, 1001, 1.5, "10", None])
def test_quotas_out_of_range(qps):
    with pytest.raises(ValueError, match="1 to 1000"):
        RateLimiter(qps)


def test_more_tokens_than_the_bucket_holds():
    with pytest.raises(ValueError, match="bucket of 5"):
        RateLimiter(5).take(6)


def test_batches_divide_the_bucket():
    assert [RateLimiter(qps).batch() for qps in (1, 9, 10, 100, 1000)] == [1, 1, 1, 10, 100]
    for qps in range(1, 1001):
        assert qps % RateLimiter(qps).batch() <= 0.005 * qps
