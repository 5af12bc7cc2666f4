"""Calibrated parameters of the kernels: `calibration.csv`, and which of its fits serves a question.

A fit belongs to a kernel, a machine and a harness: what was timed around the kernel. Where there is
none for a machine, that of a sibling serves, which differs in its memory or its clock alone; where
the harness is unknown, the bare kernel's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from einfall.hw_models import load as load_machine
from einfall.sim.gpu.schedule import KERNELS, KernelSchedule, Parameters
from einfall.sim.gpu.schedule import load as load_kernel
from einfall.sim.numeric import maximum

TABLE = KERNELS / "calibration.csv"
COLUMNS = ("kernel", "machine", "harness", "parameter", "value", "half_width", "unit", "status",
           "data", "rows", "fit_mape", "unseen_mape")  # fmt: skip
# Machines whose SMs are those of another: only memory, power or the number of SMs differ.
SIBLINGS: Mapping[str, tuple[str, ...]] = {
    "h200": ("h100_sxm",),
    "h800": ("h100_sxm",),
    "h20": ("h100_sxm",),
    "b300": ("b200",),
    "gb200": ("b200",),
    "gb300": ("b200",),
    "rtx4090": ("l40s",),
    "l20": ("l40s",),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters, and where they come from: `fit` or the assumption of the schedule.

    `unseen_mape` is the error on rows that the fit had not seen, `moved_s` how much longer a launch
    takes than where it was fitted.
    """

    parameters: Parameters
    machine: str
    harness: str
    data: str
    unseen_mape: float | None
    moved_s: float = 0.0

    def __str__(self) -> str:
        """In a line, as it is printed."""
        if not self.data:
            return "assumption: the schedule's parameters, no timing of this kernel was fitted"
        where = f"fitted: {self.data} ({self.machine}, {self.harness})"
        if self.unseen_mape is None:
            return f"{where}, too few timings to leave any out"
        return f"{where}, {self.unseen_mape:.1%} on shapes left out"


def calibration(kernel: KernelSchedule, machine: str, harness: str = "bare") -> Calibration:
    """The fit that serves a kernel on a machine under a harness.

    First the machine's own, then its siblings', then that of another of its generation; each under
    the harness asked for, then bare, then any. A kernel without one takes that of its `like`,
    with the parameters that its own file states in their place.

    >>> from einfall.sim.gpu.schedule import load
    >>> calibration(load("flash2"), "h200").machine
    'h100_sxm'
    """
    fits = {k[1:]: v for k, v in _table().items() if k[0] == kernel.kernel}
    for near in (machine, *SIBLINGS.get(machine, ()), *_alike(machine, fits)):
        known = [h for m, h in fits if m == near]
        for wanted in (harness, "bare", *known):
            if wanted in known:
                return _built(kernel, near, wanted, fits[near, wanted])
    if kernel.like is not None:
        near = calibration(load_kernel(kernel.like), machine, harness)
        stated = kernel.parameters
        own = {name: getattr(stated, name) for name in stated.model_fields_set}
        return replace(near, parameters=near.parameters.model_copy(update=own))
    return Calibration(kernel.parameters, machine, harness, "", None)


def moved(fit: Calibration, by_s: float) -> Calibration:
    """The fit of a machine on which a launch takes longer by so much [s], but no less than nothing.

    >>> from einfall.sim.gpu.schedule import load
    >>> fit = calibration(load("flash2"), "h100_sxm")
    >>> moved(fit, -1.0).parameters.launch_s, moved(fit, 0.0) == fit
    (0.0, True)
    """
    launch_s = maximum(fit.parameters.launch_s + by_s, 0.0)
    parameters = fit.parameters.model_copy(update={"launch_s": launch_s})
    return replace(fit, parameters=parameters, moved_s=by_s)


def _alike(machine: str, fits: Mapping[tuple[str, str], Any]) -> tuple[str, ...]:
    """Machines of the same generation that have a fit, those nearest in tensor rate first."""
    own: Any = load_machine(machine)
    others: list[Any] = [load_machine(m) for m in dict.fromkeys(m for m, _ in fits)]
    same = [g for g in others if g.generation == own.generation]
    rate = own.sm.tensor["bf16"]
    return tuple(g.name for g in sorted(same, key=lambda g: abs(g.sm.tensor["bf16"] - rate)))


def _built(
    kernel: KernelSchedule, machine: str, harness: str, lines: tuple[Mapping[str, str], ...]
) -> Calibration:
    values = {line["parameter"]: float(line["value"]) for line in lines}
    first = lines[0]
    return Calibration(
        parameters=kernel.parameters.model_copy(update=values),
        machine=machine,
        harness=harness,
        data=first["data"],
        unseen_mape=_known(first["unseen_mape"]),
    )


def _known(error: str) -> float | None:
    """An error of the table, none where no timing was left out.

    >>> _known("0.05"), _known(""), _known("nan")
    (0.05, None, None)
    """
    return float(error) if error not in ("", "nan") else None


def forget() -> None:
    """Read the table anew at the next question, after it was written."""
    _table.cache_clear()


@cache
def _table() -> Mapping[tuple[str, str, str], tuple[Mapping[str, str], ...]]:
    if not TABLE.exists():
        return {}
    fits: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    with TABLE.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            key = (line["kernel"], line["machine"], line["harness"])
            fits.setdefault(key, []).append(line)
    return {key: tuple(lines) for key, lines in fits.items()}
