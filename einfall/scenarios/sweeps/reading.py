"""Reading a sweep: what its names stand for, and every mistake at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from einfall.einsum_cascades import load as load_cascade
from einfall.einsum_cascades import with_mask
from einfall.einsum_cascades.einsum import Cascade
from einfall.einsum_cascades.masks import MaskSpec, parse_mask
from einfall.einsum_cascades.shapes import DEFAULTS, ShapeError, rank_sizes, shape_keys
from einfall.hw_models import load as load_machine
from einfall.hw_models.library import Machine
from einfall.hw_models.overrides import with_overrides
from einfall.hw_models.yaml_door import Document, SpecError, did_you_mean, dotted
from einfall.scenarios import library
from einfall.scenarios.sweeps import spec as files
from einfall.scenarios.sweeps.arrays import SINGLES, tried
from einfall.scenarios.sweeps.axes import (
    CHOICES,
    MACHINE,
    NAMED,
    SIZE,
    Axis,
    Column,
    Value,
    field_of,
    read_axes,
    unit_at,
)
from einfall.scenarios.sweeps.cases import REFUSALS, Case, parts_of
from einfall.scenarios.sweeps.constraints import Constraint, read_constraint, unit_of_column
from einfall.scenarios.sweeps.grid import Grid
from einfall.scenarios.sweeps.plan import Choice, Plan, Variant, asked
from einfall.scenarios.sweeps.spec import RATIOS, Sweep
from einfall.sim import choice, mapping
from einfall.sim.gpu.problem import ELEMENT_BYTES
from einfall.sim.gpu.schedule import names as kernel_names

_WORDS: Mapping[str, float] = dict(ELEMENT_BYTES) | {"int8": 1}


def plan(name_or_path: str | Path) -> Plan:
    """Read a sweep that ships, or a YAML file, and make it ready.

    Raises:
        SpecError: No such sweep, or all the mistakes in its file.
    """
    return planned(library.read(name_or_path), str(name_or_path))


def planned(document: Document, asked_as: str, *, beside: Sequence[str] = ()) -> Plan:
    """Make a sweep ready.

    Args:
        document: Its YAML.
        asked_as: The name or path that it was read from.
        beside: Columns to ask for beside those of the file.

    Raises:
        SpecError: All the mistakes in its file.
    """
    kind = library.kind_of(document)
    if kind != "sweep":
        known = ", ".join(library.names("sweep"))
        text = f"want a sweep, such as {known}, found {kind!r}; einfall run takes it"
        document.report(("kind",), text)
        raise document.error()
    sweep = files.remaining(document)
    if sweep is None:
        raise document.error()
    columns = tuple(dict.fromkeys((*sweep.columns, *beside)))
    found = _Reader(sweep.model_copy(update={"columns": columns}), document).plan()
    if document.problems:
        raise document.error()
    return replace(found, asked_as=asked_as)


class _Reader:
    """Reads what the names of a sweep stand for, and reports mistakes at their places."""

    def __init__(
        self, sweep: Sweep, document: Document, last: Mapping[str, Value] | None = None
    ) -> None:
        """Read the axes.

        Args:
            sweep: What the file says.
            document: Where it says it, and where mistakes are reported.
            last: Fields of the machine that are set after all changes, as axes are.
        """
        self.sweep, self.document, self.last = sweep, document, last or {}
        self.axes = self._axes()
        self.cascades: dict[str, Cascade] = {}
        self.machines: dict[Variant, Machine] = {}
        self.masks: dict[str, MaskSpec] = {}
        self.columns = {c.key: c for axis in self.axes for c in axis.columns}

    def plan(self) -> Plan:
        self._read_names()
        fields, values = self._values()
        sizes = self._sizes(fields, values)
        spoken_of = self._spoken_of()
        constraints = tuple(self._constraints(("keep",), self.sweep.keep, spoken_of))
        if self.document.problems:
            raise self.document.error()
        found = Plan(
            sweep=self.sweep,
            axes=tuple(axis.keys for axis in self.axes),
            grid=Grid(sizes, SINGLES),
            values=values,
            fields=fields,
            cases={},
            constraints=constraints,
            spoken_of=spoken_of,
            heads={key: self._head(key) for key in self.columns},
        )
        found = replace(found, cases=self._cases(found), base=self._base())
        self._check_ratios(found)
        self._check_columns(found)
        self._check_shown(found)
        if self.document.problems:
            raise self.document.error()
        return tried(found)

    def _axes(self) -> list[Axis]:
        """Lists of names first, then the axes of the file."""
        axes, wrong = read_axes(self.sweep.axes)
        for at, text in wrong:
            self.document.report(at, text)
        own = {column.key for axis in axes for column in axis.columns}
        lists = []
        for key in CHOICES:
            names = self.sweep.names_of(key)
            if key in own and names and key not in NAMED:
                self.document.report((key,), f"want {key} here or in axes, found it in both")
            elif len(names) > 1 and key not in own:
                lists.append(Axis((Column(key, names, (NAMED.get(key, key),)),)))
            lacks = key in ("cascade", "machine") and not names and key not in own
            if lacks and not self._has_mistakes(key):
                self.document.report((key,), "want a value, found none")
        return [*lists, *axes]

    def _named(self, key: str) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        """The names of a choice, each with its place."""
        column = self.columns.get(key)
        if column is None:
            for name in self.sweep.names_of(key):
                yield name, (NAMED.get(key, key),)
        elif isinstance(column.values, tuple):
            for n, name in enumerate(column.values):
                yield str(name), (*column.at, n)

    def _file(self, name: str) -> str:
        """A name as it is; the path of a file that lies beside the sweep, and not where we are."""
        beside = Path(self.document.file).parent / name
        is_file = name.endswith((".yaml", ".yml", ".cascade"))
        return str(beside) if is_file and not Path(name).exists() and beside.exists() else name

    def _read_names(self) -> None:
        for name, at in self._named("cascade"):
            self._note(at, lambda n=name: self.cascades.setdefault(n, load_cascade(self._file(n))))
        for name, at in self._named("mask"):
            if name != "dense":
                self._note(at, lambda n=name: self.masks.setdefault(n, parse_mask(n)))
        for name, at in self._named("dtype"):
            if name not in _WORDS:
                hint = did_you_mean(name, _WORDS)
                self.document.report(at, f"want one of {', '.join(_WORDS)}, found {name!r}{hint}")
        for name, at in self._named("mapping"):
            self._note(at, lambda n=name: _check_mapping(self._file(n)))
        for key, field in NAMED.items():
            known = self.sweep.names_of(key)
            for name, at in self._named(key):
                if name not in known:
                    text = f"want one of {field} ({', '.join(known)}), found {name!r}"
                    self.document.report(at, text + did_you_mean(name, known))
        self._read_machines()

    def _read_machines(self) -> None:
        """Every machine with all that is set anew, as it is and with each change."""
        for name, at in self._named("machine"):
            self._note(
                at, lambda n=name: self.machines.setdefault((n, None), load_machine(self._file(n)))
            )
        self._set_all(self.sweep.set)
        plain = list(self.machines)
        for name, change in self.sweep.changes.items():
            for variant in plain:
                own = (variant[0], name)
                at = ("changes", name)
                self._note(at, lambda v=variant, o=own, c=change: self._set(v, o, c))
        if self.sweep.changes:
            for variant in plain:
                del self.machines[variant]
        self._set_all(self.last)

    def _set_all(self, fields: Mapping[str, Value]) -> None:
        """Set fields of every machine anew."""
        for path, value in fields.items():
            for variant in list(self.machines):
                change = {path: value}
                self._note(("set", path), lambda v=variant, c=change: self._set(v, v, c))

    def _set(self, variant: Variant, to: Variant, change: Mapping[str, Value]) -> None:
        self.machines[to] = with_overrides(self.machines[variant], change)

    def _note(self, at: tuple[str | int, ...], attempt: Any) -> None:  # noqa: ANN401
        """Report what goes wrong at a place."""
        try:
            attempt()
        except (*REFUSALS, ValueError) as error:
            for line in dict.fromkeys(str(error).splitlines()):
                self.document.report(at, line.partition(": ")[2] if _is_path(line) else line)

    def _values(self) -> tuple[dict[Any, tuple[Value, ...]], dict[str, tuple[Value, ...]]]:
        fields: dict[tuple[str, Variant], tuple[Value, ...]] = {}
        values: dict[str, tuple[Value, ...]] = {}
        known = {k for c in self.cascades.values() for k in (*shape_keys(c), *DEFAULTS)}
        for key, column in self.columns.items():
            if key.startswith(MACHINE):
                for variant, machine in self.machines.items():
                    self._note(
                        column.at,
                        lambda k=key, v=variant, m=machine, c=column: fields.update(
                            {(k, v): c.read(m)}
                        ),
                    )
                continue
            if key not in CHOICES and known and key not in known:
                self._unknown_key(key, column.at, known)
                continue
            self._note(column.at, lambda k=key, c=column: values.update({k: c.read(None)}))
        for at, key in self._fixed_sizes():
            if known and key not in known:
                self._unknown_key(key, at, known)
            if key in self.columns:
                self.document.report(at, f"want {key} here or in axes, found both")
        for key in self.sweep.baseline:
            is_known = key in (*CHOICES, *known) or key.startswith(MACHINE)
            if known and not is_known:
                self._unknown_key(key, ("baseline", key), known)
        self._check_sizes(values)
        return fields, values

    def _fixed_sizes(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Keys of the shape and of every workload, each with its place."""
        for key in self.sweep.shape:
            yield ("shape", key), key
        for name, shape in self.sweep.workloads.items():
            for key in shape:
                yield ("workloads", name, key), key

    def _unknown_key(self, key: str, at: tuple[str | int, ...], known: set[str]) -> None:
        words = ", ".join(sorted(known))
        wanted = f"want a key of the shape ({words}), machine.… or one of {', '.join(CHOICES)}"
        hint = did_you_mean(key, (*known, *CHOICES))
        self.document.report(at, f"{wanted}, found {key!r}{hint}")

    def _check_sizes(self, values: Mapping[str, tuple[Value, ...]]) -> None:
        """Whether every cascade has the sizes it needs."""
        varied: Any = {k: v[0] for k, v in values.items() if k not in CHOICES}
        shapes = {("workloads", n): s for n, s in self.sweep.workloads.items()} or {("shape",): {}}
        for cascade, (at, shape) in product(self.cascades.values(), shapes.items()):
            sizes = {**self.sweep.shape, **shape, **varied}
            try:
                rank_sizes(cascade, sizes)
            except ShapeError as error:
                lacking = [p for p in error.problems if "wanted a size for" in p]
                for problem in lacking if sizes else error.problems:
                    if not self._has_mistakes("axes", "shape", "workloads"):
                        self.document.report(at, problem)

    def _has_mistakes(self, *fields: str) -> bool:
        return any(p.keys[:1] and p.keys[0] in fields for p in self.document.problems)

    def _sizes(
        self, fields: Mapping[tuple[str, str | None], Any], values: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """Places of each axis; what goes together has as many, on every machine."""
        sizes = []
        for axis in self.axes:
            found: dict[str, int] = {}
            for column in axis.columns:
                for variant in self.machines if column.key.startswith(MACHINE) else (None,):
                    read = (variant and fields.get((column.key, variant))) or values.get(column.key)
                    if read:
                        on = f" on {' with '.join(filter(None, variant))}" if variant else ""
                        found[column.key + on] = len(read)
            if len(set(found.values())) > 1:
                numbers = ", ".join(f"{n} of {key}" for key, n in found.items())
                at = axis.columns[0].at
                self.document.report(at, f"want as many values of each, found {numbers}")
            sizes.append(next(iter(found.values()), 1))
        return tuple(sizes)

    def _constraints(
        self, place: tuple[str | int, ...], texts: Sequence[str], names: Mapping[str, str]
    ) -> Iterator[Constraint]:
        """The conditions of a field, about names of which the units are given."""
        for n, text in enumerate(texts):
            found: list[Constraint] = []
            self._note((*place, n), lambda t=text, f=found: f.append(read_constraint(t, names)))
            yield from found

    def _spoken_of(self) -> dict[str, str]:
        """What a condition may speak of, with the unit of each."""
        keys = {k for c in self.cascades.values() for k in shape_keys(c)}
        names = dict.fromkeys(sorted(keys | {key for _, key in self._fixed_sizes()}), "size")
        for key in self.columns:
            names[key] = "text" if key in CHOICES else self._unit(key)
        for name in (*files.ROOTS, *self.sweep.columns):
            names[name] = unit_of_column(name)
        return names

    def _unit(self, key: str) -> str:
        """Unit of an axis: that of the machine's field, or a size."""
        if not key.startswith(MACHINE):
            return "size"
        for machine in self.machines.values():
            try:
                return unit_at(machine, key.removeprefix(MACHINE))
            except ValueError:
                continue
        return ""

    def _head(self, key: str) -> str:
        """Name of an axis in the table; that of a machine's field with its unit."""
        if not key.startswith(MACHINE):
            return key
        machine = next(iter(self.machines.values()))
        before, dot, _ = key.rpartition(".")
        return before + dot + field_of(machine, key.removeprefix(MACHINE))[1]

    def _base(self) -> Plan | None:
        """The plan of the baseline: its settings in place of axes, or of what is fixed."""
        if not self.sweep.baseline:
            return None
        for axis in self.axes:
            missing = [k for k in axis.keys if k not in self.sweep.baseline]
            if missing and len(missing) < len(axis.keys):
                text = f"want all of {', '.join(axis.keys)}, which go together; lacks {missing[0]}"
                self.document.report(("baseline",), text)
        try:
            sweep = based(self.sweep)
        except ValueError as error:
            self.document.report(("baseline",), str(error))
            return None
        own = replace(self.document, problems=[])
        try:
            return _Reader(sweep, own, last=_fields(self.sweep.baseline)).plan()
        except SpecError:
            for problem in own.problems:
                self.document.report(("baseline",), f"{dotted(problem.keys)}: {problem.message}")
            return None

    def _check_ratios(self, found: Plan) -> None:
        """Whether there is a baseline for what compares with one."""
        ratios = [name for name in found.asked if name in RATIOS]
        if ratios and not self.sweep.baseline:
            place = "columns" if ratios[0] in self.sweep.columns else "keep"
            way_out = "add one, such as baseline: {dtype: bf16}"
            self.document.report(
                (place,), f"want a baseline for {ratios[0]}, found none; {way_out}"
            )

    def _check_shown(self, found: Plan) -> None:
        """Whether answers and figures are of columns that there are."""
        known = tuple(dict.fromkeys((*self.columns, *found.asked)))
        names = {name: unit for name, unit in found.spoken_of.items() if name in known}
        for n, question in enumerate(self.sweep.answers):
            used = {"most" if question.least is None else "least": question.column}
            used |= {f"for_each.{i}": name for i, name in enumerate(question.for_each)}
            self._check_used(("answers", n), used, known)
            list(self._constraints(("answers", n, "where"), question.where, names))
        for n, figure in enumerate(self.sweep.figures):
            self._check_used(("figures", n), figure.used(), known)
            list(self._constraints(("figures", n, "where"), figure.where, names))

    def _check_used(
        self, at: tuple[str | int, ...], used: Mapping[str, str], known: Sequence[str]
    ) -> None:
        for field, name in used.items():
            if name not in known:
                text = f"want an axis or a column ({', '.join(known)}), found {name!r}"
                hint = did_you_mean(name, known)
                self.document.report((*at, field.partition(".")[0]), text + hint)

    def _cases(self, found: Plan) -> dict[Choice, Case]:
        """Every case that the axes choose between."""
        axes = [range(n) if found.is_choice(a) else (0,) for a, n in enumerate(found.grid.dims)]
        cases: dict[Choice, Case] = {}
        for places in product(*axes):
            names = found.choice(places)
            if names not in cases:
                case = self._case(found, names)
                cases |= {names: case} if case else {}
        return cases

    def _case(self, found: Plan, names: Choice) -> Case | None:
        """A case, or None with what is wrong with it noted."""
        sweep = found.sweep
        what, on = self.cascades[str(names.cascade)], self.machines[names.variant]
        if names.mask is not None and names.mask != "dense":
            try:
                what = with_mask(what, self.masks[names.mask])
            except REFUSALS as error:
                self.document.report(("mask",), str(error))
                return None
        if names.dtype is not None and on.kind != "gpu":
            on = with_overrides(on, {"word": f"{_WORDS[names.dtype] * 8:g} bit"})
        if sweep.accounting != "physical" and on.kind == "gpu":
            text = f"want physical on a GPU ({names.machine}), found {sweep.accounting}"
            self.document.report(("accounting",), text)
            return None
        return Case(
            cascade=what,
            machine=on,
            mapping=names.mapping and self._file(names.mapping),
            dtype=names.dtype,
            shape={**sweep.shape, **sweep.workloads.get(str(names.workload), {})},
            columns=tuple(c for c in asked(sweep, found.constraints) if c not in RATIOS),
            closed_form=sweep.method != "exact",
            accounting=sweep.accounting,
            simulate=sweep.simulate,
        )

    def _check_columns(self, found: Plan) -> None:
        """Whether some case has each part that a column names."""
        wanted = [c for c in found.asked if "." in c]
        if not wanted:
            return
        parts: dict[str, dict[str, None]] = {}
        for names, case in found.cases.items():
            settings = {k: found.values_of(k, names)[0] for k in found.keys if k not in CHOICES}
            try:
                for root, its in parts_of(case, settings).items():
                    parts.setdefault(root, {}).update(dict.fromkeys(its))
            except REFUSALS:
                return  # the first point cannot be: nothing is known
        for column in wanted:
            root, _, part = column.partition(".")
            known = parts.get(root, {})
            if part not in known:
                n = next((i for i, c in enumerate(found.sweep.columns) if c == column), None)
                at = ("columns", n) if n is not None else ("columns",)
                hint = did_you_mean(part, known)
                text = f"want {root} of one of {', '.join(known)}, found {part!r}{hint}"
                self.document.report(at, text)


def _is_path(line: str) -> bool:
    """Whether a message starts with the field that it is about, which the file says itself."""
    head = line.partition(": ")[0]
    return head in {*CHOICES, "keys"} or head.startswith("--set ")


def _check_mapping(name: str) -> None:
    from einfall.sim.optical.mapping import parse_mapping

    if name.endswith((".yaml", ".yml")):
        mapping.load(name)
        return
    known = (*choice.names(), *kernel_names())
    if name in known:
        return
    try:
        parse_mapping(name)
    except REFUSALS:
        hint = did_you_mean(name, known)
        text = f"want a mapping, a kernel or a file.yaml, found {name!r}{hint}"
        raise ValueError(text) from None


def based(sweep: Sweep) -> Sweep:
    """The sweep with the sizes and names of its baseline, and without the axes that it fixes.

    Fields of the machine are not in it: they come after its changes, see `_fields`.

    Raises:
        ValueError: A size is none.
    """
    fixed = sweep.baseline
    update: dict[str, Any] = {"axes": dict(_left(sweep.axes, fixed))}
    sizes = {k: v for k, v in fixed.items() if k not in CHOICES and not k.startswith(MACHINE)}
    read = {k: SIZE.read(v) for k, v in sizes.items()}
    update["shape"] = {**sweep.shape, **read}
    update["workloads"] = {name: {**shape, **read} for name, shape in sweep.workloads.items()}
    for key in (k for k in fixed if k in CHOICES):
        name = str(fixed[key])
        if key in NAMED:
            known = update.get(NAMED[key], getattr(sweep, NAMED[key]))
            if name not in known:
                raise ValueError(f"want {key} of one of {', '.join(known)}, found {name!r}")
            update[NAMED[key]] = {name: known[name]}
        else:
            update[key] = (name,)
    update |= {"baseline": {}, "answers": (), "figures": (), "keep": (), "best": ()}
    update["columns"] = tuple(RATIOS.values())
    return sweep.model_copy(update=update)


def _fields(baseline: Mapping[str, Value]) -> dict[str, Value]:
    """The fields of the machine that a baseline sets, by their paths."""
    return {k.removeprefix(MACHINE): v for k, v in baseline.items() if k.startswith(MACHINE)}


def _left(axes: Mapping[str, Any], fixed: Mapping[str, Value]) -> Iterator[tuple[str, Any]]:
    """The axes that a baseline does not fix, in the order that they have."""
    for key, value in axes.items():
        if key == "together":
            groups = value if isinstance(value, list) else [value]
            kept = [group for group in groups if not set(group) & set(fixed)]
            yield from [(key, kept)] if kept else []
        elif key not in fixed:
            yield key, value
