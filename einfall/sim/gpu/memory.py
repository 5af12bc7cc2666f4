"""Traffic of a kernel at HBM and L2: what passes once, what is read again, what stays in L2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.problem import Problem
from einfall.sim.numeric import Number, maximum, minimum

DIRTY = 0.7  # fitted: share of L2 that holds written lines after a flush, see written_back
EVICTION = 1.5  # fitted: bytes read over L2's capacity by which all but 1/e of them are evicted
L2_USABLE = 0.8  # assumption: share of L2 that a working set fills before it evicts itself


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one launch through HBM and out of L2."""

    hbm_bytes: Number
    l2_bytes: Number

    def time_s(self, gpu: Gpu, share: float) -> Number:
        """Time that the slower of the two memories needs [s].

        >>> from einfall.sim.gpu.testing import toy
        >>> Traffic(hbm_bytes=1e9, l2_bytes=1e9).time_s(toy(), share=1.0)
        0.001
        """
        hbm = self.hbm_bytes / (gpu.hbm.achievable_bytes_per_s * share)
        return maximum(hbm, self.l2_bytes / gpu.l2.bandwidth_bytes_per_s)


def resident(working_set_bytes: Number, gpu: Gpu) -> Number:
    """Share of a working set that a replay of the same launch finds in L2.

    All of it while it fits; a stream a little longer evicts itself before it comes round. Where L2
    is of two halves each keeps copies of some lines of the other, and less fits.

    Source: published decode timings. L40S (96 MB) and RTX PRO 6000 (128 MB), of one part: 67 MB of
    keys and values run above HBM's rate, 134 MB on the larger one too, twice the L2 on neither.
    B200 (133 MB in two halves): 67 MB run above HBM's rate, 134 MB do not.

    >>> from einfall.sim.gpu.testing import toy
    >>> resident(0.8e6, toy()), resident(1.05e6, toy()), resident(4e6, toy())
    (1.0, 0.5, 0.0)
    """
    low, high = (0.9, 1.2) if gpu.l2.partitions == 1 else (0.7, 1.0)
    fits, gone = low * gpu.l2.capacity_bytes, high * gpu.l2.capacity_bytes
    return minimum(1.0, maximum(0.0, (gone - working_set_bytes) / (gone - fits)))


def written_back(read_bytes: Number, gpu: Gpu) -> Number:
    """Bytes that go back to HBM while a cold launch reads: what the flush before it left in L2.

    A flush writes, and its lines leave L2 as those of the launch come in, at random.

    Source: fitted to decode timings after a flush on H100 SXM: the time beyond bytes over bandwidth
    grows from 11 us at 2 MB to 23 us from 300 MB on.

    >>> from einfall.sim.gpu.testing import toy
    >>> round(written_back(1e9, toy())), round(written_back(1e6, toy()))
    (700000, 340608)
    """
    held = gpu.l2.capacity_bytes
    gone: Number = -np.expm1(-read_bytes / (EVICTION * held))
    return DIRTY * held * gone


def streamed(problem: Problem, gpu: Gpu, issued_bytes: Number, concurrent: Number) -> Traffic:
    """Traffic of a launch whose blocks read `issued_bytes` of keys and values in all.

    Keys and values of the heads at work at a time stay in L2 if they fit; where they do not, a
    share of what is issued beyond the first read comes from HBM again.

    Args:
        problem: Shape and dtypes.
        gpu: L2 and HBM.
        issued_bytes: K and V that all blocks together read.
        concurrent: Heads of keys and values that are at work at a time.
    """
    once = problem.kv_bytes + problem.qo_bytes
    working = problem.kv_bytes / maximum(problem.batch * problem.kv_heads, 1) * concurrent
    missed = 1.0 - minimum(1.0, L2_USABLE * gpu.l2.capacity_bytes / maximum(working, 1.0))
    again = maximum(issued_bytes - problem.kv_bytes, 0.0) * missed
    return Traffic(once + again, issued_bytes + problem.qo_bytes)
