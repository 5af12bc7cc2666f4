"""A case of a sweep, a cascade on a machine with a mapping: answers for numbers and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from einfall.einsum_cascades import CascadeError
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.masks import MaskError
from einfall.einsum_cascades.shapes import ShapeError, rank_sizes
from einfall.hw_models import UnsupportedOpError
from einfall.hw_models import names as machine_names
from einfall.hw_models.library import Machine
from einfall.hw_models.overrides import with_overrides
from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios.sweeps.axes import MACHINE
from einfall.sim import choice, ruled
from einfall.sim.accounting import MODES
from einfall.sim.estimate import estimate
from einfall.sim.gpu.asked import (
    DECODE,
    FEW_QUERIES,
    FORWARD,
    SERVES,
    Asked,
    ask,
    known_kernel,
    own_fields,
)
from einfall.sim.gpu.estimate import estimate as gpu_estimate
from einfall.sim.gpu.many import IN_PASSES, IN_STEPS, launches
from einfall.sim.gpu.schedule import KernelSchedule, ScheduleError
from einfall.sim.mapping import Mapping as Mapped
from einfall.sim.mapping import MappingError
from einfall.sim.numeric import ceil_div

REFUSALS = (
    CascadeError, MaskError, ShapeError, SpecError, UnsupportedOpError, MappingError, ScheduleError
)  # fmt: skip
"""What says that a point cannot be: it is counted, with its reason."""

_LENGTHS = frozenset({"batch", "heads", "queries", "keys"})
_ARRAY = frozenset(
    f"{MACHINE}{path}"
    for path in ("dram.bandwidth", "dram.access_energy", "buffer.capacity", "buffer.read_energy",
                 "buffer.write_energy", "clock")
)  # fmt: skip
_GPU = frozenset(
    f"{MACHINE}{path}"
    for path in ("hbm.bandwidth", "hbm.achievable", "l2.bandwidth", "l2.capacity",
                 "sm.mufu_per_clock", "sm.fma_lanes", "sm.shared_bytes_per_clock", "energy.exp",
                 "energy.fma", "energy.shared", "energy.l2", "energy.hbm", "clock.boost",
                 "power.cap")
)  # fmt: skip

Settings = Mapping[str, Any]  # a size, a number or a text by key, or an array of numbers
Columns = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is fixed while numbers vary.

    `arrays` are the keys that may be arrays; an empty set has each point worked out by itself.
    """

    cascade: Cascade
    machine: Machine
    mapping: str | None
    dtype: str | None
    shape: Mapping[str, int]
    columns: tuple[str, ...]
    closed_form: bool
    accounting: str = "physical"
    simulate: bool = False
    arrays: frozenset[str] = field(default=frozenset())

    def with_arrays(self) -> Case:
        """The case with the keys for which arrays give what single numbers give."""
        return replace(self, arrays=_arrays(self))

    @property
    def approximate(self) -> bool:
        """Whether arrays give another answer than numbers do: causal kernels by closed form."""
        masked = self.machine.kind == "gpu" and self.cascade.mask is not None
        return bool(self.arrays) and masked and _in_steps(self.cascade)

    def one(self, settings: Settings) -> Columns:
        """The columns of one point, as `einfall estimate` answers.

        Raises:
            REFUSALS: The point cannot be.
        """
        return columns_of(self.estimate(settings), self.columns)

    def estimate(self, settings: Settings) -> Any:  # noqa: ANN401  any of our estimates
        """The estimate of one point.

        Raises:
            REFUSALS: The point cannot be.
        """
        shape = dict(self.shape) | {k: v for k, v in settings.items() if not _is_field(k)}
        machine: Any = _machine(self, tuple((k, v) for k, v in settings.items() if _is_field(k)))
        if machine.kind == "gpu":
            dtype = self.dtype or "bf16"
            return gpu_estimate(self.cascade, shape, machine, mapping=self.mapping, dtype=dtype)
        how: Any = {"accounting": MODES[self.accounting], "simulate": self.simulate}
        if machine.kind == "optical_4f":
            from einfall.sim.optical.estimate import estimate as optical_estimate
            from einfall.sim.optical.mapping import BEST, parse_mapping

            mapping = parse_mapping(self.mapping or BEST)
            return optical_estimate(self.cascade, shape, machine, mapping, **how)
        return estimate(self.cascade, shape, machine, self._mapping(shape, machine), **how)

    def _mapping(self, shape: Mapping[str, Any], machine: Machine) -> Mapped:
        """The mapping on a spatial array: the one that is named, or what suits."""
        accounting = MODES[self.accounting]
        return choice.mapping_for(
            self.cascade, shape, machine, name=self.mapping, accounting=accounting
        )

    def many(self, settings: Settings) -> Columns:
        """The columns of many points, of which some settings are arrays (see `arrays`).

        Raises:
            REFUSALS: One of them cannot be; a `DoesNotFitError` says which.
        """
        shape = dict(self.shape) | {k: v for k, v in settings.items() if not _is_field(k)}
        fields = {k: v for k, v in settings.items() if _is_field(k)}
        fixed = tuple((k, v) for k, v in fields.items() if not isinstance(v, np.ndarray))
        machine = _machine(self, fixed)
        varied = {k: v for k, v in fields.items() if isinstance(v, np.ndarray)}
        if machine.kind == "gpu":
            return _many_launches(self, shape, machine, varied)
        chosen, accounting = self._mapping(shape, machine), MODES[self.accounting]
        if varied:
            machine = with_overrides(machine, {_path(k): v for k, v in varied.items()})
        found = estimate(self.cascade, shape, machine, chosen, accounting=accounting)
        return columns_of(found, self.columns)


def columns_of(found: Any, names: Iterable[str]) -> Columns:  # noqa: ANN401  any of our estimates
    """Columns of an estimate; None where it has no such part."""
    columns: Columns = {}
    for name in names:
        root, _, part = name.partition(".")
        if root == "power_w":
            columns[name] = found.energy_j / found.latency_s
            continue
        value = getattr(found, root, None)
        columns[name] = value.get(part) if part and value is not None else value
    return columns


def parts_of(case: Case, settings: Settings) -> dict[str, tuple[str, ...]]:
    """Names of the parts of each column that has parts, for one point."""
    roots = ("utilization", "traffic_bytes", "busy_s")
    found = replace(case, columns=roots).one(settings)
    return {root: tuple(found[root] or ()) for root in roots}


def _is_field(key: str) -> bool:
    return key.startswith(MACHINE)


def _path(key: str) -> str:
    return key.removeprefix(MACHINE)


def _machine(case: Case, fields: tuple[tuple[str, Any], ...]) -> Machine:
    """The machine with fields set anew; the last few are kept."""
    return _changed(id(case.machine), fields, _Kept(case.machine)) if fields else case.machine


class _Kept:
    """A machine beside the key by which it is kept; all are alike to the cache."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and self.machine is other.machine

    def __hash__(self) -> int:
        return id(self.machine)


@lru_cache(maxsize=512)
def _changed(_: int, fields: tuple[tuple[str, Any], ...], kept: _Kept) -> Machine:
    return with_overrides(kept.machine, {_path(k): v for k, v in fields})


# Arrays -------------------------------------------------------------------------------------------


def _arrays(case: Case) -> frozenset[str]:
    """Keys that may be arrays, by kind of machine."""
    kind, mask = case.machine.kind, case.cascade.mask
    if kind == "gpu":
        causal = mask is not None and own_fields(mask.spec) == {"causal": True}
        if case.mapping == choice.BEST:  # which is a kernel of its own at each point
            return _NONE
        able = (*SERVES["decode"], *SERVES["three_pass"], *(() if mask else SERVES["chunked"]))
        listed = causal and not case.closed_form and _in_steps(case.cascade)
        if case.cascade.name not in able or listed or not (mask is None or causal):
            return _NONE
        return _LENGTHS | {"kv_heads"} | _GPU | _tensor_rates(case.machine)
    if kind != "spatial_array" or case.simulate:
        return _NONE
    machine: Any = case.machine
    if (case.mapping or ruled.default_name(case.cascade, machine)) in choice.FAMILIES:
        return _NONE
    return (frozenset({"batch"}) if mask else _LENGTHS) | _ARRAY


_NONE: frozenset[str] = frozenset()


def _in_steps(cascade: Cascade) -> bool:
    """Whether kernels of a cascade are blocks of steps, which a causal mask makes unlike."""
    return cascade.name in SERVES["decode"]


def _tensor_rates(gpu: Any) -> frozenset[str]:  # noqa: ANN401
    """Rates and energies of the tensor cores; not where a rate chooses the fit, see `fit_for`."""
    fields = ("energy.mma", "sm.tensor") if gpu.name in machine_names() else ("energy.mma",)
    return frozenset(f"{MACHINE}{field}.{dtype}" for field in fields for dtype in gpu.sm.tensor)


def _many_launches(
    case: Case,
    shape: Mapping[str, Any],
    gpu: Any,  # noqa: ANN401
    varied: Mapping[str, np.ndarray],
) -> Columns:
    """On a GPU: points whose kernel has no closed form for arrays are worked out one by one."""
    by_symbol = rank_sizes(replace(case.cascade, mask=None), shape)
    sizes = {r.shape_key: by_symbol[r.symbol] for r in case.cascade.ranks if r.shape_key}
    which = _which_kernel(case, sizes, gpu)
    everything = {**sizes, **varied, "": which}
    dims = np.broadcast_shapes(*(np.shape(x) for x in everything.values()))
    kinds = np.unique(which)
    if len(kinds) == 1:
        return _launches(case, sizes, gpu, varied, dims)
    flat = {k: np.broadcast_to(x, dims).ravel() for k, x in everything.items()}
    columns: Columns = {}
    for kind in kinds:
        own = np.flatnonzero(flat[""] == kind)
        chosen = {k: _alike(x[own]) for k, x in flat.items() if k}
        its = {k: v for k, v in chosen.items() if k in sizes}
        fields = {k: np.asarray(v) for k, v in chosen.items() if k in varied}
        for name, values in _launches(case, its, gpu, fields, own.shape).items():
            column = columns.setdefault(name, empty(name, flat[""].shape))
            column[own] = np.nan if values is None else values
    return {name: column.reshape(dims) for name, column in columns.items()}


def _alike(values: np.ndarray) -> Any:  # noqa: ANN401
    """A number where all are the same."""
    return values[0].item() if (values == values[0]).all() else values


def empty(name: str, dims: tuple[int, ...]) -> np.ndarray:
    """A column without answers."""
    return np.full(dims, "", "U16") if name == "bound" else np.full(dims, np.nan)


def _which_kernel(case: Case, sizes: Mapping[str, Any], gpu: Any) -> np.ndarray:  # noqa: ANN401
    """Numbers that differ where the choice of the kernel can differ between points."""
    keys, masked = sizes.get("keys", sizes["queries"]), case.cascade.mask is not None
    if not _in_steps(case.cascade):  # chunks take as many keys as queries
        chunked = case.cascade.name in SERVES["chunked"]
        return np.asarray(chunked * (keys != sizes["queries"]) + masked * (keys < sizes["queries"]))
    group = sizes["heads"] / sizes["kv_heads"]
    few = sizes["queries"] <= FEW_QUERIES
    code = few + np.zeros(())
    if masked:  # one query sees every key; more queries than keys see none at first
        code = 3 * code + (keys < sizes["queries"]) + 2 * (sizes["queries"] == 1)
    by_default = (*FORWARD[gpu.generation], *DECODE[gpu.generation])
    able = (case.mapping,) if case.mapping else tuple(dict.fromkeys(by_default))
    for kernel in (k for k in map(known_kernel, able) if k.otherwise):
        blocks = sizes["batch"] * sizes["heads"] * ceil_div(sizes["queries"], 64)
        code = 2 * code + (group >= kernel.least_group)
        code = 2 * code + (blocks >= kernel.least_blocks_per_sm * gpu.sms)
    return np.asarray(code)


def _launches(
    case: Case,
    sizes: Mapping[str, Any],
    gpu: Any,  # noqa: ANN401
    varied: Mapping[str, np.ndarray],
    dims: tuple[int, ...],
) -> Columns:
    """Points that all run the same kernel."""
    first = {key: int(np.ravel(size)[0]) for key, size in sizes.items()}
    asked = ask(case.cascade, first, gpu, mapping=case.mapping, dtype=case.dtype or "bf16")
    if not _has_closed_form(asked, sizes, masked=case.cascade.mask is not None):
        return _one_by_one(case, sizes, gpu, varied, dims)
    numbers = ("batch", "heads", "kv_heads", "queries", "keys")
    problem = replace(asked.problem, **{k: sizes.get(k, sizes["queries"]) for k in numbers})
    array = with_overrides(gpu, {_path(k): v for k, v in varied.items()}) if varied else gpu
    return columns_of(launches(asked.kernel, array, problem, asked.fit.parameters), case.columns)


def _has_closed_form(asked: Asked, sizes: Mapping[str, Any], *, masked: bool) -> bool:
    """Whether `launches` answers for the kernel and mask."""
    kernel: KernelSchedule = asked.kernel
    if kernel.does in IN_PASSES:
        return not masked or bool(np.all(sizes["keys"] >= sizes["queries"]))
    if kernel.does not in IN_STEPS or asked.problem.visited is not None:
        return False
    if kernel.does == "decode":  # a mask leaves out keys, but none for the last query
        return asked.problem.window is None and (not masked or bool(np.all(sizes["queries"] == 1)))
    if not asked.problem.causal:
        return True
    whole = kernel.skips and kernel.mask_block is None and not kernel.masks_all
    return whole and bool(np.all(sizes["keys"] >= sizes["queries"]))


def _one_by_one(
    case: Case,
    sizes: Mapping[str, Any],
    gpu: Any,  # noqa: ANN401
    varied: Mapping[str, np.ndarray],
    dims: tuple[int, ...],
) -> Columns:
    single = replace(case, machine=gpu, shape={})
    flat = {k: np.broadcast_to(x, dims).ravel() for k, x in {**sizes, **varied}.items()}
    found: Columns = {name: empty(name, (int(np.prod(dims)),)) for name in case.columns}
    for i in range(int(np.prod(dims))):
        point = {k: int(x[i]) if k in sizes else float(x[i]) for k, x in flat.items()}
        for name, value in single.one(point).items():
            found[name][i] = np.nan if value is None else value
    return {name: column.reshape(dims) for name, column in found.items()}
