"""An attention launch reduced to what its time depends on, and the evaluation for any parameters.

A `Lowered` holds one launch, or as arrays many: the calibration lowers each timing once and then
evaluates all of them for thousands of parameter sets; a sweep does the same with a million shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.makespan import Makespan
from einfall.sim.gpu.memory import Traffic
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.schedule import Parameters
from einfall.sim.gpu.steps import L2_TO_SM_BYTES, Step
from einfall.sim.numeric import Number, is_array, maximum, minimum

SWITCHING = 0.49
"""Energy of a FLOP in attention over that in a product of normal numbers, which machines state.

Half of attention's products have a factor between 0 and 1, most of them small. Fitted: H100 SXM,
and H200, energies and clocks of 64 sustained launches."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """Blocks of steps on the SMs, and the bytes of the launch.

    step: Cycles at the full rate of every pipe.
    resident: Blocks that share an SM; `steps` are those of all blocks.
    side_bytes: The new tokens' Q, K and V, read and written once.
    low_bits: 1 for 8-bit products.
    combines: How often partial results of split keys are added up.
    casts: 1 where queries of 16 bits meet a cache of 8.
    listed: 1 where key tiles come from a mask.
    missed: Cycles in which HBM gives an SM its part of a KiB, of what a decode launch misses in L2.
    overhead: A block's prologue and epilogue over the unit of `block_cycles`.
    streams: Groups of four warps in a block.
    flops: FLOP of a step on the tensor cores.
    through_registers: 1 where warps load the operands of their products (mma.sync).
    """

    step: Step
    span: Makespan
    traffic: Traffic
    resident: Number
    steps: Number
    side_bytes: Number
    low_bits: Number
    combines: Number
    casts: Number = 0
    listed: Number = 0
    missed: Number = 0
    overhead: Number = 1
    streams: Number = 2
    through_registers: Number = 0
    flops: Number = 0


def with_parameters(launch: Lowered, fit: Parameters) -> Step:
    """The step of a launch at the shares that a kernel reaches."""
    step = launch.step
    share = fit.tensor_share + launch.low_bits * (fit.fp8_share - fit.tensor_share)
    fetched = fit.fetch_cycles + launch.missed * fit.miss_share
    waits = launch.listed * fit.list_cycles + fetched * step.load * L2_TO_SM_BYTES / 1024
    return Step(
        tensor=step.tensor / share,
        shared=step.shared,
        mufu=step.mufu * fit.softmax_factor,
        fma=step.fma * fit.softmax_factor,
        mask=step.mask * fit.mask_ops,
        wait=fit.step_cycles + waits,
        load=step.load / fit.load_share,
        serving=step.serving,
    )


def hidden(overlap: float, streams: Number) -> Number:
    """Share of the shorter side that `streams` groups of four warps hide; two hide `overlap`.

        hidden / (1 - hidden) = (streams - 1) · overlap / (1 - overlap)

    A group alone does one after the other, and each more adds the same odds.

    >>> hidden(0.5, 1), hidden(0.5, 2), hidden(0.5, 4)
    (0.0, 0.5, 0.75)
    """
    others = overlap * maximum(streams - 1, 0.0)
    return others / maximum(1 - overlap + others, 1e-9)


def cycles(launch: Lowered, fit: Parameters) -> Number:
    """Cycles until the last SM is done.

    mean steps · step(c blocks) + (last - mean) · step(alone) + masked · masking + blocks · overhead

    While all places are taken each step waits for its neighbours on the SM; where the last place
    goes on alone it does not.
    """
    one = with_parameters(launch, fit)
    together = hidden(fit.overlap, launch.streams * launch.resident)
    apart = hidden(fit.overlap, launch.streams)
    full, alone = one.cycles(together, launch.resident), one.cycles(apart)
    mask = one.cycles(together, launch.resident, masked=True) - full
    span = launch.span
    mean = minimum(span.mean_steps, span.steps)
    stepping = mean * full + (span.steps - mean) * alone
    return stepping + span.masked * mask + span.blocks * launch.overhead * fit.block_cycles


def work(launch: Lowered, gpu: Gpu, fit: Parameters, dtype: str) -> Work:
    """Cycles, memory time and fixed times of a launch, with its actions for the energy."""
    side = fit.side_passes * launch.side_bytes / gpu.hbm.achievable_bytes_per_s
    fixed = fit.launch_s + side + launch.combines * fit.combine_s + launch.casts * fit.cast_s
    return Work(
        actions=actions(launch, gpu, fit, dtype),
        cycles=cycles(launch, fit),
        memory_s=launch.traffic.time_s(gpu, fit.memory_share),
        fixed_s=maximum(fixed, fit.host_s),
        exposed=fit.exposed,
    )


def actions(launch: Lowered, gpu: Gpu, fit: Parameters, dtype: str) -> dict[str, Number]:
    """Counts for the energy; every step does whole tiles.

    Operands that the tensor cores read from shared memory themselves are in the energy of a FLOP.
    """
    steps, step = launch.steps, launch.step
    side = fit.side_passes * launch.side_bytes
    return {
        f"mma.{dtype}": SWITCHING * steps * launch.flops,
        "exp": steps * step.mufu * gpu.sm.mufu_per_clock,
        "fma": steps * step.fma * gpu.sm.fma_lanes,
        "shared": launch.through_registers * steps * step.shared * gpu.sm.shared_bytes_per_clock,
        "l2": launch.traffic.l2_bytes + side,
        "hbm": launch.traffic.hbm_bytes + side,
    }


def busy(launch: Lowered, fit: Parameters) -> Mapping[str, Number]:
    """Cycles of each pipe of the SM that is done last."""
    one = with_parameters(launch, fit)
    sharing = launch.span.steps * launch.resident
    return {name: value * sharing for name, value in one.pipes().items()}


def stacked(launches: Sequence[Lowered]) -> Lowered:
    """Many launches as one whose numbers are arrays."""
    return _stacked(launches)


def _stacked(values: Sequence[Any]) -> Any:  # noqa: ANN401  a number or one of our dataclasses
    first = values[0]
    if not hasattr(first, "__dataclass_fields__"):
        return np.asarray(values, dtype=float)
    parts = {f.name: _stacked([getattr(v, f.name) for v in values]) for f in fields(first)}
    return type(first)(**parts)


def taken(launch: Any, which: Any) -> Any:  # noqa: ANN401
    """Some of many launches, by an index or a mask."""
    if not hasattr(launch, "__dataclass_fields__"):
        return launch[which] if is_array(launch) else launch
    return type(launch)(**{f.name: taken(getattr(launch, f.name), which) for f in fields(launch)})
