"""Time and quality of the mapping search on the architecture and workloads of the peers.

    python benchmarks/search.py [--quick] [--pareto]

12 heads of width 64, batch 1, 16 bit, 256x256 array with 256 lanes beside it, 16 MiB, 400 GB/s: the
settings in which AccelForge, ZigZag and Timeloop were measured in November 2026 on one core of a
two-core machine. AccelForge's figures are printed as recorded then; nothing of theirs is run (see
peers_accelforge.py for that). Three Einsums are QK, one elementwise softmax, AV; six are
attention_3pass; twelve are attention_1pass on fusemax_cloud, running maximum and all, for which
AccelForge has a stand-in of ten without its recurrence.

Times are CPU seconds of one process and wall seconds, of the search alone; `shipped` is the best of
the mappings that ship, found over shipped. `--pareto` times the set of all mappings that none beats
in latency, energy and buffer together instead, each asked to stop after five minutes of
wall time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import load
from einfall.sim.estimate import estimate
from einfall.sim.search import OBJECTIVES, search

DATA = Path(__file__).parent / "search_data"
LIKE = str(DATA / "fusemax_like.yaml")
CASES = {
    3: (str(DATA / "attention_identity.cascade"), LIKE),
    6: ("attention_3pass", LIKE),
    12: ("attention_1pass", "fusemax_cloud"),
}
LENGTHS = (1024, 4096, 16384)
RECORDED_CPU_S = {
    # CPU seconds of AccelForge 1.0.467 by (Einsums, objective, length): runs.csv, first repeats
    (3, "energy", 1024): 17.0, (3, "energy", 4096): 17.0, (3, "energy", 16384): 17.5,
    (3, "latency", 4096): 27.5, (3, "edp", 4096): 39.5,
    (6, "energy", 1024): 52.5, (6, "energy", 4096): 42.4, (6, "energy", 16384): 50.5,
    (6, "latency", 4096): 51.2, (12, "energy", 1024): 300.3,
}  # fmt: skip


PARETO = ((3, 4096), (6, 4096), (12, 1024))


def question(einsums, length):
    name, machine_name = CASES[einsums]
    shape = {"heads": 12, "queries": length, "head_dim": 64}
    return load_cascade(name), shape, load(machine_name)


def pareto_row(einsums, length):
    cpu = time.process_time()
    found = search(*question(einsums, length), pareto=True, seconds=300)
    cpu = time.process_time() - cpu
    proved = "yes" if found.optimal else "no"
    print(
        f"{einsums:>2} {length:>6} pareto   {cpu:6.2f} {found.seconds:6.2f} {proved:<5} "
        f"{len(found.pareto):>6} {found.proof.evaluated:12,} {found.proof.lowered:7,}",
        flush=True,
    )


def row(einsums, length, objective):
    cascade, shape, machine = question(einsums, length)
    cpu = time.process_time()
    found = search(cascade, shape, machine, objective=objective)
    cpu = time.process_time() - cpu
    score = OBJECTIVES[objective]
    best = min((score(f.latency_s, f.energy_j) for f in found.shipped), default=float("nan"))
    recorded = RECORDED_CPU_S.get((einsums, objective, length))
    p = found.proof
    print(
        f"{einsums:>2} {length:>6} {objective:<8} {cpu:6.2f} {found.seconds:6.2f} "
        f"{'yes' if found.optimal else 'no':<5} {p.mappings:9.2e} {p.candidates:15,} "
        f"{p.evaluated:9,} {p.lowered:7,} {found.value:10.4g} {found.value / best:8.4f} "
        f"{recorded if recorded else '':>6}",
        flush=True,
    )
    return found


def one_evaluation(einsums, length):
    """Milliseconds of CPU of one estimate of a mapping that search has found."""
    cascade, shape, machine = question(einsums, length)
    mapping = search(cascade, shape, machine, shipped=einsums == 12).best.mapping
    estimate(cascade, shape, machine, mapping)
    begin, times = time.process_time(), 50
    for _ in range(times):
        cost = estimate(cascade, shape, machine, mapping)
        _ = cost.latency_s, cost.energy_j
    return (time.process_time() - begin) / times * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1024 keys only")
    parser.add_argument("--pareto", action="store_true", help="the Pareto sets instead")
    asked = parser.parse_args()
    lengths = LENGTHS[:1] if asked.quick else LENGTHS
    if asked.pareto:
        print("Einsums, length, CPU s, wall s, proved, mappings in the set, evaluated, lowered")
        for einsums, length in PARETO:
            pareto_row(einsums, length)
        return
    print("Einsums, length, objective, CPU s, wall s, optimal, mappings, candidates, evaluated,")
    print("lowered, value [s, J, J·s], value / best shipped, AccelForge's CPU s as recorded")
    for einsums in CASES:
        for length in lengths:
            for objective in OBJECTIVES:
                row(einsums, length, objective)
    for einsums in CASES:
        print(f"one estimate, {einsums} Einsums: {one_evaluation(einsums, 1024):.2f} ms CPU")


if __name__ == "__main__":
    main()
