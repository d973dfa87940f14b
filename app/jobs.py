"""Work that takes longer than a second: it runs beside the page, one item at a time, and can be stopped."""

import atexit
import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from app.pause import drawing

T = TypeVar("T")
KEPT = 500  # owners whose last finished job is remembered
LASTING = 100  # the same of work that is known by what it does, which stays when people leave

log = logging.getLogger(__name__)


class Job(Generic[T]):
    """One run of a generator, which gives items, or None for work that has none to show. Properties may be read from any thread."""

    def __init__(self, owner: str, key: str, make: Callable[[], Iterable[T | None]], keep: int | None = None):
        self.owner, self.key, self.keep = owner, key, keep
        self.asked_for = time.monotonic()  # when somebody last looked at it
        self._count = 0
        self._make = make
        self._iterator: Iterator[T | None] | None = None
        self._items: list[T] = []
        self._lock = threading.Lock()
        self._ended = False
        self._error: str | None = None
        self._started: float | None = None
        self._finished: float | None = None
        self._answered = threading.Event()
        self._over = threading.Event()

    @property
    def items(self) -> list[T]:
        """What has been done so far."""
        with self._lock:
            return list(self._items)

    @property
    def count(self) -> int:
        """How many items have been done."""
        return self._count

    @property
    def latest(self) -> T | None:
        """The newest item."""
        with self._lock:
            return self._items[-1] if self._items else None

    @property
    def running(self) -> bool:
        """Waiting for its turn or at work."""
        return not self._ended

    @property
    def done(self) -> bool:
        """Nothing more will come: finished, stopped or failed."""
        return self._ended

    @property
    def error(self) -> str | None:
        """Why it failed, in a sentence."""
        return self._error

    @property
    def started(self) -> float | None:
        """When the worker took it up (time.monotonic), or None while it waits."""
        return self._started

    @property
    def seconds(self) -> float:
        """How long it has been at work, or was."""
        if self._started is None:
            return 0.0
        return (self._finished or time.monotonic()) - self._started

    def stop(self) -> None:
        """End it now and keep the items it has; the one being computed is dropped."""
        self._end()

    def wait(self, seconds: float) -> bool:
        """Wait until there is a first item or an end, at most `seconds`; whether there is."""
        return self._answered.wait(seconds)

    def ended(self, seconds: float) -> bool:
        """Wait until nothing more will come, at most `seconds`; whether that is so. A page that waits for it does not keep it waiting."""
        drawing.end()
        return self._over.wait(seconds)

    def _end(self, error: str | None = None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended, self._error, self._finished = True, error, time.monotonic()
        self._answered.set()
        self._over.set()

    def _advance(self) -> None:
        """Compute one item, in the worker's thread."""
        try:
            if self._iterator is None:
                self._started = time.monotonic()
                self._iterator = iter(self._make())
            item = next(self._iterator)
        except StopIteration:
            self._end()
        except ValueError as refusal:
            log.warning("Job %s was refused.", self.key, exc_info=True)
            self._end(str(refusal))
        except Exception as failure:
            log.exception("Job %s failed.", self.key)
            name = type(failure).__name__
            self._end(f"This stopped because of an unexpected problem ({name}); the server's log has the details.")
        else:
            if item is None:  # a piece of work with nothing to show yet
                return
            with self._lock:
                if not self._ended:
                    self._items.append(item)
                    self._count += 1
                    if self.keep is not None:
                        del self._items[: -self.keep]
            self._answered.set()

    def _release(self) -> None:
        """Let go of the generator, so that what it holds (models, batches) can be freed."""
        iterator, self._iterator, self._make = self._iterator, None, tuple
        try:
            if hasattr(iterator, "close"):
                iterator.close()
        except Exception:
            log.exception("Job %s could not be closed.", self.key)


class Pool:
    """One worker thread, shared by everyone: the job with the fewest items goes first, one item at a time.

    keep: how many of a job's newest items are held, all where None. patience: seconds after which a job that nobody looks at ends.
    kept: owners whose last finished job is remembered. prompt: whether first items are made while a page is drawn, which shows them.
    """

    def __init__(self, name: str, keep: int | None = None, patience: float | None = None, kept: int = KEPT, prompt: bool = False):
        self.name, self.keep, self.patience, self.kept, self.prompt = name, keep, patience, kept, prompt
        self._jobs: dict[str, Job] = {}  # owner → newest job
        self._waiting: list[Job] = []  # least recently advanced first
        self._wake = threading.Condition()
        drawing.told_to(self._wake)
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, owner: str, key: str, make: Callable[[], Iterable[T | None]], again: bool = False) -> Job[T]:
        """Start `make()` for `owner`, or give the job that has this `key` already, running or ended.

        Another key stops the owner's earlier job. `again` starts afresh whatever there was.
        """
        with self._wake:
            job = self._jobs.get(owner)
            if job and job.key == key and not again:
                job.asked_for = time.monotonic()
                return job
            if job:
                job.stop()
            job = Job(owner, key, make, self.keep)
            self._jobs.pop(owner, None)
            self._jobs[owner] = job
            self._waiting.append(job)
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"jobs-{self.name}", daemon=True)
                self._thread.start()
            self._wake.notify()
        return job

    def find(self, owner: str) -> Job | None:
        """The owner's newest job."""
        with self._wake:
            job = self._jobs.get(owner)
        if job:
            job.asked_for = time.monotonic()
        return job

    def stop(self, owner: str) -> None:
        """End the owner's job and keep what it did."""
        with self._wake:
            job = self._jobs.get(owner)
        if job:
            job.stop()

    def drop(self, owner: str) -> None:
        """Stop the owner's job and forget it, for example when a session ends."""
        with self._wake:
            job = self._jobs.pop(owner, None)
        if job:
            job.stop()

    def close(self) -> None:
        """Stop every job and let the worker end its item: a thread that is still inside torch when Python ends aborts the process."""
        with self._wake:
            self._closing = True
            for job in self._jobs.values():
                job.stop()
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(10)

    def drop_all(self, beginning: str) -> None:
        """Drop the jobs of every owner whose name begins so."""
        with self._wake:
            owners = [owner for owner in self._jobs if owner.startswith(beginning)]
        for owner in owners:
            self.drop(owner)

    def _forget(self) -> None:
        finished = [owner for owner, job in self._jobs.items() if job.done]
        for owner in finished[: max(0, len(self._jobs) - self.kept)]:
            del self._jobs[owner]

    def _ready(self) -> list[Job]:
        """What may be worked on now."""
        return [job for job in self._waiting if not job.running or (self.prompt and not job.count)] if drawing.left else self._waiting

    def _work(self) -> None:
        import torch

        torch.set_num_threads(1)
        _give_way()
        while True:
            with self._wake:
                while not (ready := self._ready()) and not self._closing:
                    self._wake.wait(drawing.left if self._waiting else None)
                if self._closing:
                    return
                job = min(ready, key=lambda job: (job.running, job.count))
                self._waiting.remove(job)
            if self.patience is not None and time.monotonic() - job.asked_for > self.patience:
                job.stop()
            if job.running:
                job._advance()
            if job.running:
                with self._wake:
                    self._waiting.append(job)
            else:
                job._release()
            del job  # an idle worker holds nothing


quick = Pool("quick", prompt=True)
long = Pool("long")
lasting = Pool("lasting", keep=1, patience=900, kept=LASTING)  # jobs are known by what they do, so that whoever comes back finds them
for pool in (quick, long, lasting):
    atexit.register(pool.close)


def _give_way() -> None:
    """Pages, and a browser on the same machine, go before this thread's work: a dial is answered a tenth sooner with it."""
    if sys.platform == "linux":  # elsewhere a priority belongs to the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def known_as(*what: object) -> str:
    """What lasting work is called by what it does, in full: equal wherever all of that is written alike.

    >>> known_as("race", 30) == known_as("race", 30) != known_as("race", 60)
    True
    """
    return hashlib.sha256(repr(what).encode()).hexdigest()


def leave(owner: str) -> None:
    """Stop and forget all jobs whose owner's name begins so: the person has gone."""
    for pool in (quick, long):
        pool.drop_all(f"{owner}.")


def eta(done: float, total: float, seconds: float) -> float | None:
    """Seconds still to go if the rest goes as fast as the first `done` of `total` did, or None before the first.

    >>> eta(2, 6, 10.0)
    20.0
    >>> eta(0, 6, 1.0) is None
    True
    """
    if done <= 0:
        return None
    return max(0, total - done) * seconds / done
