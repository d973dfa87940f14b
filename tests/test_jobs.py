"""Jobs: the latest wins, stopping keeps what is done, errors are sentences, everybody gets a turn."""

import logging
import sys
import threading

import pytest

from app import jobs
from app.jobs import Pool, eta
from app.pause import drawing

LONG = 30  # seconds until a hung test fails; no test waits for it


class Gate:
    """A generator whose every item waits for a permit."""

    def __init__(self, items):
        self.items, self.permits, self.reached = items, threading.Semaphore(0), threading.Semaphore(0)
        self.closed = threading.Event()

    def __call__(self):
        try:
            for item in self.items:
                self.reached.release()
                assert self.permits.acquire(timeout=LONG)
                yield item
        finally:
            self.closed.set()

    def let(self, number):
        for _ in range(number):
            assert self.reached.acquire(timeout=LONG)
            self.permits.release()


def finished(pool, owner="after"):
    """Wait until the worker has done everything that was submitted before."""
    assert pool.submit(owner, "end", lambda: iter("x"), again=True).wait(LONG)


@pytest.fixture
def pool():
    return Pool("test")


def test_items_arrive_and_stay(pool):
    job = pool.submit("ann", "a", lambda: range(5))
    finished(pool)
    while job.running:
        finished(pool)
    assert job.items == [0, 1, 2, 3, 4] and job.latest == 4 and job.count == 5
    assert job.done and job.error is None and job.started is not None and job.seconds >= 0


def test_the_first_item_can_be_waited_for(pool):
    gate = Gate("ab")
    job = pool.submit("ann", "a", gate)
    assert not job.wait(0) and job.latest is None
    gate.let(1)
    assert job.wait(LONG) and job.latest == "a" and job.running
    gate.let(1)


def test_an_empty_job_ends_the_wait(pool):
    job = pool.submit("ann", "a", lambda: iter(()))
    assert job.wait(LONG) and job.done and job.items == [] and job.latest is None


def test_the_same_key_gives_the_same_job(pool):
    starts = []
    first = pool.submit("ann", "a", lambda: starts.append(1) or iter("xy"))
    assert pool.submit("ann", "a", lambda: starts.append(2) or iter("z")) is first
    assert first.wait(LONG)
    while first.running:
        finished(pool)
    assert pool.submit("ann", "a", lambda: iter("z")) is first and pool.find("ann") is first
    assert starts == [1] and first.items == ["x", "y"]


def test_again_starts_afresh(pool):
    first = pool.submit("ann", "a", lambda: iter("x"))
    second = pool.submit("ann", "a", lambda: iter("y"), again=True)
    assert second is not first and first.done
    assert second.wait(LONG) and second.items == ["y"]


def test_the_latest_wins(pool):
    gate = Gate("abc")
    old = pool.submit("ann", "old", gate)
    gate.let(1)
    assert old.wait(LONG)
    assert gate.reached.acquire(timeout=LONG)
    new = pool.submit("ann", "new", lambda: iter("n"))
    assert old.done and old.error is None
    gate.permits.release()
    assert new.wait(LONG) and new.items == ["n"] and pool.find("ann") is new
    assert gate.closed.wait(LONG)
    assert old.items == ["a"]


def test_another_owner_is_left_alone(pool):
    gate = Gate("ab")
    job = pool.submit("ann", "a", gate)
    pool.submit("bob", "b", lambda: iter("x"))
    assert job.running
    gate.let(2)
    assert job.wait(LONG)
    while job.running:
        finished(pool)
    assert job.items == ["a", "b"]


def test_stopping_keeps_what_is_done_and_frees_the_generator(pool):
    gate = Gate("abcd")
    job = pool.submit("ann", "a", gate)
    gate.let(2)
    assert gate.reached.acquire(timeout=LONG)
    job.stop()
    assert job.done and not job.running and job.items == ["a", "b"] and job.error is None
    gate.permits.release()
    assert gate.closed.wait(LONG)
    assert job.items == ["a", "b"]


def test_stopping_before_the_start_never_starts(pool):
    gate, starts = Gate("a"), []
    pool.submit("ann", "a", gate)
    assert gate.reached.acquire(timeout=LONG)
    waiting = pool.submit("bob", "b", lambda: starts.append(1) or iter("x"))
    waiting.stop()
    assert waiting.wait(0)
    gate.permits.release()
    finished(pool)
    assert starts == [] and waiting.items == [] and waiting.seconds == 0


def test_dropping_an_owner_stops_and_forgets(pool):
    gate = Gate("ab")
    job = pool.submit("ann", "a", gate)
    pool.drop("ann")
    pool.drop("nobody")
    assert job.done and pool.find("ann") is None
    gate.permits.release()


def test_a_refusal_is_shown_as_it_was_said(pool):
    def refuse():
        yield 1
        raise ValueError("The rank must be at least 1.")

    job = pool.submit("ann", "a", refuse)
    while job.running:
        finished(pool)
    assert job.error == "The rank must be at least 1." and job.items == [1]


def test_any_other_failure_is_a_sentence_and_a_log_entry(pool, caplog):
    with caplog.at_level(logging.ERROR, "app.jobs"):
        job = pool.submit("ann", "a", lambda: 1 / 0)
        assert job.wait(LONG) and job.done
    assert "ZeroDivisionError" in job.error and job.error.endswith(".") and "division by" not in job.error
    assert "division by zero" in caplog.text
    assert pool.submit("ann", "b", lambda: iter("x")).wait(LONG)


def test_whoever_has_least_goes_first(pool):
    gate, order = Gate("g"), []
    pool.submit("gate", "g", gate)
    assert gate.reached.acquire(timeout=LONG)

    def record(name, number):
        for index in range(number):
            order.append(f"{name}{index}")
            yield index

    lengths = {"a": 4, "b": 2, "c": 3}
    waiting = [pool.submit(name, name, lambda name=name: record(name, lengths[name])) for name in lengths]
    gate.permits.release()
    while any(job.running for job in waiting):
        finished(pool)
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_newcomer_overtakes(pool):
    gate, order = Gate("abcd"), []
    pool.submit("ann", "a", gate)
    gate.let(3)
    assert gate.reached.acquire(timeout=LONG)
    late = pool.submit("bob", "b", lambda: (order.append(n) or n for n in range(2)))
    gate.permits.release()
    while late.running:
        finished(pool)
    assert order == [0, 1]


def test_finished_jobs_of_many_owners_are_forgotten():
    pool = Pool("few", kept=3)
    for number in range(10):
        job = pool.submit(f"owner {number}", "a", lambda: iter("x"))
        while job.running:
            finished(pool)
    assert pool.find("owner 0") is None and pool.find("owner 9") is job


def test_while_a_page_is_drawn_work_waits_but_for_a_first_item_that_the_page_shows():
    try:
        drawing.begin(LONG)
        pool, other = Pool("prompt", prompt=True), Pool("other")
        later = other.submit("ann", "a", lambda: range(3))
        for owner in ("ann", "bob", "cleo"):  # each is answered while those before wait
            assert pool.submit(owner, "a", lambda: range(3)).wait(LONG)
        assert [pool.find(owner).items for owner in ("ann", "bob", "cleo")] == [[0], [0], [0]] and later.items == []
        drawing.end()
        assert later.ended(LONG) and all(pool.find(owner).ended(LONG) for owner in ("ann", "bob", "cleo"))
        assert later.items == pool.find("cleo").items == [0, 1, 2]
    finally:
        drawing.end()


def test_a_page_does_not_wait_for_what_it_keeps_waiting(pool):
    drawing.begin(LONG)
    assert pool.submit("ann", "a", lambda: range(3)).ended(LONG)


def test_one_torch_thread_in_the_worker(pool):
    import torch

    job = pool.submit("ann", "a", lambda: iter([torch.get_num_threads()]))
    assert job.wait(LONG) and job.latest == 1


def test_no_thread_until_there_is_work():
    assert Pool("idle")._thread is None


def test_nothing_of_streamlit_is_needed():
    assert "streamlit" not in vars(jobs) and "streamlit" not in jobs.__doc__.lower()
    assert not any(name.startswith("streamlit") for name in vars(sys.modules["app.jobs"]))


@pytest.mark.parametrize("done, total, seconds, left", [(0, 5, 3, None), (1, 5, 3, 12), (5, 5, 3, 0), (7, 5, 3, 0)])
def test_eta(done, total, seconds, left):
    assert eta(done, total, seconds) == left


def test_who_leaves_takes_their_jobs_along():
    pool = Pool("t-leave")
    gate = threading.Event()

    def forever():
        while True:
            gate.wait(5)
            yield 1

    mine, yours = pool.submit("a.scan", "k", forever), pool.submit("b.scan", "k", forever)
    pool.drop_all("a.")
    assert mine.done and yours.running and pool.find("a.scan") is None
    pool.drop_all("")
    gate.set()
