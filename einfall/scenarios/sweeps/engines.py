"""Who works out the chunks of a sweep: this process, others beside it, or a Dask cluster."""

from __future__ import annotations

import copyreg
import multiprocessing
import pickle
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import connection
from types import MappingProxyType
from typing import Any

from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.sweeps.chunks import work_out
from einfall.scenarios.sweeps.plan import Plan, code_digest

Ask = tuple[int, int, int]  # number of a chunk, its first block, and that after its last
Done = Iterator[tuple[int, bytes]]

LOCAL = "local"
"""The address that starts a cluster on this machine."""

_TRIES = 3  # deaths for each worker without a chunk between
_DYING = "the workers of the sweep are killed again and again, perhaps for memory: take fewer"


def _proxy(data: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(data)


def _reduced(proxy: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    return _proxy, (dict(proxy),)


# Cascades hold their mappings in proxies, which do not go to another process by themselves.
copyreg.pickle(MappingProxyType, _reduced)


def worked_out(
    plan: Plan, asks: Sequence[Ask], form: str | None, *, workers: int, scheduler: str | None
) -> Done:
    """Every chunk, in any order.

    Raises:
        SpecError: No Dask for a scheduler.
    """
    if scheduler is not None:
        return _on_dask(plan, asks, form, scheduler, workers)
    if workers <= 1 or len(asks) <= 1:
        return ((n, work_out(plan, start, stop, form)) for n, start, stop in asks)
    return _by_workers(plan, asks, form, min(workers, len(asks)))


# Processes ----------------------------------------------------------------------------------------


class _Worker:
    """A process that works out one chunk after the other, and ends with the one that asks.

    Each has a pipe of its own and shares nothing, so that a worker that is killed takes no more
    with it than its chunk.
    """

    def __init__(self, context: Any, plan: Plan, form: str | None) -> None:  # noqa: ANN401
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, plan, form), daemon=True)
        self.process.start()
        theirs.close()
        self.ask: Ask | None = None

    def give(self, ask: Ask | None) -> None:
        """Ask for a chunk; a worker that is dead is found out when its answer is read."""
        self.ask = ask
        if ask is not None:
            with suppress(OSError):
                self.pipe.send(ask)

    def answer(self) -> bytes | None:
        """The chunk that was asked for; None if the worker is dead."""
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _serve(pipe: Any, plan: Plan, form: str | None) -> None:  # noqa: ANN401
    """What a worker does until nobody listens."""
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            _, start, stop = pipe.recv()
            try:
                data = b"+" + work_out(plan, start, stop, form)
            except Exception as error:
                data = b"-" + pickle.dumps(error)
            pipe.send_bytes(data)


def _by_workers(plan: Plan, asks: Sequence[Ask], form: str | None, workers: int) -> Done:
    """By processes; where one is killed, another one takes its place and its chunk."""
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    waiting, crew, deaths = deque(asks), list[_Worker](), 0
    try:
        while waiting or any(worker.ask for worker in crew):
            while waiting and len(crew) < workers:
                crew.append(_Worker(context, plan, form))
                crew[-1].give(waiting.popleft())
            ready = connection.wait([worker.pipe for worker in crew])
            for worker in [w for w in crew if w.pipe in ready]:
                data, ask = worker.answer(), worker.ask
                if data is None:
                    crew.remove(worker)
                    worker.end()
                    waiting.extendleft([ask] if ask else [])
                    deaths += 1
                    if deaths >= _TRIES * workers:
                        raise RuntimeError(_DYING)
                    continue
                worker.give(waiting.popleft() if waiting else None)
                deaths = 0
                if data[:1] == b"-":
                    raise pickle.loads(data[1:])
                if ask:
                    yield ask[0], data[1:]
    finally:
        for worker in crew:
            worker.end()


# Dask ---------------------------------------------------------------------------------------------


def check_scheduler() -> None:
    """Refuse a scheduler where there is no Dask.

    Raises:
        SpecError: With a way out.
    """
    try:
        import_module("distributed")
    except ImportError:
        way_out = "pip install 'einfall[dask]', or take --workers"
        raise SpecError([f"--scheduler: want dask.distributed, found none; {way_out}"]) from None


def _on_dask(
    plan: Plan, asks: Sequence[Ask], form: str | None, scheduler: str, workers: int
) -> Done:
    dask: Any = import_module("distributed")
    with _connected(scheduler, workers) as client:
        shared = client.scatter(plan, broadcast=True, hash=False)
        digest = code_digest()
        cores = max(1, sum(client.nthreads().values()))
        left = list(asks)[::-1]
        running: dict[Any, int] = {}
        futures = dask.as_completed()
        while left or running:
            while left and len(running) < 2 * cores:
                n, start, stop = left.pop()
                future = client.submit(_on_cluster, shared, digest, start, stop, form, pure=False)
                running[future] = n
                futures.add(future)
            future = next(futures)
            yield running.pop(future), future.result()


def _on_cluster(plan: Plan, digest: str, start: int, stop: int, form: str | None) -> bytes:
    """A chunk on a worker that has the same code.

    Raises:
        SpecError: It has not.
    """
    if code_digest() != digest:
        found = "the workers' differs; install the same version there"
        raise SpecError([f"--scheduler: want the same einfall on all machines, found {found}"])
    return work_out(plan, start, stop, form)


@contextmanager
def _connected(scheduler: str, workers: int) -> Generator[Any]:
    dask: Any = import_module("distributed")
    if scheduler == LOCAL:
        with (
            dask.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            dask.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = dask.Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        found = f"{scheduler!r}: {error}"
        raise SpecError([f"--scheduler: want the address of a scheduler, found {found}"]) from None
    with client:
        yield client
