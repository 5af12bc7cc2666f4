"""Who works out the chunks of a sweep: this process, a pool of others, or a Dask cluster."""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
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

_TRIES = 3  # pools that may break one after the other without a chunk between


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
    return _in_pools(plan, asks, form, min(workers, len(asks)))


# A pool of processes ------------------------------------------------------------------------------

_plan: Plan | None = None


def _begin(plan: Plan) -> None:
    """Take the plan, once a process; and end with the process that started this one."""
    global _plan
    _plan = plan
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _work(start: int, stop: int, form: str | None) -> bytes:
    assert _plan is not None, "the pool has begun"
    return work_out(_plan, start, stop, form)


def _in_pools(plan: Plan, asks: Sequence[Ask], form: str | None, workers: int) -> Done:
    """By a pool; where a process of it is killed, what is missing by another pool."""
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    left = {n: (n, start, stop) for n, start, stop in asks}
    broken = 0
    while left:
        pool = ProcessPoolExecutor(workers, context, _begin, (plan,))
        try:
            with pool:
                for n, data in _windowed(pool, _work, list(left.values()), form, workers):
                    del left[n]
                    broken = 0
                    yield n, data
        except BrokenProcessPool:
            broken += 1
            if broken >= _TRIES:
                raise


def _windowed(
    pool: Executor, work: Callable[..., bytes], asks: Sequence[Ask], form: str | None, workers: int
) -> Done:
    """Chunks as they are done, two for each worker on their way, so that memory stays bounded."""
    ahead = iter(asks)
    running: dict[Future[bytes], int] = {}
    try:
        while True:
            for n, start, stop in ahead:
                running[pool.submit(work, start, stop, form)] = n
                if len(running) >= 2 * workers:
                    break
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()


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
