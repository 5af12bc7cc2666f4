"""Tables for the figures of the what-if engine: usual ones, and odd ones."""

from functools import cache
from itertools import product
from math import ceil

from einfall.plots import (
    Bars,
    Heatmap,
    Lines,
    Pareto,
    Quantity,
    bars_figure,
    energy_stack_figure,
    heatmap_figure,
    lines_figure,
    pareto_figure,
    roofline_figure,
    ski_slope_figure,
    time_stack_figure,
    tornado_figure,
)

KEYS = Quantity("keys", "Keys", "tokens")
WIDTH = Quantity("head_dim", "Head width", "elements")
RATE = Quantity("rate", "Exponential rate", "×")
SPEEDUP = Quantity("speedup", "Speedup", "×", better="higher")
TIME = Quantity("latency_s", "Time", "s")
TOKENS = Quantity("tokens_per_s", "Throughput", "tokens/s", better="higher")
PRICE = Quantity("price", "Price", "$/h")
LONG = "attention_2pass_splitk with a rather long name on a machine_with_a_long_name_too"


def binding(times):
    """The slowest unit and its time."""
    unit = max(times, key=times.__getitem__)
    return unit, times[unit]


def times(keys, head_dim, rate=1.0):
    """Busy times of one head on one H100 [s]: 990 TFLOP/s, 3.9 T exponentials/s, 3.35 TB/s."""
    return {
        "tensor": 4 * keys * keys * head_dim / 990e12,
        "mufu": keys * keys / (3.9e12 * rate),
        "hbm": 8 * keys * head_dim / 3.35e12,
    }


def grid(columns, rows):
    """Speedups by width of a head and rate."""
    cells = []
    for i, j in product(range(columns), range(rows)):
        keys, width, rate = 640, 16 * (i + 1), 2.0 ** (j / 4)
        before, (bound, after) = binding(times(keys, width))[1], binding(times(keys, width, rate))
        cells.append({"head_dim": width, "rate": rate, "speedup": before / after, "bound": bound,
                      "latency_s": after})  # fmt: skip
    return cells


def curves(names, points):
    """Times by keys, a line each."""
    rows = []
    for i, name in enumerate(names):
        for j in range(points):
            keys = 256 * 2**j if points < 20 else 256 * (j + 1)
            bound, found = binding(times(keys, 32 * (i + 1)))
            rows.append({"series": name, "keys": keys, "latency_s": found, "bound": bound,
                         "speedup": 1 + 0.2 * i * j / points})  # fmt: skip
    return rows


def results(cases, series=("fa2", "fa3"), slow=1.0):
    return [
        {"case": case, "series": name, "latency_s": 1e-4 * (1 + i) * (1 + j * slow),
         "bound": ("tensor", "mufu", "hbm")[(i + j) % 3], "speedup": 0.7 + 0.3 * i + 0.2 * j}
        for i, case in enumerate(cases) for j, name in enumerate(series)
    ]  # fmt: skip


ROOFS = [
    {"kind": "roof", "name": "tensor bf16", "resource": "compute", "flops_per_s": 989e12},
    {"kind": "roof", "name": "exp, head_dim 64", "resource": "exp", "flops_per_s": 1003e12},
    {"kind": "roof", "name": "fma", "resource": "compute", "flops_per_s": 66.9e12},
    {"kind": "roof", "name": "hbm", "resource": "memory", "bytes_per_s": 3.35e12},
    {"kind": "roof", "name": "l2", "resource": "memory", "bytes_per_s": 7e12},
    {"kind": "roof", "name": "shared", "resource": "shared", "bytes_per_s": 33e12},
    {"kind": "roof", "name": "link", "resource": "link", "bytes_per_s": 450e9},
]


def point(name, flops_per_s, bound, **intensities):
    return [{"kind": "point", "name": name, "level": level, "flop_per_byte": intensity,
             "flops_per_s": flops_per_s, "bound": bound}
            for level, intensity in intensities.items()]  # fmt: skip


POINTS = [
    *point("fa3 16K", 617e12, "tensor", hbm=4096.0, l2=120.0, shared=60.0),
    *point("fa2 16K", 371e12, "mufu", hbm=4096.0, l2=64.0, shared=32.0),
    *point("unfused 4K", 61e12, "hbm", hbm=31.0, l2=28.0),
    *point("decode", 3.1e12, "hbm", hbm=1.0),
]
MANY_POINTS = [row for i in range(20) for row in point(f"case {i}", (100 + 10 * i) * 1e12, "tensor",
                                                       hbm=300 + 20.0 * i)]  # fmt: skip


def busy(cases, units=("tensor", "mufu", "fma", "shared", "l2", "hbm")):
    rows = []
    for i, case in enumerate(cases):
        parts = [0.7, 0.31, 0.17, 0.36, 0.58, 0.1, 0.05, 0.03][: len(units)]
        parts = parts[i % len(parts) :] + parts[: i % len(parts)]
        bound = units[parts.index(max(parts))]
        rows += [{"case": case, "unit": unit, "busy_s": part * 1.78e-3 * (1 + i / 5),
                  "latency_s": 1.78e-3 * (1 + i / 5), "bound": bound}
                 for unit, part in zip(units, parts, strict=True)]  # fmt: skip
    return rows


def energies(cases):
    parts = {"mma.bf16": 0.64, "l2": 0.39, "static": 0.24, "fma": 0.19, "exp": 0.13, "hbm": 0.04,
             "shared": 0.0, "link": 0.004}  # fmt: skip
    return [{"case": case, "component": name, "energy_j": energy * (1 + i / 4)}
            for i, case in enumerate(cases) for name, energy in parts.items()]  # fmt: skip


def machines(count, word="chip"):
    return [{"name": f"{word} {i}", "price": 1 + i * 0.7,
             "tokens_per_s": 900 * (1 + i) ** 0.8 * (0.6 if i % 3 else 1.0),
             "area": 100.0 + 20 * i, "maker": ("A", "B")[i % 2]} for i in range(count)]  # fmt: skip


def slope(names, points=12):
    """Traffic of tiled attention: keys and values once for every tile of queries that fits."""
    rows = []
    for i, name in enumerate(names):
        for j in range(points):
            capacity = 2 ** (13 + j)
            tile = max(1, min(16384, capacity // (2 * 128 * (i + 1))))
            moved = 2 * 16384 * 128 * 2 + ceil(16384 / tile) * 2 * 16384 * 128 * 2
            rows.append({"series": name, "capacity_bytes": capacity, "traffic_bytes": moved,
                         "compulsory_bytes": 4 * 16384 * 128 * 2})  # fmt: skip
    return rows


def turned(count, size=0.2, word="sm.rate"):
    effects = [size / (i + 1) for i in range(count)]
    return [{"name": f"{word}_{i}", "text": f"{i + 1} GHz", "low": 1 + effect,
             "high": None if i == 2 else 1 - 0.6 * effect}
            for i, effect in enumerate(effects)]  # fmt: skip


ON_WIDTH = Heatmap(WIDTH, RATE, SPEEDUP)
BY_KEYS = Lines(KEYS, TIME, bound="bound")
RATIOS = Lines(KEYS, SPEEDUP, reference="fa2")
TWO = Bars(TIME, series="series")
OF_PRICE = Pareto(PRICE, TOKENS)
SIDES = ("20 % less", "20 % more")
CASES = ("fa2", "fa3", "unfused", "decode")
TWENTY = tuple(f"case {i}" for i in range(20))

GALLERY = {
    "heatmap": (heatmap_figure, grid(12, 8), {"shown": ON_WIDTH}),
    "heatmap_times": (heatmap_figure, grid(6, 5), {"shown": Heatmap(WIDTH, RATE, TIME)}),
    "heatmap_times_20_16": (heatmap_figure, grid(20, 16), {"shown": Heatmap(WIDTH, RATE, TIME)}),
    "heatmap_40_20": (heatmap_figure, grid(40, 20), {"shown": ON_WIDTH}),
    "heatmap_gaps": (
        heatmap_figure,
        [row | ({"speedup": None, "bound": None} if i % 5 == 0 else {})
         for i, row in enumerate(grid(9, 4)) if i % 7],
        {"shown": ON_WIDTH},
    ),
    "heatmap_texts": (
        heatmap_figure,
        [row | {"head_dim": f"machine_{row['head_dim']}_with_name",
                "rate": f"cascade {row['rate']:.2f}"}
         for row in grid(7, 5)],
        {"shown": Heatmap(Quantity("head_dim", "Machine"), Quantity("rate", "Cascade"), SPEEDUP)},
    ),
    "lines": (lines_figure, curves(("head_dim 32", "head_dim 64", "head_dim 96"), 9),
              {"shown": BY_KEYS}),
    "lines_ratios": (lines_figure, curves(("flash", "fa3", "fa4"), 6), {"shown": RATIOS}),
    "lines_one": (lines_figure, curves(("alone",), 1), {"shown": BY_KEYS}),
    "lines_gaps": (
        lines_figure,
        [row | ({"latency_s": None} if i % 6 == 2 else {})
         for i, row in enumerate(curves(("a", "b"), 9))],
        {"shown": BY_KEYS},
    ),
    "lines_20": (lines_figure, curves(TWENTY, 40), {"shown": BY_KEYS}),
    "lines_long": (lines_figure, curves((LONG, f"{LONG} 2"), 6), {"shown": BY_KEYS}),
    "bars": (bars_figure, results(CASES), {"shown": TWO}),
    "bars_ratio": (bars_figure, results(CASES), {"shown": Bars(SPEEDUP, series="series")}),
    "bars_log": (bars_figure, results(CASES, slow=50.0), {"shown": TWO}),
    "bars_20": (bars_figure, results(TWENTY, ("x",)), {"shown": Bars(TIME)}),
    "bars_long": (bars_figure, results((LONG, "fa2")), {"shown": TWO}),
    "bars_gaps": (
        bars_figure,
        [row | {"latency_s": (None, 0.0, 3e-3)[i % 3]} for i, row in enumerate(results(CASES))],
        {"shown": TWO},
    ),
    "roofline": (roofline_figure, [*ROOFS, *POINTS], {}),
    "roofline_least": (roofline_figure, ROOFS[:1], {}),
    "roofline_20": (roofline_figure, [*ROOFS[:4], *MANY_POINTS], {}),
    "time_stack": (time_stack_figure, busy(CASES), {}),
    "time_stack_20": (time_stack_figure, busy(TWENTY), {}),
    "time_stack_long": (time_stack_figure, busy((LONG, "fa2")), {}),
    "time_stack_zero": (
        time_stack_figure,
        [row | ({"busy_s": 0.0} if row["unit"] in ("hbm", "l2") else {})
         for row in busy(CASES[:1])],
        {},
    ),
    "energy_stack": (energy_stack_figure, energies(CASES), {}),
    "energy_stack_20": (energy_stack_figure, energies(TWENTY), {}),
    "pareto": (pareto_figure, machines(16), {"shown": OF_PRICE}),
    "pareto_series": (
        pareto_figure,
        machines(16),
        {"shown": Pareto(PRICE, TOKENS, series="maker",
                         size=Quantity("area", "Area", "mm^2"))},
    ),
    "pareto_one": (pareto_figure, machines(1), {"shown": OF_PRICE}),
    "pareto_long": (pareto_figure, machines(40, LONG), {"shown": OF_PRICE}),
    "ski_slope": (ski_slope_figure, slope(("fp8", "bf16")), {}),
    "ski_slope_one": (ski_slope_figure, slope(("bf16",), 1), {}),
    "ski_slope_20": (ski_slope_figure, slope(TWENTY), {}),
    "tornado": (
        tornado_figure,
        {"attention_1pass": {"time": turned(12), "energy": turned(12, -0.1)}},
        {"sides": SIDES},
    ),
    "tornado_large": (
        tornado_figure,
        {"ideal": {"time": turned(5, 1.0), "energy": turned(5, -0.5)},
         "DMD": {"time": turned(5, 1.6, "x"), "energy": turned(5, 0.0, "x")},
         "nothing": {"time": [], "energy": []}},
        {"sides": ("1/2 as much", "2× as much")},
    ),
    "tornado_long": (
        tornado_figure, {LONG: {"time": turned(22, 0.01, "power.voltage.knee"),
                                "energy": turned(22, 0.01, "power.voltage.knee")}},
        {"sides": SIDES},
    ),
}  # fmt: skip
"""Name: what draws it, its table, and what else it takes."""


@cache
def draw(name):
    """One figure of the gallery after its layout; tests share it, so they only look."""
    function, table, options = GALLERY[name]
    sheet = function(table, title=f"What {name} finds of attention on an H100", **options)
    sheet.draw_without_rendering()
    return sheet
