"""Independent tasks through joblib: in this process, in several, on a dask cluster, or on any backend that joblib knows by name.

Results come as they are found. A task whose worker died is done again. Every task is a function at the top of a module and plain
data, so that it can be sent; a worker needs this package, in the same version. What is sent is pickled, as joblib does it: name
only a cluster that you trust as you trust this process.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import cloudpickle
import numpy as np
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from numpy.typing import NDArray

R = TypeVar("R")
TRIES = 3  # times in a row that workers may be lost without a single task done in between
WAIT = 0.2  # seconds after which there is nothing new to say
PATIENCE = 10  # seconds for a cluster to answer, and to show a worker
PROCESSES = 256


class Where(NamedTuple):
    """What does the work."""

    backend: str = "here"  # "here", "processes", "dask", or another that joblib knows by name
    workers: int = 1  # of "processes"
    address: str = ""  # of dask's scheduler, "tcp://10.0.0.5:8786"

    def __str__(self) -> str:
        match self.backend:
            case "here":
                return "this process"
            case "processes":
                return f"{self.workers} processes here"
            case _:
                return f"{self.backend} at {self.address}" if self.address else self.backend


HERE = Where()


def where(text: str) -> Where:
    """What a few words name: "here", "processes:4", "dask:tcp://10.0.0.5:8786", or a backend of joblib such as "ray".

    Raises ValueError saying what was given and what is allowed.
    """
    backend, _, rest = text.strip().partition(":")
    if backend in ("", "here"):
        return HERE
    if backend == "processes":
        if not rest.isdecimal() or not 1 <= int(rest) <= PROCESSES:
            raise ValueError(f"“{text}” does not say how many processes; write for example processes:4 (at most {PROCESSES})")
        return Where(backend, int(rest))
    if backend == "dask":
        if "://" not in rest:
            raise ValueError(f"“{text}” does not say where dask's scheduler is; write for example dask:tcp://10.0.0.5:8786")
        return Where(backend, address=rest)
    if not backend.isidentifier() or rest:
        raise ValueError(f"“{text}” names no place to work; there are here, processes:4, dask:tcp://10.0.0.5:8786, or a backend of joblib "
                         "such as ray")
    return Where(backend)


def spread(task: Callable[[Any, Any], R], common: Any, items: Sequence[Any], on: Where = HERE) -> Iterator[tuple[int, R] | None]:
    """(number of the item, task(common, item)) as they are found, and None for each fifth of a second without.

    common: what all tasks share, sent to each worker once. Given up, it hands out no more tasks. Raises what a
    task raises, and ValueError where the cluster is missing, cannot be reached, or loses its workers again and again.
    """
    if on.backend == "here":
        yield from ((number, _alone(task, common, item)) for number, item in enumerate(items))
        return
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()
    given_up = threading.Event()
    threading.Thread(target=_feed, args=(found, given_up, task, common, items, on), name="cluster", daemon=True).start()
    try:
        while True:
            try:
                said = found.get(timeout=WAIT)
            except queue.Empty:
                yield None
                continue
            if said is None:
                return
            if isinstance(said, BaseException):
                raise said
            yield said
    finally:
        given_up.set()


def _feed(found: Any, given_up: threading.Event, task: Any, common: Any, items: Sequence[Any], on: Where) -> None:
    """Put results into a queue until all are there, then None; or an exception."""
    left, tries = dict(enumerate(items)), 0
    client = None
    try:
        client, options = _reached(on)
        sent = np.frombuffer(cloudpickle.dumps(common), np.uint8)
        while left and not given_up.is_set():
            before = len(left)
            calls = (delayed(_numbered)(task, number, sent, item) for number, item in tuple(left.items()) if not given_up.is_set())
            try:
                with parallel_config(**options):  # of this thread alone
                    for number, result in _asked(calls, on):
                        del left[number]
                        found.put((number, result))
            except _lost() as error:
                tries = 1 if len(left) < before else tries + 1
                if tries == TRIES:
                    raise ValueError(f"workers of {on} were lost {TRIES} times in a row ({type(error).__name__}), so {len(left)} of "
                                     f"{len(items)} tasks are not done; they may need more memory than there is") from error
        found.put(None)
    except BaseException as error:
        found.put(error)
    finally:
        if client is not None:
            client.close()


def _asked(calls: Iterator[Any], on: Where) -> Iterator[tuple[int, Any]]:
    """Results as they are found; of a backend that gives them only together, such as ray's, a piece for all of its workers at a time."""
    if on.backend in ("processes", "dask"):
        yield from Parallel(return_as="generator_unordered", batch_size=1)(calls)
        return
    while piece := tuple(islice(calls, effective_n_jobs(-1))):
        yield from Parallel(n_jobs=-1, batch_size=1)(piece)


def _reached(on: Where) -> tuple[Any, dict[str, Any]]:
    """A connection to be closed, where there is one, and how joblib is to be asked."""
    if on.backend == "processes":
        return None, {"backend": "loky", "n_jobs": on.workers}
    if on.backend != "dask":
        try:
            if on.backend == "ray":
                import_module("ray.util.joblib").register_ray()
            with parallel_config(on.backend):
                pass
        except (ValueError, ImportError) as error:
            raise ValueError(f"joblib cannot work on “{on.backend}” here ({error}); install what it needs, or name another") from error
        return None, {"backend": on.backend, "n_jobs": -1}
    if find_spec("distributed") is None:
        raise ValueError(f"to work on {on}, dask is needed beside this program; install it: pip install distributed")
    from distributed import Client

    try:
        client = Client(on.address, timeout=PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ValueError(f"no dask scheduler answers at {on.address} ({type(error).__name__}); start one with `dask scheduler`, "
                         "or see that the address is right and can be reached from here") from error
    return client, {"backend": "dask", "n_jobs": -1, "client": client, "wait_for_workers_timeout": PATIENCE}


def _lost() -> tuple[type[BaseException], ...]:
    """What is raised when a worker has died, not by what it did."""
    known: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError, ConnectionError, TimeoutError)
    if find_spec("distributed") is not None:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        known = (*known, KilledWorker, CommClosedError)
    return known


def _numbered(task: Callable[[Any, Any], R], number: int, sent: NDArray[np.uint8], item: Any) -> tuple[int, R]:
    return number, _alone(task, cloudpickle.loads(sent.tobytes()), item)


def _alone(task: Callable[[Any, Any], R], common: Any, item: Any) -> R:
    """A task in one thread of torch, so that its sums are rounded the same way everywhere. One that needs no torch need not wait for it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return task(common, item)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return task(common, item)
    finally:
        torch.set_num_threads(before)
