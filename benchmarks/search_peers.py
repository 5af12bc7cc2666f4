"""Einfall's side of the comparison with AccelForge: the same searches, and mappings of both.

    python benchmarks/search_peers.py FOLDER [--out DIRECTORY] [--host TEXT]

FOLDER has the JSON files of peers_accelforge.py; not all need be there. Written are

    times.csv   seconds to the optimum of both, and its latency and energy
    cross.csv   mappings of both under both models at 4096 tokens: traffic, energy, latency

Mappings for einfall are in search_data/accelforge, and what AccelForge says of one is in FOLDER.
What the tables mean and why they differ is told in docs/search_peers.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from einfall.einsum_cascades import load as load_cascade
from einfall.hw_models import load as load_machine
from einfall.sim.estimate import estimate
from einfall.sim.mapping import load as load_mapping
from einfall.sim.search import search

DATA = Path(__file__).parent / "search_data"
MACHINE = str(DATA / "fusemax_like.yaml")
CASCADES = {3: str(DATA / "attention_identity.cascade"), 6: "attention_3pass"}
LENGTHS, OBJECTIVES = (1024, 4096, 16384), ("energy", "latency")
CROSS_TOKENS = 4096
BYTES_PER_BIT = 1 / 8
FOUND = ("cpu_s", "wall_s", "latency_s", "energy_j")
PARTS = {
    "DRAM": "dram_j", "Buffer": "buffer_j", "MAC": "ops_j", "Lanes": "ops_j",
    "Register": "registers_j", "LaneRegisters": "registers_j",
}  # fmt: skip
CROSS = (
    # Einsums, mapping, einfall's file, AccelForge's answer
    (3, "einfall's optimum, energy", "einfall_3_energy", None),
    (3, "einfall's, one pair of ranks for all", "einfall_3", None),
    (3, "the same as AccelForge can say it", "einfall_3_as_theirs", "evaluate_3"),
    (3, "AccelForge's, energy", "theirs_3_energy", "search_3_4096_energy"),
    (3, "AccelForge's, energy, scores seen as they leave", "better_3", None),
    (3, "AccelForge's, latency", "theirs_3_latency", "search_3_4096_latency"),
    (6, "einfall's optimum, energy", "einfall_6_energy_wide", None),
    (6, "einfall's, one pair of ranks for all, energy", "einfall_6_energy", "evaluate_6_lanes"),
    (6, "einfall's, one pair of ranks for all, latency", "einfall_6_latency", None),
    (6, "AccelForge's, energy", "theirs_6_energy", "search_6_lanes_4096_energy"),
    (6, "AccelForge's, energy, scores seen as they leave", "better_6", None),
)  # fmt: skip

Row = dict[str, Any]


def shape(tokens: int) -> dict[str, int]:
    return {"heads": 12, "queries": tokens, "head_dim": 64}


def times(folder: Path) -> Iterator[Row]:
    """Searches of both: ours now, theirs as far as they are in the folder."""
    for einsums, tokens, objective in product(CASCADES, LENGTHS, OBJECTIVES):
        asked = {"einsums": einsums, "tokens": tokens, "objective": objective}
        yield asked | searched(einsums, tokens, objective)
        for lanes in ("", "_lanes"):
            found = said(folder, f"search_{einsums}{lanes}_{tokens}_{objective}")
            if found:
                by = f"AccelForge {found['accelforge']}{lanes and ', lanes with registers'}"
                host = {"host": found["host"]} if "host" in found else {}
                yield asked | {"by": by} | {name: found[name] for name in FOUND} | host


def searched(einsums: int, tokens: int, objective: str) -> Row:
    """One search of ours: seconds, and the latency and energy of the optimum."""
    cascade, machine = load_cascade(CASCADES[einsums]), load_machine(MACHINE)
    cpu, wall = time.process_time(), time.perf_counter()
    best = search(cascade, shape(tokens), machine, objective=objective).best
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    found = cpu, wall, best.latency_s, best.energy_j
    return {"by": f"einfall {version('einfall')}"} | dict(zip(FOUND, found, strict=True))


def said(folder: Path, name: str | None) -> Row | None:
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def ours(einsums: int, file: str) -> dict[str, float]:
    """A mapping under einfall's closed form."""
    cascade, machine = load_cascade(CASCADES[einsums]), load_machine(MACHINE)
    mapping = load_mapping(str(DATA / "accelforge" / f"{file}.yaml"))
    cost = estimate(cascade, shape(CROSS_TOKENS), machine, mapping)
    parts: dict[str, float] = defaultdict(float)
    for part, energy_j in cost.parts_j.items():
        unit, action = part.split(".")
        registers = "registers_j" if action.startswith("register") else "ops_j"
        parts[f"{unit}_j" if unit in ("dram", "buffer") else registers] += energy_j
    traffic = {f"{level}_bytes": n for level, n in cost.traffic_bytes.items()}
    return {**traffic, **parts, "energy_j": cost.energy_j, "latency_s": cost.latency_s}


def theirs(answer: Row) -> dict[str, float]:
    """A mapping under AccelForge's model, its actions summed up by part."""
    parts: dict[str, float] = defaultdict(float)
    for key, energy_j in answer["energy_by"].items():
        parts[PARTS[key.split("/")[1]]] += energy_j
    for key, bits in answer["actions_by"].items():
        level = key.split("/")[1].lower()
        if level in ("dram", "buffer"):
            parts[f"{level}_bytes"] += bits * BYTES_PER_BIT
    return {**parts, "energy_j": answer["energy_j"], "latency_s": answer["latency_s"]}


def cross(folder: Path) -> Iterator[Row]:
    """Each mapping under each model that can say it."""
    for einsums, name, file, answer in CROSS:
        asked = {"einsums": einsums, "mapping": name}
        yield asked | {"model": "einfall"} | ours(einsums, file)
        found = said(folder, answer)
        if found:
            yield asked | {"model": "AccelForge"} | theirs(found)


def write(path: Path, fields: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fields, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({k: f"{v:.7g}" if isinstance(v, float) else v for k, v in row.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=DATA / "accelforge")
    parser.add_argument(
        "--host", default="one core", help="what ran them, where their JSON has no host"
    )
    args = parser.parse_args()
    ran = {"date": date.today().isoformat(), "host": args.host}
    asked = ("einsums", "tokens", "objective", "by")
    write(args.out / "times.csv", (*asked, *FOUND, *ran), (ran | r for r in times(args.folder)))
    counted = ("dram_bytes", "buffer_bytes", *dict.fromkeys(PARTS.values()), *FOUND[2:])
    write(args.out / "cross.csv", ("einsums", "mapping", "model", *counted), cross(args.folder))


if __name__ == "__main__":
    main()
