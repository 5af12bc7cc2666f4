"""Times the kernels of a list of cases on the GPU at hand and records them.

    python -m einfall.validate.measure CASES.csv --record OUT.csv --commit ID
    python -m einfall.validate.measure CASES.csv --energy OUT.csv --commit ID

It needs torch, triton and numpy. Each case is tuned over its few configurations, its output is
compared with the definition in float64, and only then it is timed:

- a *recording*: single launches between CUDA events with a cold L2, in groups of a few milliseconds
  with pauses between, so that the card does not fall into its power limit; median, 20th and 80th
  percentile;
- *energy*: launches back to back for some seconds, energy by NVML's counter, the clock as the mean
  of the second half; sets of buffers are rotated so that they exceed twice the L2.

A JSON file beside the CSV says on what, with which versions and how, and which cases failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from einfall.validate.measuring import jobs, timing, work
from einfall.validate.measuring.cases import KERNELS, Case, CaseError, read_cases
from einfall.validate.measuring.check import Deviation, deviation
from einfall.validate.measuring.nvml import Gpu, NvmlError, Sample, open_gpu
from einfall.validate.measuring.recording import (
    ENERGY_COLUMNS,
    TIMING_COLUMNS,
    Recording,
    key_of,
)

TRIES = 4
"""Launches by which two configurations are compared."""

SUSTAINED_S, COOL_S = 4.0, 3.5
"""Length of an energy measurement unless another is asked for, and of the pause before it, so that
not the temperature but the power limit holds the clock [s]."""

MOST_SETS = 8
"""Sets of buffers that a sustained loop rotates over at most."""


class MeasureError(RuntimeError):
    """A case that could not be measured: no configuration runs, or the result is wrong."""


@dataclass
class Bench:
    """What all cases of one run share."""

    timer: timing.Timer
    gpu: Gpu
    name: str
    l2_bytes: int
    failures: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tuned:
    """The fastest configuration of a case, the time of each that was tried, and the inputs."""

    variant: jobs.Variant
    estimate_s: float
    tried: str
    inputs: Mapping[str, Any]


def open_bench() -> Bench:
    """The GPU that torch uses, its NVML readings, and a timer.

    Raises:
        NvmlError: There is no NVIDIA GPU, or its readings are not to be had.
    """
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    if not torch.cuda.is_available():
        raise NvmlError(f"wanted an NVIDIA GPU, found none by torch {torch.__version__}")
    device = torch.cuda.get_device_properties(0)
    uuid = str(device.uuid)
    gpu = open_gpu(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
    return Bench(timing.Timer(), gpu, device.name, device.L2_cache_size)


def tune(case: Case, bench: Bench) -> Tuned:
    """Try each configuration with a few launches.

    Raises:
        MeasureError: None of them runs.
    """
    inputs = jobs.inputs_of(case, "cuda", seed=0)
    found: list[tuple[float, jobs.Variant]] = []
    tried, errors = [], []
    for variant in jobs.variants_of(case):
        try:
            estimate_s = _estimate_s(variant, inputs, bench.timer)
        except Exception as error:
            tried.append(f"{variant.name}:failed")
            errors.append(f"{variant.name}: {type(error).__name__}: {str(error)[:300]}")
            continue
        found.append((estimate_s, variant))
        tried.append(f"{variant.name}:{1e3 * estimate_s:.6f}ms")
    if not found:
        raise MeasureError(" | ".join(errors))
    estimate_s, variant = min(found, key=lambda pair: pair[0])
    return Tuned(variant, estimate_s, "|".join(tried) if len(tried) > 1 else "", inputs)


def _estimate_s(variant: jobs.Variant, inputs: Mapping[str, Any], timer: timing.Timer) -> float:
    tensors = variant.prepare(inputs)
    timer.warm_up(lambda: variant.launch(tensors))
    return min(timer.times_s(lambda: variant.launch(tensors), TRIES))


def checked(case: Case, tuned: Tuned) -> tuple[dict[str, Any], Deviation | None]:
    """Launch once into poisoned outputs and compare.

    Returns:
        The tensors, ready to be launched again, and the deviation where there is a reference.

    Raises:
        MeasureError: The output is not what the case defines.
    """
    tensors = tuned.variant.prepare(tuned.inputs)
    tuned.variant.launch(tensors)
    if tuned.variant.result is None:
        return tensors, None
    off = deviation(case, tuned.inputs, tuned.variant.result(tensors))
    if not off.ok(case.dtype):
        raise MeasureError(
            f"wrong result with {tuned.variant.name or 'its only configuration'}: "
            f"relative error {off.relative:.3g}, largest {off.largest:.3g}"
        )
    return tensors, off


def timed(case: Case, bench: Bench) -> dict[str, Any]:
    """One record of a recording, see `TIMING_COLUMNS`."""
    tuned = tune(case, bench)
    tensors, off = checked(case, tuned)
    launch = tuned.variant.launch
    bench.timer.warm_up(lambda: launch(tensors))
    burst = bench.timer.burst(lambda: launch(tensors), bench.gpu, tuned.estimate_s)
    spread, samples = burst.spread, burst.samples
    flops = work.flops(case)
    return {
        **{"gpu": bench.name, **case.record()},
        "median_ms": f"{1e3 * spread.median_s:.6f}",
        "p20_ms": f"{1e3 * spread.p20_s:.6f}",
        "p80_ms": f"{1e3 * spread.p80_s:.6f}",
        "tflops": f"{1e-12 * flops / spread.median_s:.2f}" if flops else "",
        "note": _note(case, tuned.variant, spread.median_s),
        **_errors(off),
        **_readings(samples),
        **{"tile": tuned.variant.name, "tried": tuned.tried, "repeats": burst.repeats},
    }


def _errors(off: Deviation | None) -> dict[str, str]:
    if off is None:
        return {}
    return {"max_abs_error": f"{off.largest:.4g}", "relative_error": f"{off.relative:.4g}"}


def _note(case: Case, variant: jobs.Variant, median_s: float) -> str:
    moved = work.moved_bytes(case)
    rate = f"GB/s={1e-9 * moved / median_s:.1f}" if moved else ""
    return ";".join(part for part in (rate, variant.note) if part)


def _readings(samples: Sequence[Sample]) -> dict[str, str]:
    """Mean clock and power, and all reasons for the clock, as hexadecimal bits."""
    n, reasons = len(samples), 0
    for sample in samples:
        reasons |= sample.reasons
    return {
        "sm_mhz": f"{1e-6 * sum(s.sm_hz for s in samples) / n:.0f}",
        "power_w": f"{sum(s.power_w for s in samples) / n:.1f}",
        "clock_reasons": f"{reasons:#x}",
    }


def sustained(case: Case, bench: Bench, seconds: float) -> dict[str, Any]:
    """One record of an energy measurement, see `ENERGY_COLUMNS`."""
    time.sleep(COOL_S)
    tuned = tune(case, bench)
    variant = tuned.variant
    sets = [checked(case, tuned)[0]]
    size = sum(t.numel() * t.element_size() for t in sets[0].values() if hasattr(t, "numel"))
    if size < 2 * bench.l2_bytes and case.kernel != "exp_l2":
        more = [jobs.inputs_of(case, "cuda", seed) for seed in range(1, MOST_SETS)]
        sets += [variant.prepare(x) for x in more[: 2 * bench.l2_bytes // size]]
    for tensors in sets:
        bench.timer.warm_up(lambda tensors=tensors: variant.launch(tensors))
    launches = [lambda tensors=tensors: variant.launch(tensors) for tensors in sets]
    loop = timing.sustained(launches, bench.gpu, seconds, tuned.estimate_s)
    record = case.record()
    del record["group"]
    return {
        **{"gpu": bench.name, **record},
        "ms": f"{1e3 * loop.launch_s:.6f}",
        "avg_w": f"{loop.power_w:.1f}",
        "mj_per_launch": f"{1e3 * loop.launch_j:.4f}",
        "sm_mhz": f"{1e-6 * loop.sm_hz:.0f}",
        "tile": variant.name,
        "clock_reasons": f"{loop.reasons:#x}",
        "seconds": f"{loop.seconds:.2f}",
        "launches": loop.launches,
        "temperature_c": f"{loop.temperature_c:.0f}",
    }


def compile_only(cases: Sequence[Case]) -> None:
    """Launch each configuration of each case once, so that a later run finds it compiled."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    for case in cases:
        if not case.kernel.startswith(("triton_", "flex_")):
            continue
        small = case if case.kernel.startswith("flex_") else replace(case, batch=1)
        inputs = jobs.inputs_of(small, "cuda", seed=0)
        for variant in jobs.variants_of(small):
            try:
                variant.launch(variant.prepare(inputs))
                torch.cuda.synchronize()
            except Exception as error:  # it is reported when it is timed
                _say(f"{small.kernel} {variant.name}: {str(error)[:200]}")
        torch.cuda.empty_cache()


def header(bench: Bench, commit: str, method: Mapping[str, Any]) -> dict[str, Any]:
    """What a recording was made on, with and how."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`
    import triton  # ty: ignore[import-not-found]  an extra, `gpu`

    device = torch.cuda.get_device_properties(0)
    return {
        "gpu": bench.name,
        "sm_count": device.multi_processor_count,
        "memory_bytes": device.total_memory,
        "l2_bytes": bench.l2_bytes,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "python": sys.version.split()[0],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "at_start": bench.gpu.settings(),
        "method": dict(method),
        "failures": bench.failures,
    }


METHOD = {
    "timing": "CUDA events around single launches; L2 flushed before each; groups with pauses",
    "flush_bytes": timing.FLUSH_BYTES,
    "busy_s": timing.BURST_S,
    "repeats": timing.REPEATS,
    "group_s": timing.GROUP_S,
    "pause_s": timing.PAUSE_S,
    "tries_a_configuration": TRIES,
    "inputs": "standard normal, a fixed seed",
    "flops": "4·B·H·attended pairs·E, counted exactly; linear attention 4·B·H·P·E²",
}


def run(cases: Sequence[Case], arguments: argparse.Namespace) -> int:
    """Measure the cases that the file does not have yet, until the time is up.

    Returns:
        0, or 1 if a case failed.
    """
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    begin = time.perf_counter()
    bench = open_bench()
    path, columns = arguments.record, TIMING_COLUMNS
    if arguments.energy:
        path, columns = arguments.energy, ENERGY_COLUMNS
    recording = Recording(path, columns)
    method = {
        **METHOD,
        **({"sustained_s": arguments.seconds, "cool_s": COOL_S} if arguments.energy else {}),
    }
    about = header(bench, arguments.commit, method)
    _write_json(path.with_suffix(".json"), about)
    if arguments.energy and not recording.done:
        watts = timing.idle_power_w(bench.gpu, 2.0)
        recording.add({"gpu": bench.name, "kernel": "idle", "avg_w": f"{watts:.1f}"})
    for number, case in enumerate(cases, 1):
        if time.perf_counter() - begin > arguments.budget:
            _say(f"time is up: {len(cases) - number + 1} cases not measured")
            break
        if key_of(case.record()) in recording.done:
            continue
        started = time.perf_counter()
        try:
            if arguments.energy:
                record = sustained(case, bench, arguments.seconds)
            else:
                record = timed(case, bench)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            bench.failures.append({**_described(case), "why": why[:600]})
            _say(f"FAILED {_described(case)}: {why[:300]}")
        else:
            recording.add(record)
            time_ms = record.get("median_ms", record.get("ms"))
            spent = f"{time.perf_counter() - started:.1f} s"
            tile, clock = record["tile"], record["sm_mhz"]
            _say(f"{number}/{len(cases)} {case.kernel} {time_ms} ms {clock} MHz {tile} ({spent})")
        torch.cuda.empty_cache()
    _write_json(path.with_suffix(".json"), about)
    return 1 if bench.failures else 0


def _described(case: Case) -> dict[str, str]:
    return {name: str(value) for name, value in case.record().items() if value != ""}


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def shard_of(cases: Sequence[Case], shard: str) -> tuple[Case, ...]:
    """Every n-th case from the i-th on, for `i/n`.

    >>> [case.heads for case in shard_of([Case("copy", heads=n) for n in range(5)], "1/2")]
    [1, 3]
    """
    first, _, step = shard.partition("/")
    return tuple(cases[int(first) :: int(step)])


def summary(cases: Sequence[Case]) -> Iterator[str]:
    """How many cases each kernel has."""
    for kernel in KERNELS:
        n = sum(case.kernel == kernel for case in cases)
        if n:
            yield f"{kernel}: {n}"
    yield f"in all: {len(cases)}"


def arguments_of(line: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m einfall.validate.measure", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("cases", type=Path, help="list of cases, CSV")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", type=Path, help="time single launches into this CSV")
    what.add_argument("--energy", type=Path, help="energy of sustained loops into this CSV")
    what.add_argument("--compile-only", action="store_true", help="fill the compilers' caches")
    what.add_argument("--dry-run", action="store_true", help="read the cases, measure nothing")
    parser.add_argument("--group", help="only cases of this group")
    parser.add_argument("--not-group", default="", help="no cases of this group")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th case from the i-th on")
    parser.add_argument("--budget", type=float, default=float("inf"), help="stop after this [s]")
    parser.add_argument("--seconds", type=float, default=SUSTAINED_S, help="a sustained loop [s]")
    parser.add_argument("--commit", default="", help="version of the source, for the record")
    return parser.parse_args(line)


def main(line: Sequence[str] | None = None) -> int:
    """Run from the command line: 0 done, 1 a case failed, 2 bad input."""
    arguments = arguments_of(line)
    try:
        cases = read_cases(arguments.cases)
    except (CaseError, OSError) as error:
        _say(str(error))
        return 2
    chosen = [c for c in cases if c.group != arguments.not_group]
    chosen = [c for c in chosen if arguments.group in (None, c.group)]
    chosen = shard_of(chosen, arguments.shard)
    if arguments.dry_run:
        sys.stdout.write("\n".join(summary(chosen)) + "\n")
        return 0
    try:
        if arguments.compile_only:
            compile_only(chosen)
            return 0
        return run(chosen, arguments)
    except ModuleNotFoundError as error:
        _say(
            f"{error.name}: wanted torch and triton to measure, found none; pip install "
            "'einfall[gpu]' on a machine with a GPU"
        )
        return 2
    except (NvmlError, ValueError) as error:
        _say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
