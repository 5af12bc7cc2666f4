"""Traffic of a kernel at HBM and L2: what passes once, what is read again, what stays in L2."""

from __future__ import annotations

from dataclasses import dataclass

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.problem import Problem
from einfall.sim.numeric import Number, maximum, minimum

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


def resident(working_set_bytes: Number, l2_bytes: float) -> Number:
    """Share of a working set that a replay of the same launch finds in L2.

    All of it while it fits; a stream a little longer evicts itself before it comes round.

    Source: published decode timings of L40S (96 MB) and RTX PRO 6000 (128 MB): 67 MB of keys and
    values run above HBM's rate, 134 MB on the larger one too, twice the L2 on neither.

    >>> resident(40e6, 50e6), resident(52.5e6, 50e6), resident(200e6, 50e6)
    (1.0, 0.5, 0.0)
    """
    fits, gone = 0.9 * l2_bytes, 1.2 * l2_bytes
    return minimum(1.0, maximum(0.0, (gone - working_set_bytes) / (gone - fits)))


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
