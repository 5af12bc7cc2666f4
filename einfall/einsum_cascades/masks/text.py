"""Masks as text, on the command line and in cascade files: `sliding:window=1024 & documents:…`.

    causal                                              a family
    sink_window:sinks=4,window=1024                     with arguments
    gna:input=30x48x80,window=18x24x24,stride=16x8x8    one number for each dimension
    documents:lengths=100+200*3+50                      lists; @FILE reads one
    blocks:file="my blocks.npz"                         quotes where a value has signs of its own
    causal & (sliding:window=64 | ~documents:lengths=8*4)

`&` is the intersection, `|` the union, `~` the complement; `~` binds tightest, then `&`.
`catalogue.py` lists the families.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias, cast, final

from einfall.einsum_cascades.checks import hint
from einfall.einsum_cascades.masks.arguments import Value
from einfall.einsum_cascades.masks.catalogue import (
    FAMILIES,
    Argument,
    Family,
    Sizes,
    families,
)
from einfall.einsum_cascades.masks.empty import queries_without_keys
from einfall.einsum_cascades.masks.heads import HeadMasks
from einfall.einsum_cascades.masks.mask import Mask, MaskError, intersect, unite

__all__ = ["Inverse", "Joined", "MaskSpec", "Named", "families", "parse_mask"]

if TYPE_CHECKING:
    from lark import Lark, Tree
    from lark.exceptions import UnexpectedInput


@dataclass(frozen=True, slots=True)
class Named:
    """A family and the arguments that were given, in the order of the family."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        """As it is read back."""
        known = FAMILIES[self.name].by_name
        shown = (f"{name}={_quoted(known[name].kind.show(v))}" for name, v in self.arguments)
        text = ",".join(shown)
        return f"{self.name}:{text}" if text else self.name


@dataclass(frozen=True, slots=True)
class Inverse:
    """All pairs that the part does not attend."""

    of: Expr

    def __str__(self) -> str:
        """As it is read back."""
        return f"~({self.of})" if isinstance(self.of, Joined) else f"~{self.of}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts joined with `&` or `|`."""

    sign: str
    parts: tuple[Expr, ...]

    def __str__(self) -> str:
        """As it is read back; only a union inside an intersection needs parentheses."""
        return f" {self.sign} ".join(
            f"({p})" if isinstance(p, Joined) and self.sign == "&" else str(p) for p in self.parts
        )


Expr: TypeAlias = "Named | Inverse | Joined"


@final
@dataclass(frozen=True, slots=True)
class MaskSpec:
    """A mask that was read but not yet given its sizes; equal if it means the same text."""

    expr: Expr

    def __str__(self) -> str:
        """Canonical text, which `parse_mask` reads as an equal value."""
        return str(self.expr)

    @property
    def is_dense(self) -> bool:
        """Whether it is plainly `dense`."""
        return self.expr == Named("dense")

    def bind(self, queries: int, keys: int, heads: int = 1) -> Mask | HeadMasks:
        """The mask over so many queries and keys.

        Args:
            queries: P.
            keys: M.
            heads: H, for the families that differ between heads.

        Returns:
            One mask for all heads, or one for each where heads differ.

        Raises:
            MaskError: All that does not fit, each as `mask: ARGUMENT: wanted, found; way out`, and
                where nothing else is wrong queries that are left without a key.

        >>> parse_mask("sliding:window=2 | random:kept=1").bind(queries=4, keys=8).keys
        8
        """
        binder = _Binder(Sizes(queries, keys, heads), alone=isinstance(self.expr, Named))
        bound = binder.bind(self.expr)
        if binder.problems or bound is None:
            raise MaskError(binder.problems)
        for head, mask in enumerate(bound.masks if isinstance(bound, HeadMasks) else (bound,)):
            _refuse_empty(self, mask, f" of head {head}" if isinstance(bound, HeadMasks) else "")
        return bound


def parse_mask(text: str) -> MaskSpec:
    """Read a mask from its text form, see the top of this module.

    Raises:
        MaskError: All mistakes in names and arguments, each as `mask: ARGUMENT: wanted, found; way
            out`; or the first one in the signs, with its column.

    >>> str(parse_mask("sliding : window=4K&~( causal )"))
    'sliding:window=4096 & ~causal'
    """
    from lark.exceptions import UnexpectedInput

    nested = text.count("~") + text.count("(")
    if nested > _NESTED:
        raise MaskError([f"mask: wanted at most {_NESTED} of ~ and (, found {nested:,}"])
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise MaskError([_syntax_problem(text, error)]) from None
    reader = _Reader(alone=tree.data == "family")
    expr = reader.expr(tree)
    if reader.problems:
        raise MaskError(reader.problems)
    return MaskSpec(expr)


_NESTED = 100

# Reading ------------------------------------------------------------------------------------------


@cache
def _parser() -> Lark:
    """The parser; lark is loaded when the first mask is read."""
    from lark import Lark

    grammar = files("einfall.einsum_cascades.masks").joinpath("grammar.lark")
    return Lark(grammar.read_text(encoding="utf-8"), parser="lalr", maybe_placeholders=False)


class _Reader:
    """Reads the tree of a text and keeps all that is wrong with it."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self.problems: list[str] = []

    def expr(self, tree: Tree) -> Expr:
        """The expression of a node."""
        if tree.data == "family":
            return self._family(tree)
        parts = tuple(self.expr(cast("Tree", part)) for part in tree.children)
        if tree.data == "inverse":
            (of,) = parts
            return of.of if isinstance(of, Inverse) else Inverse(of)
        sign = "&" if tree.data == "both" else "|"
        flat: list[Expr] = []
        for part in parts:
            same = isinstance(part, Joined) and part.sign == sign
            flat += part.parts if same else (part,)
        return Joined(sign, tuple(flat))

    def _family(self, tree: Tree) -> Named:
        name, *rest = tree.children
        name = str(name)
        family = FAMILIES.get(name)
        if family is None:
            way_out = hint(name, FAMILIES, "`einfall show masks` lists them")
            wanted = "wanted the name of a family of masks"
            self.problems.append(f"mask: family: {wanted}, found {name}; {way_out}")
            return Named(name)
        given: dict[str, Value] = {}
        failed = set()
        for argument in rest:
            key, text = (str(token) for token in cast("Tree", argument).children)
            if key in given or key in failed:
                self._wrong(name, key, f"wanted once, found again; remove one of {key}=…")
                continue
            value = self._argument(name, family, key, text)
            failed |= {key} if value is None else set()
            given |= {} if value is None else {key: value}
        for wanted in family.arguments:
            if not wanted.optional and wanted.name not in given and wanted.name not in failed:
                way_out = f"the form is {family.example}"
                self._wrong(name, wanted.name, f"wanted {wanted.signature}, found none; {way_out}")
        return Named(name, tuple((n, given[n]) for n in family.by_name if n in given))

    def _argument(self, name: str, family: Family, key: str, text: str) -> Value | None:
        """The value of an argument; none where it is wrong."""
        argument = family.by_name.get(key)
        if argument is None:
            known = ", ".join(family.by_name) or "no argument"
            way_out = hint(key, family.by_name, f"the form is {family.example}")
            self._wrong(name, key, f"wanted {known}, found {key}={text}; {way_out}")
            return None
        return self._value(name, argument, text)

    def _value(self, name: str, argument: Argument, text: str) -> Value | None:
        word = text[1:-1] if text.startswith('"') else text
        try:
            return argument.kind.read(word)
        except ValueError as error:
            self._wrong(name, argument.name, f"{error}, found {word or 'nothing'}")
            return None

    def _wrong(self, family: str, argument: str, text: str) -> None:
        self.problems.append(f"mask: {_place(family, argument, alone=self.alone)}: {text}")


def _place(family: str, argument: str, *, alone: bool) -> str:
    """An argument by its name; with that of its family where there are several."""
    return argument if alone else f"{family}: {argument}"


def _quoted(text: str) -> str:
    plain = re.fullmatch(r'[^\s,&|~()"=:][^\s,&|~()"]*', text)
    return text if plain else f'"{text}"'


_SIGNS = {
    "NAME": "a name",
    "VALUE": "a value",
    "LPAR": "'('",
    "TILDE": "'~'",
    "COLON": "':'",
    "COMMA": "','",
    "EQUAL": "'='",
    "RPAR": "')'",
    "VBAR": "'|'",
    "__ANON_0": "'&'",
    "AMPERSAND": "'&'",
    "$END": "the end",
}


def _syntax_problem(text: str, error: UnexpectedInput) -> str:
    """What does not fit, at which column, and what would have."""
    from lark.exceptions import UnexpectedToken

    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    position = len(text) if at_end else error.pos_in_stream or 0
    word = re.match(r"\w+|.", text[position:].lstrip())
    found = f"'{word[0]}'" if word else "the end"
    accepts = set(error.interactive_parser.accepts())
    wanted = [sign for name, sign in _SIGNS.items() if name in accepts]
    words = " or ".join(filter(None, [", ".join(wanted[:-1]), wanted[-1] if wanted else ""]))
    form = "sliding:window=1024 & ~causal"
    return f"mask: column {position + 1}: wanted {words}, found {found}; the form is {form}"


# Binding ------------------------------------------------------------------------------------------

_Bound: TypeAlias = "Mask | HeadMasks"


class _Binder:
    """Builds the parts of an expression and keeps all that is wrong with them."""

    def __init__(self, sizes: Sizes, *, alone: bool) -> None:
        self.sizes, self.alone = sizes, alone
        named = (("queries", sizes.queries), ("keys", sizes.keys), ("heads", sizes.heads))
        self.problems = [
            f"mask: {name}: wanted at least 1, found {n:,}" for name, n in named if n < 1
        ]

    def bind(self, expr: Expr) -> _Bound | None:
        """The mask of an expression; none where something is wrong."""
        if min(self.sizes.queries, self.sizes.keys, self.sizes.heads) < 1:
            return None
        if isinstance(expr, Named):
            return self._named(expr)
        if isinstance(expr, Inverse):
            of = self.bind(expr.of)
            return None if of is None else _inverted(of)
        parts = [self.bind(part) for part in expr.parts]
        bound = [part for part in parts if part is not None]
        if len(bound) < len(parts):
            return None
        try:
            return _joined(bound, intersect if expr.sign == "&" else unite)
        except MaskError as error:
            self.problems += error.problems
            return None

    def _named(self, expr: Named) -> _Bound | None:
        try:
            return FAMILIES[expr.name].build(self.sizes, **dict(expr.arguments))
        except MaskError as error:
            prefix = "mask: " if self.alone else f"mask: {expr.name}: "
            self.problems += [prefix + problem for problem in error.problems]
            return None


def _inverted(mask: _Bound) -> _Bound:
    return mask.map(lambda one: ~one) if isinstance(mask, HeadMasks) else ~mask


def _joined(parts: Iterable[_Bound], how: Callable[..., Mask]) -> _Bound:
    """The parts joined; where one differs between heads, head by head."""
    parts = list(parts)
    per_head = [part for part in parts if isinstance(part, HeadMasks)]
    if not per_head:
        return how(*parts)
    first, *others = [*per_head, *(part for part in parts if not isinstance(part, HeadMasks))]
    for other in others:
        first = cast("HeadMasks", first).combined(other, how)
    return first


def _refuse_empty(spec: MaskSpec, mask: Mask, of_head: str) -> None:
    """Refuse a mask that leaves a query without a key: its softmax does not exist."""
    count, first = queries_without_keys(mask)
    if not count:
        return
    names = set(_names(spec.expr))
    few = mask.keys < mask.queries and names & _LINED_UP
    way_out = (
        f"{', '.join(sorted(names & _LINED_UP))} lines up the last query with the last key: "
        f"take at least as many keys ({mask.keys:,}) as queries ({mask.queries:,})"
        if few
        else "add keys that all attend, such as | sink_window:sinks=1,window=1"
    )
    queries = "query" if count == 1 else "queries"
    raise MaskError(
        [
            f"mask: {spec}: wanted a key for every query, found {count:,} {queries} without one"
            f"{of_head}, the first is query {first:,}; {way_out}"
        ]
    )


_LINED_UP = frozenset(
    {"causal", "sliding", "sink_window", "dilated", "triangle", "strided", "head_windows"}
    | {"power", "block_diagonal", "documents"}
)
"""Families whose last query stands at the last key"""


def _names(expr: Expr) -> Iterator[str]:
    if isinstance(expr, Named):
        yield expr.name
    elif isinstance(expr, Inverse):
        yield from _names(expr.of)
    else:
        for part in expr.parts:
            yield from _names(part)
