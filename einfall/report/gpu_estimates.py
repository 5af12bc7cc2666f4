"""One estimate on a GPU for people: totals, what binds and why, every term with its constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from einfall.hw_models.constants import Constant, constants
from einfall.report.explain import Explanation, Term
from einfall.report.text import amount, count, facts, page, paragraph, percent, table
from einfall.sim.gpu.lowered import cycles, hidden, with_parameters
from einfall.sim.gpu.power import AT_ONCE, BURST_S, PEAK, sustained_hz

if TYPE_CHECKING:
    from einfall.sim.gpu.estimate import GpuEstimate


def gpu_estimate_text(e: GpuEstimate, shape: Mapping[str, Any]) -> str:
    """Totals, the reason, and a line for each Einsum and transfer."""
    sizes = ", ".join(f"{key} {count(size)}" for key, size in shape.items())
    return page(
        f"{e.title}\n{paragraph(sizes, '  ')}",
        facts(_totals(e)),
        paragraph(_why(e)),
        _breakdown(e),
    )


def _totals(e: GpuEstimate) -> list[tuple[str, str]]:
    s, sms = e.sustained, e.gpu.sms
    cycle = f"{count(round(e.cycles))} cycles at {amount(e.clock_hz, 'Hz')}, {sms} SMs"
    lasting = (
        f"{amount(s.latency_s, 's')} at {amount(s.clock_hz, 'Hz')}, {amount(s.power_w, 'W')},"
        f" {amount(s.energy_j, 'J')}"
    )
    largest = sorted(e.parts_j.items(), key=lambda part: -part[1])[:3]
    shares = ", ".join(f"{name} {percent(j / e.energy_j)}" for name, j in largest)
    return [
        ("latency", f"{amount(e.latency_s, 's')}: {cycle}, a benchmark's burst"),
        ("sustained", lasting),
        ("energy", f"{amount(e.energy_j, 'J')}, {amount(e.burst.power_w, 'W')}: {shares}"),
        ("traffic", ", ".join(f"{n} {amount(b, 'B')}" for n, b in e.traffic_bytes.items())),
        ("utilization", ", ".join(f"{u} {percent(x)}" for u, x in e.utilization.items())),
        ("bound", _bound(e)),
        ("parameters", _fit(e)),
    ]


def _bound(e: GpuEstimate) -> str:
    """What binds, and where the power cap holds the clock that its rate goes by."""
    if not e.power_capped:
        return e.bound
    clock = f"{amount(e.clock_hz, 'Hz')} of {amount(e.gpu.clock.boost_hz, 'Hz')}"
    return f"{e.bound}, under the power cap: {clock}, and less if a unit draws more"


def _fit(e: GpuEstimate) -> str:
    """Fitted or derived, and how far off on what the fit had not seen."""
    if not e.fit.data:
        return (
            "derived: from the schedule alone, its parameters are assumptions; nothing was fitted"
        )
    return str(e.fit)


def _why(e: GpuEstimate) -> str:
    if e.bound in e.busy_s:
        text = f"{e.bound} is busy {percent(e.busy_s[e.bound] / e.latency_s)} of the time"
    elif e.bound == "latency":
        busiest = max(e.busy_s, key=e.busy_s.__getitem__)
        text = (
            f"No unit is what binds, the busiest is {busiest}, "
            f"{percent(e.busy_s[busiest] / e.latency_s)} of the time: steps wait for each other, "
            "blocks begin and end, SMs wait for the last one"
        )
    else:
        text = f"{e.bound} takes longest"
    return f"{text}. {e.burst.why}."


def simulation_text(e: GpuEstimate) -> str:
    """The step pipeline and the closed form beside the answer."""
    lines = [f"The closed form of the blocks over the SMs says {amount(e.closed_form_s, 's')}."]
    if e.simulation is not None:
        steps = amount(e.simulation.timing.latency_s, "s")
        lines.append(
            f"Step by step, with no more overlap than the order of its tasks gives, the SM that is "
            f"done last takes {steps}; how far {e.kernel.kernel} overlaps them is a parameter."
        )
    return paragraph(" ".join(lines))


def _breakdown(e: GpuEstimate) -> str:
    rows = [
        [
            line.einsum,
            line.unit,
            amount(line.busy_s, "s"),
            percent(line.busy_s / e.latency_s),
            amount(line.energy_j, "J"),
            percent(line.energy_j / e.energy_j),
        ]
        for line in e.breakdown
        if line.busy_s or line.energy_j
    ]
    header = ["Einsum", "unit", "busy", "of time", "energy", "of energy"]
    return table(header, rows, right={"busy", "of time", "energy", "of energy"})


# Every term ---------------------------------------------------------------------------------------


def explain_gpu(e: GpuEstimate) -> Explanation:
    """Every term of an estimate on a GPU, and the constants of machine and kernel behind it."""
    of_step = [] if e.launch is None else [*_step_terms(e), *_block_terms(e)]
    parts = [] if e.launch is not None else list(_part_terms(e))
    terms = (*of_step, *parts, *_memory_terms(e), *_power_terms(e), *_whole(e))
    known = {**constants(e.gpu), **_fitted(e)}
    used = {path for term in terms for path in term.constants}
    return Explanation(terms, {path: known[path] for path in known if path in used})


def _fitted(e: GpuEstimate) -> dict[str, Constant]:
    """The parameters of the kernel as constants, those of a fit with half of their interval."""
    found = {}
    for p in e.parameters():
        wide = "" if p.half_width is None else f" ± {p.half_width:.2g}"
        text = f"{p.value:.4g}{wide} {p.unit}".strip()
        path = f"{e.kernel.kernel}.{p.name}"
        found[path] = Constant(path, text, "", p.source)
    return found


def _paths(e: GpuEstimate, *names: str) -> tuple[str, ...]:
    return tuple(f"{e.kernel.kernel}.{name}" for name in names)


def _step_terms(e: GpuEstimate) -> Iterator[Term]:
    """One key-tile step of a block on each pipe, then of all blocks that share the SM."""
    launch, fit, sm = e.launch, e.fit.parameters, e.gpu.sm
    assert launch is not None, "only kernels of steps"
    raw, one, of = launch.step, with_parameters(launch, fit), "a step of one block"
    share = float(raw.tensor) / float(one.tensor) if one.tensor else 1.0
    used = "fp8_share" if launch.low_bits else "tensor_share"
    path = e.kernel.path
    yield Term(of, "tensor cycles", f"FLOP / (FLOP a clock by {path} · {used})",
               f"{count(launch.flops)} / ({count(launch.flops / raw.tensor)} · {share:.4g})",
               one.tensor, "", (f"sm.tensor.{e.problem.dtype}", *_paths(e, used)))  # fmt: skip
    moved = raw.shared * sm.shared_bytes_per_clock
    yield Term(of, "shared memory cycles", "operand bytes / bytes a clock",
               f"{count(moved)} / {count(sm.shared_bytes_per_clock)}", one.shared, "",
               ("sm.shared_bytes_per_clock",))  # fmt: skip
    yield Term(of, "load cycles", "K and V bytes / (64 B a clock from L2 · load_share)",
               f"{count(raw.load * 64)} / (64 · {fit.load_share:.4g})", one.load, "",
               _paths(e, "load_share"))  # fmt: skip
    yield Term(of, "exponential cycles", "exp in hardware / exp a clock · softmax_factor",
               f"{count(raw.mufu * sm.mufu_per_clock)} / {count(sm.mufu_per_clock)}"
               f" · {fit.softmax_factor:.4g}", one.mufu, "",
               ("sm.mufu_per_clock", *_paths(e, "softmax_factor")))  # fmt: skip
    yield Term(of, "FP32 cycles", "operations / lanes · softmax_factor",
               f"{count(raw.fma * sm.fma_lanes)} / {count(sm.fma_lanes)}"
               f" · {fit.softmax_factor:.4g}", one.fma, "",
               ("sm.fma_lanes", *_paths(e, "softmax_factor")))  # fmt: skip
    together, blocks = hidden(fit.overlap, launch.streams * launch.resident), launch.resident
    pair = sorted((float(one.matrix), float(one.softmax)))
    yield Term(
        of, "cycles", "blocks · (max + (1 - hidden) · min of matrix and softmax side) + waits",
        f"{count(blocks)} · ({pair[1]:.0f} + {1 - together:.4g} · {pair[0]:.0f}) + {one.wait:.0f}",
        one.cycles(together, blocks), "", _paths(e, "overlap", "step_cycles"),
    )  # fmt: skip


def _block_terms(e: GpuEstimate) -> Iterator[Term]:
    """The blocks over the SMs."""
    launch, fit, of = e.launch, e.fit.parameters, "blocks over the SMs"
    assert launch is not None, "only kernels of steps"
    span, places = launch.span, f"{count(e.gpu.sms)} SMs · {count(launch.resident)}"
    yield Term(of, "mean steps", "steps of all blocks / places",
               f"{count(launch.steps)} / ({places})", span.mean_steps, "", ("sms",))  # fmt: skip
    order = "list scheduling" if e.kernel.does == "fused" else "waves · steps of a part of the keys"
    yield Term(of, "steps of the last SM", f"{order}, {e.kernel.order} order",
               f"{count(span.blocks)} blocks, {count(span.masked)} steps with a mask", span.steps,
               "", ())  # fmt: skip
    together = hidden(fit.overlap, launch.streams * launch.resident)
    one = with_parameters(launch, fit)
    full = one.cycles(together, launch.resident)
    alone = one.cycles(hidden(fit.overlap, launch.streams))
    mask = one.cycles(together, launch.resident, masked=True) - full
    mean = min(float(span.mean_steps), float(span.steps))
    yield Term(
        of, "cycles",
        "mean steps · step + (last - mean) · step alone + masked · masking + blocks · overhead",
        f"{mean:.1f} · {full:.0f} + {span.steps - mean:.1f} · {alone:.0f} + {span.masked:.1f} ·"
        f" {mask:.0f} + {span.blocks:.1f} · {launch.overhead:.3g} · {fit.block_cycles:.0f}",
        cycles(launch, fit), "", _paths(e, "overlap", "block_cycles", "mask_ops"),
    )  # fmt: skip


_BESIDE = "SMs beside HBM"
_STREAMS: Mapping[str, Mapping[str, str]] = {
    "unfused": {
        "products": "B·H·P·M·(E + F) / (FP32 lanes · tensor_share)",
        "softmax": "max(instructions / FP32 lanes, 2 · 4 B · scores / HBM rate)",
        "passes": "((passes - 2) · 4 B · scores + passes of Q, K, V · their bytes) / HBM rate",
    },
    "three_pass": {
        "qk": f"{_BESIDE}: waves · (held · stores + loads of Q and K + product)",
        "softmax": f"{_BESIDE}: instructions / FP32 lanes + waves · start of a row",
        "pv": f"{_BESIDE}: waves · held · turns · (loads + product)",
    },
    "chunked": {
        "states": f"{_BESIDE}: waves · chunks · ((step + fetch · KiB) / (stages - 1) + decay)",
        "outputs": f"{_BESIDE}: waves · (step · (⌈tiles of E / (stages - 1)⌉ + 1) + fetch · KiB)",
        "host": "what the host takes longer than the device to launch",
    },
}
"""Equations of kernels that follow each other, as `sim.gpu.scans` and `sim.gpu.unfused` have them;
beside each other, two sides take (a^p + b^p)^(1/p) with p = 1/log2(1 + exposed)."""


def _part_terms(e: GpuEstimate) -> Iterator[Term]:
    """Kernels that follow each other: each part of the time."""
    names = ("tensor_share", "load_share", "memory_share", "exposed", "block_cycles", "step_cycles",
             "fetch_cycles", "decay_cycles")  # fmt: skip
    for name, equation in _STREAMS.get(e.kernel.does, {}).items():
        if name in e.terms.parts_s:
            yield Term("kernels one after another", name, equation, e.burst.why,
                       e.terms.parts_s[name], "s", _paths(e, *names))  # fmt: skip


def _memory_terms(e: GpuEstimate) -> Iterator[Term]:
    of, fit, hbm = "memory", e.fit.parameters, e.gpu.hbm
    moved = e.traffic_bytes
    yield Term(of, "HBM", "bytes / (bandwidth · achievable · memory_share)",
               f"{amount(moved['hbm'], 'B')} / ({amount(hbm.bandwidth_bytes_per_s, 'B/s')} ·"
               f" {hbm.achievable:.4g} · {fit.memory_share:.4g})", e.busy_s["hbm"], "s",
               ("hbm.bandwidth", "hbm.achievable", "l2.capacity", *_paths(e, "memory_share")),
               )  # fmt: skip
    rate = e.gpu.l2.bandwidth_bytes_per_s
    yield Term(of, "L2", "bytes / bandwidth",
               f"{amount(moved['l2'], 'B')} / {amount(rate, 'B/s')}", e.busy_s["l2"], "s",
               ("l2.bandwidth",))  # fmt: skip


def _power_terms(e: GpuEstimate) -> Iterator[Term]:
    """Energy by action, then the clock that the cap leaves."""
    of, scale = "energy and clock", e.gpu.energy_scale(e.clock_hz)
    voltage = tuple(f"power.voltage.{n}" for n in ("v_min", "v_max", "knee", "top"))
    for name, joules in e.parts_j.items():
        if name == "static":
            yield Term(of, "energy of static power", "active_floor · latency",
                       f"{amount(e.gpu.power.active_floor_w, 'W')} · {amount(e.latency_s, 's')}",
                       joules, "J", ("power.active_floor",))  # fmt: skip
        elif joules:
            n = float(e.terms.work.actions[name])
            kept = name == "hbm"
            equation = f"n · energy.{name}" + ("" if kept else " · (V / V_nominal)²")
            numbers = f"{count(n)} · {amount(joules / n / (1 if kept else scale), 'J')}"
            numbers += "" if kept else f" · {scale:.4g}"
            paths = (f"energy.{name}", *(() if kept else ("energy.nominal", *voltage)))
            yield Term(of, f"energy of {name}", equation, numbers, joules, "J", paths)
    boost, lasting = e.gpu.clock.boost_hz, float(e.sustained.clock_hz)
    cap = amount(e.gpu.power.cap_w, "W")
    yield Term(of, "sustained clock", "the highest up to boost with energy / time under the cap",
               f"{amount(e.sustained.power_w, 'W')} of {cap}", lasting, "Hz",
               ("clock.boost", "clock.min", "power.cap"))  # fmt: skip
    time, first = e.terms.work.time_s(boost), float(sustained_hz(e.terms.work, e.gpu, PEAK))
    share = AT_ONCE + (1 - AT_ONCE) * time / (time + BURST_S)
    yield Term(of, "burst clock",
               "first - (at once + (1 - at once) · t/(t + t_cap)) · (first - sustained)",
               f"{amount(first, 'Hz')} at {PEAK:g} · cap - {share:.4g} ·"
               f" {amount(first - lasting, 'Hz')}, at once {AT_ONCE:g}, t_cap"
               f" {amount(BURST_S, 's')}: assumption, checked on H100 SXM and H200",
               e.clock_hz, "Hz", ("clock.boost", "power.cap"))  # fmt: skip


def _whole(e: GpuEstimate) -> Iterator[Term]:
    work, of = e.terms.work, "whole"
    rest = " + exposed · min(cycles / clock, memory)" if work.exposed else ""
    whole, between, end = f"fixed + max(cycles / clock, memory){rest}", ", ", ")"
    if work.exposed == 1:  # kernels in turn: the part of each side is its own
        whole, between, end = "fixed + cycles / clock + memory", " + ", ""
    yield Term(of, "latency", whole,
               f"{amount(work.fixed_s, 's')} + {'max(' if end else ''}"
               f"{count(round(float(work.cycles)))} / {amount(e.clock_hz, 'Hz')}{between}"
               f"{amount(work.memory_s, 's')}{end}", e.latency_s, "s",
               _paths(e, "launch_s", "host_s", "combine_s", "exposed"))  # fmt: skip
    sums = " + ".join(amount(j, "J") for j in e.parts_j.values() if j)
    yield Term(of, "energy", "sum of the energies", sums, e.energy_j, "J", ())
