"""One estimate on a 4f system for people: totals, what binds, its tiles, every term."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from einfall.hw_models.constants import constants
from einfall.report.estimates import breakdown
from einfall.report.explain import Explanation, Term
from einfall.report.text import amount, count, facts, page, paragraph, percent, table
from einfall.sim.closed_form import phase_time_s
from einfall.sim.optical import light
from einfall.sim.optical.frames import Layer, camera_s, mask_fft_flops

if TYPE_CHECKING:
    from einfall.sim.optical.estimate import OpticalEstimate


def optical_estimate_text(e: OpticalEstimate, shape: Mapping[str, Any]) -> str:
    """Totals, the reason, a line for each layer, and one for each Einsum and transfer."""
    how = f", {e.accounting.name} accounting" if e.accounting.published else ""
    sizes = ", ".join(f"{key} {count(size)}" for key, size in shape.items())
    title = f"{e.cascade} on {e.machine}, mapping {e.mapping.name}{how}"
    return page(
        f"{title}\n{paragraph(sizes, '  ')}",
        facts(_totals(e)),
        paragraph(why(e)),
        _layers(e),
        breakdown(e),
    )


def _totals(e: OpticalEstimate) -> list[tuple[str, str]]:
    timing = "closed form" if e.simulation is None else "event simulation"
    largest = sorted(e.parts_j.items(), key=lambda part: -part[1])[:3]
    shares = [f"{name} {percent(j / e.energy_j)}" for name, j in largest if j]
    used = {name: x for name, x in e.utilization.items() if x >= 5e-4}
    bits = ", ".join(f"{name} {x:.1f}" for name, x in e.bits.items())
    return [
        ("latency", f"{amount(e.latency_s, 's')}: {count(e.frames)} frames, {timing}"),
        ("energy", f"{amount(e.energy_j, 'J')}: {', '.join(shares)}"),
        ("traffic", ", ".join(f"{level} {amount(n, 'B')}" for level, n in e.traffic_bytes.items())),
        ("utilization", ", ".join(f"{unit} {percent(x)}" for unit, x in used.items())),
        ("bits", f"{min(e.bits.values()):.1f}: {bits}"),
        ("bound", e.bound),
    ]


def why(e: OpticalEstimate) -> str:
    """One sentence on what binds, and how full the planes are."""
    part = e.busy_s[e.bound] / e.latency_s
    return (
        f"{e.bound} is busy {percent(part)} of the time; {percent(e.utilization['plane'])} of the "
        f"tiles of {count(e.frames)} frames hold a useful pair of map and kernel."
    )


def _layers(e: OpticalEstimate) -> str:
    rows = [
        [
            layer.name,
            layer.tiling.name,
            " x ".join(count(int(p)) for p in layer.tiling.pitch),
            count(int(layer.tiling.groups * layer.tiling.images)),
            count(int(layer.tiling.groups * layer.tiling.kernels)),
            count(layer.planes.sigma * int(layer.planes.rho)),
            count(layer.frames),
            f"{layer.held} held",
        ]
        for layer in e.layers
    ]
    header = ["layer", "tiling", "pitch", "maps", "kernels", "signs, bits", "frames", "order"]
    return table(header, rows, right={"pitch", "maps", "kernels", "signs, bits", "frames"})


# Every term ---------------------------------------------------------------------------------------


def explain_optics(e: OpticalEstimate) -> Explanation:
    """Every term of an estimate on a 4f system, and the constants behind it."""
    layers = () if e.accounting.published else e.layers
    terms = [
        *_plane(e),
        *(t for layer in layers for t in _layer(e, layer)),
        *_energy(e),
        *_whole(e),
    ]
    known = constants(e.device)
    used = {path for term in terms for path in term.constants}
    return Explanation(tuple(terms), {path: known[path] for path in known if path in used})


def _plane(e: OpticalEstimate) -> Iterator[Term]:
    o, of = e.device, "plane"
    pitches = (amount(o.wavelength_m, "m"), amount(o.lenses.focal_length_m, "m"))
    yield Term(of, "side", "min(planes, λ·f / (input pitch · mask pitch))",
               f"{pitches[0]} · {pitches[1]} / ({amount(o.input.pitch_m, 'm')} ·"
               f" {amount(o.mask.pitch_m, 'm')}) = {o.matched_side:.0f}", o.side, "",
               ("wavelength", "lenses.focal_length", "input.rows", "input.pitch", "mask.pitch",
                "camera.rows"))  # fmt: skip
    n = light.electrons(o.word_bits, o.camera.read_noise)
    yield Term(of, "photo-electrons", "n with n²/(n + r²) = 3 · 4^b",
               f"b {o.word_bits:g}, r {o.camera.read_noise:g}", n, "",
               ("word", "camera.read_noise"))  # fmt: skip
    yield Term(of, "exposures", "⌈n / full well⌉", f"{count(n)} / {count(o.camera.full_well)}",
               light.exposures(o, o.word_bits), "", ("camera.full_well",))  # fmt: skip
    yield Term(of, "flight", "2·(f₁ + f₂) / c", "", o.flight_s, "s", ("lenses.focal_length",))


def _layer(e: OpticalEstimate, layer: Layer) -> Iterator[Term]:
    """The frames of one layer, and what one of them takes of each resource."""
    o, t, of = e.device, layer.tiling, layer.name
    yield Term(of, "frames", "parts · input planes · masks, each times its signs and digits",
               f"{count(int(t.parts))} · {count(layer.inputs)} · {count(layer.masks)}",
               layer.frames, "", ("word", "input.bits", "mask.bits"))  # fmt: skip
    for plane in ("input", "mask"):
        changes = layer.changes(plane)
        rate = getattr(o, plane).rate_hz
        yield Term(of, f"{plane} plane", "changes / rate",
                   f"{count(changes)} / {amount(rate, 'Hz')}", changes / rate, "s",
                   (f"{plane}.rate",))  # fmt: skip
    window, read = layer.window(o.side), layer.pixels_read(o)
    joules = light.light_j(o, o.word_bits, window)
    yield Term(of, "light of a frame", "n · pixels · hc/λ / (QE · transmission · mask)",
               f"{count(round(window))} pixels, {light.MASK_PART:g} through the mask", joules, "J",
               ("camera.quantum_efficiency", "lenses.transmission"))  # fmt: skip
    yield Term(of, "exposure", "light / power", f"{amount(joules, 'J')} /"
               f" {amount(o.laser.power_w, 'W')}", joules / o.laser.power_w, "s",
               ("laser.power",))  # fmt: skip
    yield Term(of, "picture", "max(1 / rate, pixels / pixel rate)",
               f"{count(round(read))} pixels", camera_s(o, read), "s",
               ("camera.rate", "camera.pixel_rate"))  # fmt: skip
    if not layer.correlation.known:
        yield Term(of, "FLOP of a mask", "5 · R² · log₂ R²", f"R {o.side}",
                   mask_fft_flops(o.side), "", ("host.machine",))  # fmt: skip
    phase = next(p for p in e.pipeline.phases if p.name == layer.name)
    yield Term(of, "time", "largest resource less its first frame + first frame from end to end",
               f"{count(layer.frames)} frames", phase_time_s(phase), "s", ())  # fmt: skip


_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "input": ("input.update_energy",),
    "mask": ("mask.update_energy",),
    "camera": ("camera.read_energy",),
    "converter": ("converter.energy",),
    "laser": ("laser.efficiency",),
    "link": ("host.link_energy",),
    "static": ("static_power",),
}


def _energy(e: OpticalEstimate) -> Iterator[Term]:
    for part, joules in e.parts_j.items():
        if joules:
            done = [f"{count(n)} {action}" for (c, action), n in e.counts.items() if c == part]
            paths = _ACTIONS.get(part, ("host.machine",))
            yield Term("energy", part, "Σ actions · energy of one", ", ".join(done), joules, "J",
                       paths)  # fmt: skip


def _whole(e: OpticalEstimate) -> Iterator[Term]:
    times = " + ".join(amount(s, "s") for s in e.phases_s.values())
    yield Term("whole", "latency", "Σ phases", times, e.latency_s, "s", ())
    sums = " + ".join(amount(j, "J") for j in e.parts_j.values() if j)
    yield Term("whole", "energy", "Σ parts", sums, e.energy_j, "J", ())
