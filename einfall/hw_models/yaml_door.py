"""The YAML door: text becomes a frozen, validated spec, or all its mistakes come back at once.

Every mistake reads `file:line: field: what was wanted, what was found`, and every value keeps where
it comes from: the comment at the end of its line, `bandwidth: 400 GiB/s  # published: where`. The
door knows nothing of machines; mappings and scenarios come in through it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode

Status = Literal["datasheet", "published", "measured", "fitted", "assumption", "derived"]
Keys = tuple[str | int, ...]  # the way to a value: ("units", "2d", "rows"), written units.2d.rows

_STATUS = re.compile(rf"({'|'.join(get_args(Status))})\b[:,]?\s*(.*)", re.IGNORECASE)
_MISSING = "want a value, found none"
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number comes from: its status, the words of its comment, and where it stands.

    A comment that starts with no status is taken for an assumption: nothing else can be claimed.
    """

    status: Status
    text: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        """The source as it is printed: `published: a paper, table 2 (chip.yaml:12)`."""
        place = f" ({self.file}:{self.line})" if self.line else ""
        return f"{self.status}: {self.text}{place}"


class SpecError(ValueError):
    """A spec that cannot be used: every mistake in it, each as `place: wanted, found`."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Join the problems, one a line; they stay apart in `problems`."""
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[str, ...]]]:
        """Pickle by the problems, so that a worker process can hand the error over."""
        return type(self), (self.problems,)


class Spec(BaseModel):
    """Base of all that is read from YAML: frozen, without unknown fields, with its sources.

    A field's alias is its name in YAML (`bandwidth`); its attribute has the unit
    (`bandwidth_bytes_per_s`).
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )
    _sources: Mapping[str, Source] = PrivateAttr(default_factory=dict)

    @property
    def sources(self) -> Mapping[str, Source]:
        """Source of each value by its dotted YAML path; values without a comment are absent."""
        return self._sources

    def __eq__(self, other: object) -> bool:
        """Equal values make equal specs, wherever they come from."""
        return type(self) is type(other) and vars(self) == vars(other)

    def with_sources(self, sources: Mapping[str, Source]) -> Self:
        """The same values with other sources."""
        copy = self.model_copy()
        copy._sources = dict(sources)
        return copy


SpecT = TypeVar("SpecT", bound=Spec)
Wrong = tuple[tuple[str, ...], str, object]  # where in the spec, what is wrong, what stands there


def refused(problems: Sequence[Wrong]) -> ValidationError:
    """Several mistakes of one spec, each at the field that it is about; for its validators."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("value_error", "{text}", {"text": text}),
            loc=loc,
            input=found,
        )
        for loc, text, found in problems
    ]
    return ValidationError.from_exception_data("spec", details)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from one."""

    file: str
    line: int

    def __str__(self) -> str:
        """`file:line`, as compilers write it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake, where it stands and in which field."""

    place: Place
    keys: Keys
    message: str

    def __str__(self) -> str:
        """`file:line: field: what was wanted, what was found`."""
        return f"{self.place}: {dotted(self.keys) + ': ' if self.keys else ''}{self.message}"


@dataclass(slots=True)
class Document:
    """YAML as read, its base merged in: plain data, and the place and source of every value."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, Place] = field(default_factory=dict)
    sources: dict[Keys, Source] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lacks_base: bool = False  # its base could not be read, so that a value may only seem missing

    def place(self, keys: Keys) -> Place:
        """The line of the value, or of what it would stand in."""
        found = (self.places[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in self.places)
        return next(found, Place(self.file, 1))

    def report(self, keys: Keys, message: str) -> None:
        """Note a mistake in the field; `build` raises them all."""
        self.problems.append(Problem(self.place(keys), keys, message))

    def error(self) -> SpecError:
        """What was reported, the own file first and each file from top to bottom."""
        in_order = sorted(
            self.problems, key=lambda p: (p.place.file != self.file, p.place.file, p.place.line)
        )
        return SpecError(dict.fromkeys(map(str, in_order)))

    def build(self, model: type[SpecT]) -> SpecT:
        """The spec that the document describes.

        Raises:
            SpecError: All mistakes: those of the YAML, of its bases, and of its values.
        """
        try:
            spec = model.model_validate(
                self.data, by_alias=True, by_name=False, context={"text": True}
            )
        except ValidationError as error:
            for keys, message in explain(error, model, self.data):
                if not (self.lacks_base and message == _MISSING):
                    self.report(keys, message)
            raise self.error() from None
        if self.problems:
            raise self.error()
        return spec.with_sources({dotted(keys): s for keys, s in self.sources.items()})


def read_spec(
    source: Path | str, model: type[SpecT], bases: Mapping[str, Path] | None = None
) -> SpecT:
    """Read a YAML file, or YAML text, as a spec.

    `base: name` at the top inherits from a shipped file, `base: other.yaml` from a neighbour: the
    fields of mappings are merged, all else is replaced, `null` takes an inherited value away. The
    comment at the end of a line is the source of its values; one behind a field that holds others
    (`ops:  # published: …`) speaks for all of them that have none of their own, and one behind
    `base:` restates the source of everything inherited.

    Args:
        source: A path, or the text itself.
        model: The spec wanted.
        bases: Files that `base:` may name.

    Returns:
        The spec, with `sources`.

    Raises:
        SpecError: All mistakes at once, each as `file:line: field: wanted, found`.

    >>> class Link(Spec):
    ...     lanes: int
    >>> link = read_spec("lanes: 16  # datasheet: PCIe", Link)
    >>> link.lanes, str(link.sources["lanes"])
    (16, 'datasheet: PCIe (<text>:1)')
    >>> read_spec("lane: 16", Link)
    Traceback (most recent call last):
    einfall.hw_models.yaml_door.SpecError: <text>:1: lanes: want a value, found none
    <text>:1: lane: want a known field (lanes), found 'lane': did you mean 'lanes'?
    """
    return read_document(source, bases).build(model)


def read_document(source: Path | str, bases: Mapping[str, Path] | None = None) -> Document:
    """Read YAML and merge its bases in, without asking yet what it describes.

    Raises:
        SpecError: The file cannot be read, or is no YAML mapping; other mistakes wait for `build`.
    """
    return _with_base(source, bases or {}, ())


def _with_base(source: Path | str, bases: Mapping[str, Path], seen: tuple[Path, ...]) -> Document:
    """One document over its base, over the base of that; `seen` are the files on the way here."""
    own = _read_one(source)
    base, restated = own.data.pop("base", None), own.sources.pop(("base",), None)
    if base is None:
        return _merge(Document(own.file), own)
    here = source.resolve() if isinstance(source, Path) else Path.cwd() / own.file
    chain = (*seen, here)
    try:
        path = _base_path(base, here.parent, bases, chain)
    except ValueError as error:
        own.report(("base",), str(error))
        own.lacks_base = True
        return _merge(Document(own.file), own)
    below = _with_base(path, bases, chain)
    _restate(below, restated)
    return _merge(below, own)


def _base_path(
    base: object, folder: Path, bases: Mapping[str, Path], chain: tuple[Path, ...]
) -> Path:
    """The file that `base:` names: a neighbour with its `.yaml`, a shipped one without."""
    if isinstance(base, str) and base.endswith((".yaml", ".yml")):
        path, known = (folder / base).resolve(), [p.name for p in folder.glob("*.y*ml")]
    else:
        path, known = bases.get(str(base)), list(bases)
    if path is None or not path.is_file():
        raise ValueError(f"want a known base, found {base!r}{did_you_mean(base, known)}")
    if path.resolve() in chain:
        loop = " -> ".join(p.name for p in (*chain, path))
        raise ValueError(f"want a base that does not lead back to itself, found {loop}")
    return path


def _read_one(source: Path | str) -> Document:
    """One file, or text, as a document; its base is left unread."""
    file = shown(source) if isinstance(source, Path) else "<text>"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        root = YAML(typ="safe", pure=True).compose(text)
    except OSError as error:
        raise SpecError([f"{file}: want a readable file, found: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise SpecError([f"{file}: want UTF-8 text, found byte {error.start}"]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SpecError([f"{file}:{line}: want YAML, found: {error.problem}"]) from None
    except YAMLError as error:  # characters that YAML does not allow
        raise SpecError([f"{file}: want YAML, found: {' '.join(str(error).split())}"]) from None
    if not isinstance(root, MappingNode):
        raise SpecError([f"{file}:1: want fields (`name: value`), found {_kind(root)}"])
    document = Document(file, places={(): Place(file, 1)})
    _Walk(document, _BREAK.split(text)).fill(root)
    return document


class _Walk:
    """Turns the nodes of one YAML file into plain data, noting places, comments and mistakes."""

    def __init__(self, document: Document, lines: list[str]) -> None:
        self.document = document
        self.lines = lines
        self.ends: dict[int, int] = {}  # column where the last value of a line ends
        self.above: list[int] = []  # the nodes that we stand in, to notice a loop of aliases
        self.constructor = YAML(typ="safe", pure=True).constructor

    def fill(self, root: MappingNode) -> None:
        """Fill the document: first its values, then the sources, which need the line ends."""
        self.document.data = self.value(root, ())
        comments = {k: self.comment(p.line - 1) for k, p in self.document.places.items() if k}
        for keys in leaves(self.document.data):
            near = (comments.get(keys[:n]) for n in range(len(keys), 0, -1))
            text = next(filter(None, near), None)
            if text:
                place = self.document.place(keys)
                self.document.sources[keys] = _source(text, place)

    def value(self, node: Node, keys: Keys) -> Any:  # noqa: ANN401  YAML holds anything
        """Plain data of a node."""
        if id(node) in self.above:
            self.document.report(keys, "want a value, found an alias of what it stands in")
            return None
        self.above.append(id(node))
        is_block = isinstance(node, CollectionNode) and not node.flow_style
        end = node.start_mark if is_block else node.end_mark  # a block ends on some later line
        self.ends[end.line] = max(end.column, self.ends.get(end.line, 0))
        if isinstance(node, MappingNode):
            data: Any = self.mapping(node, keys)
        elif isinstance(node, SequenceNode):
            data = [self.item(child, (*keys, i)) for i, child in enumerate(node.value)]
        else:
            data = self.scalar(node, keys)
        self.above.pop()
        return data

    def mapping(self, node: MappingNode, keys: Keys) -> dict[str, Any]:
        """Fields by name, each at the line of its name; a name given twice is a mistake."""
        data: dict[str, Any] = {}
        for name, child in node.value:
            key, line = str(name.value), name.start_mark.line
            self.ends[line] = max(name.end_mark.column, self.ends.get(line, 0))
            at = (*keys, key)
            if key in data:
                first = self.document.places[at].line
                place = Place(self.document.file, line + 1)
                message = f"want each field once, found it again (first on line {first})"
                self.document.problems.append(Problem(place, at, message))
                continue
            self.document.places[at] = Place(self.document.file, line + 1)
            data[key] = self.value(child, at)
        return data

    def item(self, node: Node, keys: Keys) -> Any:  # noqa: ANN401
        """An item of a list, at its own line."""
        self.document.places[keys] = Place(self.document.file, node.start_mark.line + 1)
        return self.value(node, keys)

    def scalar(self, node: Node, keys: Keys) -> Any:  # noqa: ANN401
        """A number, text, truth value or null."""
        try:
            return self.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError):
            self.document.report(keys, f"want a number or text, found {node.tag} {node.value!r}")
            return None

    def comment(self, line: int) -> str:
        """The comment at the end of a line, counted from zero; empty where there is none."""
        _, _, text = self.lines[line][self.ends.get(line, 0) :].partition("#")
        return text.strip()


def _source(comment: str, place: Place) -> Source:
    match = _STATUS.fullmatch(comment)
    status: Any = match[1].lower() if match else "assumption"
    return Source(status, match[2] if match else comment, place.file, place.line)


def _restate(document: Document, source: Source | None) -> None:
    """Give every value the source of the line that inherits it, and keep the words of its own."""
    if source is None:
        return
    for keys in leaves(document.data):
        place, own = document.place(keys), document.sources.get(keys)
        there = f"; there {own.status}: {own.text}" if own else ""
        document.sources[keys] = Source(source.status, source.text + there, place.file, place.line)


def _merge(below: Document, own: Document) -> Document:
    """The own document laid over its base."""
    merged = Document(own.file, below.data, below.places, below.sources)
    merged.problems = [*own.problems, *below.problems]
    merged.lacks_base = own.lacks_base or below.lacks_base
    _lay_over(merged, merged.data, own.data, ())
    merged.places.update(own.places)
    kept = set(leaves(merged.data))  # a null with a comment leaves nothing to have a source
    merged.sources.update({k: s for k, s in own.sources.items() if k in kept})
    return merged


def _lay_over(merged: Document, data: dict[str, Any], own: Mapping[str, Any], keys: Keys) -> None:
    for name, value in own.items():
        at = (*keys, name)
        if not (isinstance(value, Mapping) and isinstance(data.get(name), dict)):
            _forget(merged.places, at)
            _forget(merged.sources, at)
            data.pop(name, None)
        if isinstance(value, Mapping):
            _lay_over(merged, data.setdefault(name, {}), value, at)
        elif value is not None:
            data[name] = value


def _forget(known: dict[Keys, Any], keys: Keys) -> None:
    for at in [k for k in known if k[: len(keys)] == keys]:
        del known[at]


def explain(
    error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]
) -> Iterator[tuple[Keys, str]]:
    """The mistakes that pydantic found in `data`: the field of each, and `want …, found …`."""
    for detail in error.errors(include_url=False):
        if detail["type"] == "default_factory_not_called":  # for mistakes that are told themselves
            continue
        keys, found = walk(data, detail["loc"])
        if detail["type"] == "missing":
            keys = (*keys, detail["loc"][-1])
        yield keys, _in_words(model, keys, detail, found)


def _in_words(model: type[BaseModel], keys: Keys, detail: Mapping[str, Any], found: object) -> str:
    kind, message = detail["type"], detail["msg"]
    if kind == "missing":
        return _MISSING
    if kind == "extra_forbidden":
        names = names_at(model, keys[:-1])
        known = ", ".join(names)
        return f"want a known field ({known}), found {keys[-1]!r}{did_you_mean(keys[-1], names)}"
    if kind in ("tuple_type", "list_type"):
        return f"want a list, got {short(found)}"
    if kind == "union_tag_invalid":
        tags, found = detail["ctx"]["expected_tags"], detail["ctx"]["tag"]
        return f"want {_tag(detail)} of one of {tags}, found {found!r}"
    if kind == "union_tag_not_found":
        return f"want a {_tag(detail)}, found {short(found)}"
    if kind in ("model_type", "dict_type", "mapping_type"):
        fields = ", ".join(names_at(model, keys)) or "name: value"
        return f"want fields ({fields}), got {short(found)}"
    if message.startswith("Input should "):
        wanted = message.removeprefix("Input should be ").removeprefix("Input should ")
        return f"want {wanted}, got {short(found)}"
    return message.removeprefix("Value error, ")


def _tag(detail: Mapping[str, Any]) -> str:
    """Name of the field by which the models of a union differ."""
    return detail["ctx"]["discriminator"].strip("'")


def short(value: object) -> str:
    """A value as messages show it: sixty characters at most."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(node: Node | None) -> str:
    if node is None:
        return "nothing"
    return "a list" if isinstance(node, SequenceNode) else repr(node.value)


def dotted(keys: Keys) -> str:
    """The way to a value as it is written: `units.2d.rows`."""
    return ".".join(map(str, keys))


def shown(path: Path) -> str:
    """A path as messages show it: relative where it lies in the working directory."""
    absolute = path.absolute()
    inside = absolute.is_relative_to(Path.cwd())
    return str(absolute.relative_to(Path.cwd()) if inside else path)


def did_you_mean(found: object, known: Iterable[str]) -> str:
    """`: did you mean 'bandwidth'?`, or nothing where no known name is close.

    >>> did_you_mean("bandwith", ["access", "bandwidth"])
    ": did you mean 'bandwidth'?"
    """
    close = get_close_matches(str(found), list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def leaves(data: object, keys: Keys = ()) -> Iterator[Keys]:
    """The way to every value in nested mappings and lists."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from leaves(value, (*keys, str(name)))
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from leaves(value, (*keys, i))
    else:
        yield keys


def walk(data: Any, keys: Keys) -> tuple[Keys, Any]:  # noqa: ANN401
    """Go as far along the keys as the data has them; steps it lacks are left out.

    (pydantic's ways hold steps that are in no file, such as the tag of a union.)
    """
    taken: Keys = ()
    for key in keys:
        is_index = isinstance(data, list) and isinstance(key, int) and key < len(data)
        if is_index or (isinstance(data, Mapping) and key in data):
            data, taken = data[key], (*taken, key)
    return taken, data


def names_at(model: type[BaseModel], keys: Keys) -> tuple[str, ...]:
    """Names of the fields that a spec may have at `keys`, sorted; empty where names are free.

    >>> from einfall.hw_models.spatial_array import SpatialArray
    >>> names_at(SpatialArray, ("dram",)), names_at(SpatialArray, ("units",))
    (('access', 'access_energy', 'bandwidth'), ())
    """
    here: list[Any] = [model]
    for key in keys:
        here = [inner for outer in here for inner in _inside(outer, key)]
    models = (a for outer in here for a in _open(outer) if _is_model(a))
    return tuple(sorted({f.alias or n for m in models for n, f in m.model_fields.items()}))


def _is_model(annotation: Any) -> bool:  # noqa: ANN401
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _open(annotation: Any) -> Iterator[Any]:  # noqa: ANN401
    """The plain types in an annotation: those of a union, without what Annotated adds."""
    if get_origin(annotation) is Annotated:
        yield from _open(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for arg in get_args(annotation):
            yield from _open(arg)
    else:
        yield annotation


def _inside(annotation: Any, key: str | int) -> Iterator[Any]:  # noqa: ANN401
    """Types that may stand under a key of a value of this type."""
    for plain in _open(annotation):
        if _is_model(plain):
            fields = {f.alias or n: f.annotation for n, f in plain.model_fields.items()}
            yield from [fields[key]] if key in fields else []
        else:
            yield from get_args(plain)[-1:] if isinstance(key, str) else get_args(plain)[:1]
