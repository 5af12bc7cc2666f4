"""AccelForge's side of the comparison of mapping searches: search, or evaluate one mapping.

    PYTHON benchmarks/peers_accelforge.py search --einsums 3 --tokens 4096 --objective energy
    PYTHON benchmarks/peers_accelforge.py evaluate --einsums 3 --mapping FILE.yaml

PYTHON is one of 3.12 or later that has accelforge; einfall need not be there:

    python3.13 -m venv accelforge-venv
    accelforge-venv/bin/pip install accelforge==1.0.467

After a search AccelForge draws the mapping into the working directory with Graphviz: without the
program `dot` (package graphviz) it stops, and the mapping is lost. It has one job at a time; pin it
to a core with `taskset -c 0`. `--lanes` gives the vector unit registers, as units have in einfall.

The JSON file, named by the question, has the CPU seconds of the search alone, latency, energy by
part, bits moved, the mapping, and what the evaluator says of that mapping when it is given it
again. `search_peers.py` lays a folder of them beside einfall's answers; docs/search_peers.md says
what came out.
"""

from __future__ import annotations

import argparse
import json
import time
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import accelforge as af
from accelforge.model.main import InvalidMappingError

DATA = Path(__file__).resolve().parent / "search_data" / "accelforge"


def spec(einsums: int, tokens: int, *, lanes: bool, mapping: Path | None = None) -> af.Spec:
    """The machine and a workload of so many Einsums, and with them a mapping to evaluate."""
    files = [DATA / "machine.yaml", DATA / f"attention_{einsums}.yaml"]
    files += [mapping] if mapping else []
    values = {"TOKENS": tokens, "LANES": lanes}
    return af.Spec.from_yaml(*map(str, files), jinja_parse_data=values)


def search(asked: af.Spec, objective: str) -> tuple[Any, dict[str, float]]:
    """The optimum, and the CPU and wall seconds that it took."""
    asked.mapper.metrics = af.Metrics[objective.upper()]
    cpu, wall = time.process_time(), time.perf_counter()
    found = asked.map_workload_to_arch(print_progress=False)
    took = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    return found, {**took, "evaluated": float(found.valid_mappings)}


def node(of: Any) -> dict[str, Any]:
    """A node of a mapping as plain values: its kind, and what its YAML says."""
    kind = type(of).__name__
    plain: dict[str, Any] = {"kind": kind}
    if hasattr(of, "nodes"):
        return plain | {"nodes": [node(child) for child in of.nodes]}
    if hasattr(of, "tensors"):
        plain |= {"tensors": sorted(map(str, of.tensors)), "component": str(of.component)}
    if hasattr(of, "rank_variable"):
        ranks = of.rank_variable
        one = sorted(map(str, ranks)) if isinstance(ranks, (set, frozenset)) else str(ranks)
        plain |= {"rank_variable": one, "tile_shape": str(of.tile_shape)}
    if kind == "Spatial":
        plain |= {"name": str(of.name), "component": str(of.component)}
    if kind == "Compute":
        plain |= {"einsum": str(of.einsum), "component": str(of.component)}
    return plain


def answer(found: Any) -> dict[str, Any]:
    """Latency [s], energy [J] and actions [bits or ops], whole and by Einsum, part and tensor."""

    def flat(values: dict[Any, float]) -> dict[str, float]:
        return {"/".join(map(str, k)): float(v) for k, v in values.items() if v}

    parts = {"per_einsum": True, "per_component": True}
    return {
        "latency_s": float(found.latency()),
        "energy_j": float(found.energy()),
        "usage": {level: float(part) for level, part in found.resource_usage().items()},
        "latency_by": flat(found.latency(**parts)),
        "energy_by": flat(found.energy(**parts, per_tensor=True, per_action=True)),
        "actions_by": flat(found.actions(**parts, per_tensor=True)),
    }


def again(einsums: int, tokens: int, lanes: bool, mapping: Any) -> str:
    """What AccelForge's evaluator says of the mapping that its search hands out."""
    asked = spec(einsums, tokens, lanes=lanes)
    asked.model.metrics, asked.mapping = af.Metrics.all_metrics(), deepcopy(mapping)
    try:
        return f"latency_s {float(asked.evaluate_mapping().latency()):.7g}"
    except InvalidMappingError as refusal:
        return str(refusal)


def name(args: argparse.Namespace) -> str:
    """Of the answer's file: the question, as `search_peers.py` looks for it."""
    lanes = "_lanes" if args.lanes else ""
    more = f"_{args.tokens}_{args.objective}" if args.verb == "search" else ""
    return f"{args.verb}_{args.einsums}{lanes}{more}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=("search", "evaluate"))
    parser.add_argument("--einsums", type=int, choices=(3, 6), default=3)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--objective", choices=("energy", "latency"), default="energy")
    parser.add_argument("--lanes", action="store_true")
    parser.add_argument("--mapping", type=Path)
    parser.add_argument("--out", type=Path, help="by default a name made of the question")
    args = parser.parse_args()
    af.set_n_parallel_jobs(1)
    asked = spec(args.einsums, args.tokens, lanes=args.lanes, mapping=args.mapping)
    record = {"accelforge": version("accelforge"), **vars(args)}
    if args.verb == "search":
        found, took = search(asked, args.objective)
        mapping = found.mapping()
        record |= {**took, "mapping": [node(n) for n in mapping.nodes]}
        record["again"] = again(args.einsums, args.tokens, args.lanes, mapping)
    else:
        asked.model.metrics = af.Metrics.all_metrics()
        found = asked.evaluate_mapping()
    text = json.dumps(record | answer(found), indent=1, default=str)
    out = args.out or Path(f"{name(args)}.json")
    out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
