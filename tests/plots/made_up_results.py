"""A made-up table of results with every configuration, as a scenario writes it."""

SECONDS = {
    "unfused": 12.0,
    "flat": 6.0,
    "plus_cascade": 8.0,
    "plus_architecture": 3.0,
    "plus_binding_fusemax": 1.0,
}
"""Latency by configuration; the energy [J] is ten times that."""

EINSUMS = {
    "flat": {"QK": 0.06, "AV": 0.06},
    "plus_cascade": {"QK": 0.05, "SLNV": 0.05},
    "plus_architecture": {"QK": 0.1, "LM": 0.01, "SLN": 0.02, "SLD": 0.01, "SLNV": 0.1},
    "plus_binding_fusemax": {"QK": 0.4, "LM": 0.01, "SLN": 0.05, "SLD": 0.01, "SLNV": 0.4},
}


def row(config, model, seq_len, metric, value, **others):
    known = {"kernel": "attention", "pe_dim": "", "unit": ""}
    given = {"config": config, "model": model, "seq_len": seq_len, "metric": metric, "value": value}
    return known | given | others


def table(models=("BERT", "T5"), lengths=("1K", "64K", "1M")):
    """Rows as read from a CSV file: values are text."""
    rows = []
    for model in models:
        for seq_len in lengths:
            for config, seconds in SECONDS.items():
                place = (config, model, seq_len)
                rows.append(row(*place, "latency", str(seconds), unit="s"))
                rows.append(row(*place, "energy", str(10 * seconds), unit="J"))
                rows.append(row(*place, "util_1d", "1.0"))
                parts = EINSUMS.get(config, {})
                rows.append(row(*place, "util_2d", str(sum(parts.values()) or 0.08)))
                rows += [row(*place, f"util_2d_einsum_{e}", str(u)) for e, u in parts.items()]
    return rows


def sweep(edges=(16, 64, 256), models=("BERT", "T5")):
    """Rows of a pareto sweep: area d^2 mm^2, latency 4096 / d^2 s, T5 twice as fast."""
    rows = []
    for model in models:
        for d in edges:
            place = {"kernel": "pareto", "pe_dim": str(d)}
            seconds = 4096 / d**2 / (2 if model == "T5" else 1)
            rows.append(row("fusemax", model, "256K", "area", d * d * 1e6, unit="um^2", **place))
            rows.append(row("fusemax", model, "256K", "latency", seconds, unit="s", **place))
    return rows
