"""The cascade language: `parse` reads a cascade from text, `to_text` writes it back.

One statement a line; `#` starts a comment. A line that ends inside brackets or after an operator
goes on in the next one, unless that looks like a statement of its own.

    cascade attention_3pass
    about "Exact attention, softmax in three passes over the keys."
    source "Nayak et al., FuseMax, MICRO 2024"
    ranks H heads, G kv_heads, P queries, M keys, E head_dim, F value_dim
    group H -> G                                    # beside h, g is h·G/H rounded down
    input Q[h,p,e], K[g,m,e], V[g,m,f]
    output AV
    QK[h,m,p] = Q[h,p,e] * K[g,m,e]                 # a product is summed over e, which QK lacks
    GM[h,p]   = max_m QK[h,m,p]
    SN[h,m,p] = exp(QK[h,m,p] - GM[h,p])
    SD[h,p]   = sum_m SN[h,m,p]
    A[h,m,p]  = SN[h,m,p] / SD[h,p]
    AV[h,p,f] = A[h,m,p] * V[g,m,f]

`split M -> M1, M0` gives a rank two parts, and `init RM[h,0,p] = -inf` begins a tensor that is
written one step ahead, `RM[h,m1+1,p] = …`, and read at the last one, `RM[h,M1,p]`. Two ranks with
the same word (`P queries, M queries`) are two coordinates over the same things: a tensor that is
declared over p may be read at m. `mask P, M "causal"` leaves out the pairs that are not attended.
`window I -> Y, U` lets a tensor over i be read at y+u, as convolutions do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar, cast

from einfall.einsum_cascades.checks import Places, Problem, hint, problems, unreduced
from einfall.einsum_cascades.einsum import (
    Access,
    Apply,
    Cascade,
    CascadeMask,
    Einsum,
    Expr,
    Group,
    Index,
    Number,
    Place,
    Rank,
    Split,
    Window,
)
from einfall.einsum_cascades.ops import REDUCTIONS

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

T = TypeVar("T")

FORMS: Mapping[str, str] = MappingProxyType(
    {
        "cascade": "cascade attention_3pass",
        "about": 'about "One sentence."',
        "source": 'source "Paper, year, section"',
        "ranks": "ranks P queries, M keys",
        "group": "group H -> G",
        "split": "split M -> M1, M0",
        "window": "window I -> Y, U",
        "mask": 'mask P, M "causal"',
        "input": "input Q[p,e], K[m,e]",
        "output": "output AV",
        "init": "init RM[0,p] = -inf",
    }
)
"""Every statement but the Einsum itself, by its first word, with an example."""

_EINSUM_FORM = "AV[p,f] = A[p,m] * V[m,f]"
_INFIX = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2)}
_NEG, _ATOM = 3, 4  # how tightly a minus sign and everything in brackets bind


class CascadeError(ValueError):
    """A cascade or its arrays are wrong; one line a problem, all problems at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems one by one and join them into the message."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def parse(text: str, source: str = "<text>") -> Cascade:
    """Read a cascade from its text and check that it makes sense.

    Args:
        text: Statements of the cascade language, see the top of this module.
        source: Where the text comes from, for messages; a file name as a rule.

    Returns:
        The cascade, with implied sums made explicit and without its comments. Where no `output` is
        named, the tensors that no other Einsum reads are the outputs.

    Raises:
        CascadeError: Any number of problems in syntax and sense, each as `source:line:column: what
            was wanted, what was found; a way out`.

    >>> cascade = parse('''
    ... cascade matmul
    ... ranks N rows, D inner, S cols
    ... input X[n,d], W[d,s]
    ... Y[n,s] = X[n,d] * W[d,s]
    ... ''')
    >>> cascade.einsums[0].reduce, cascade.einsums[0].reduce_ranks, cascade.outputs
    ('sum', ('D',), ('Y',))
    """
    draft = _Draft()
    for line, statement in _statements(text):
        draft.read(line, statement)
    found = draft.finish()
    cascade = draft.cascade()
    if not draft.broken:
        found += problems(cascade, draft.places, draft.unread)
    if found:
        found.sort(key=lambda problem: (problem.place.line, problem.place.column))
        raise CascadeError(f"{source}:{p.place.line}:{p.place.column}: {p.text}" for p in found)
    return cascade


# Writing ------------------------------------------------------------------------------------------


def to_text(cascade: Cascade) -> str:
    """Write a cascade so that `parse` reads it back as an equal value.

    >>> from einfall.einsum_cascades.library import load
    >>> print(to_text(load("matmul")).splitlines()[-1])
    Y[n,s] = X[n,d] * W[d,s]
    """
    lines = [f"cascade {cascade.name}"]
    lines += [f"about {_quoted(cascade.about)}"] if cascade.about else []
    lines += [f"source {_quoted(cascade.source)}"] if cascade.source else []
    ranks = [f"{rank.symbol} {rank.shape_key}" for rank in cascade.ranks]
    lines += [f"ranks {', '.join(ranks)}"] if ranks else []
    lines += [f"group {group.rank} -> {group.outer}" for group in cascade.groups]
    lines += [f"split {split.rank} -> {split.outer}, {split.inner}" for split in cascade.splits]
    lines += [str(window) for window in cascade.windows]
    lines += [_mask_line(cascade, cascade.mask)] if cascade.mask else []
    lines += [f"input {', '.join(map(str, cascade.inputs))}"] if cascade.inputs else []
    lines += [f"output {', '.join(cascade.outputs)}"]
    lines += [f"init {init.output} = {_right(cascade, init)}" for init in cascade.inits]
    width = max((len(str(einsum.output)) for einsum in cascade.einsums), default=0)
    lines += [f"{e.output!s:{width}} = {_right(cascade, e)}" for e in cascade.einsums]
    return "\n".join(lines) + "\n"


def _mask_line(cascade: Cascade, mask: CascadeMask) -> str:
    """The mask statement; the rank of the heads goes without saying where its word tells it."""
    ranks = [mask.queries, mask.keys]
    if mask.heads is not None and mask.heads != heads_rank(cascade.ranks):
        ranks.append(mask.heads)
    return f"mask {', '.join(ranks)} {_quoted(str(mask.spec))}"


def heads_rank(ranks: Iterable[Rank]) -> str | None:
    """The rank along which masks may differ, if none is named: the one with the word `heads`."""
    return next((rank.symbol for rank in ranks if rank.shape_key == "heads"), None)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _unquoted(text: str) -> str:
    return json.loads(text, strict=False)  # a tab may stand in the text as it is


def _right(cascade: Cascade, einsum: Einsum) -> str:
    """The right-hand side; the sum of a product over what the output lacks goes without saying."""
    if einsum.reduce is None or einsum == _implied(
        cascade, replace(einsum, reduce=None, reduce_ranks=())
    ):
        return _infix(einsum.expr)
    ranks = ",".join(einsum.reduce_ranks).lower()
    over = ranks if len(einsum.reduce_ranks) == 1 else f"{{{ranks}}}"
    return f"{einsum.reduce}_{over} {_infix(einsum.expr)}"


def _infix(expr: Expr, tighter_than: int = 0) -> str:
    """The expression, in parentheses where its operator binds less tightly than it has to."""
    text, binding = _bound(expr)
    return text if binding > tighter_than else f"({text})"


def _bound(expr: Expr) -> tuple[str, int]:
    """The expression and how tightly its outermost operator binds."""
    if isinstance(expr, Access):
        return str(expr), _ATOM
    if isinstance(expr, Number):
        text = "inf" if math.isinf(expr.value) else repr(abs(float(expr.value))).removesuffix(".0")
        return (f"-{text}", _NEG) if expr.value < 0 else (text, _ATOM)
    if expr.op in _INFIX:
        sign, binding = _INFIX[expr.op]
        left, right = expr.args
        return f"{_infix(left, binding - 1)} {sign} {_infix(right, binding)}", binding
    if expr.op == "neg" and not isinstance(expr.args[0], Number):
        return f"-{_infix(expr.args[0], _NEG - 1)}", _NEG
    return f"{expr.op}({', '.join(map(_infix, expr.args))})", _ATOM


def _implied(cascade: Cascade, einsum: Einsum) -> Einsum:
    """A product without a reduction is summed over the ranks that its output lacks."""
    product = isinstance(einsum.expr, Apply) and einsum.expr.op == "mul"
    ranks = unreduced(cascade, einsum)
    if einsum.reduce is not None or not product or not ranks:
        return einsum
    return replace(einsum, reduce="sum", reduce_ranks=ranks)


# Reading ------------------------------------------------------------------------------------------

_COMMENT = re.compile(r'("(?:\\.|[^"\\])*"?)|#.*')
_STRING = re.compile(r'"(?:\\.|[^"\\])*"?')
_OPENING = re.compile(rf"\s*(?:(?:{'|'.join(FORMS)})\b|[A-Za-z]\w*\s*\[[^\]]*\]\s*=)")
_DEFINED = re.compile(r"\s*(?:init\b\s*)?([A-Z]\w*)")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Statements without comments, each with the number of its first line."""
    first, lines = 1, [""]
    for number, line in enumerate(text.split("\n"), start=1):
        code = _COMMENT.sub(lambda match: match[1] or "", line).rstrip()
        if _OPENING.match(code) or not _goes_on("\n".join(lines)):
            yield first, "\n".join(lines).rstrip()
            first, lines = number, []
        lines.append(code)
    yield first, "\n".join(lines).rstrip()


def _goes_on(statement: str) -> bool:
    """Whether the statement ends inside brackets or after an operator or comma."""
    code = _STRING.sub("", statement).rstrip()
    closing = sum(map(code.count, ")]}"))
    return code.endswith(tuple("+-*/=,>")) or sum(map(code.count, "([{")) > closing


@cache
def _parser() -> Lark:
    """The parser of one statement; lark is loaded when the first text is read."""
    from lark import Lark

    grammar = files("einfall.einsum_cascades").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", start="statement", maybe_placeholders=False)


@dataclass(slots=True)
class _Draft:
    """A cascade while its statements are read; lines are counted from the current statement."""

    once: dict[str, str] = field(default_factory=dict)
    ranks: list[Rank] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    mask: CascadeMask | None = None
    inputs: list[Access] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    inits: list[Einsum] = field(default_factory=list)
    einsums: list[Einsum] = field(default_factory=list)
    places: Places = field(default_factory=Places)
    problems: list[Problem] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    broken: bool = False
    line: int = 1

    def read(self, line: int, statement: str) -> None:
        """Read one statement and keep what it says, or what is wrong with it."""
        from lark.exceptions import UnexpectedCharacters, UnexpectedToken

        if not statement.strip():
            return
        self.line = line
        try:
            tree = _parser().parse(statement)
        except (UnexpectedToken, UnexpectedCharacters) as error:
            self._refuse(statement, error)
        else:
            getattr(self, f"_{tree.data}")(tree)

    def finish(self) -> list[Problem]:
        """Problems of the text as a whole, beside those of its statements."""
        if "cascade" not in self.once and not self.broken:
            text = "wanted a line `cascade name`, found none; begin with one"
            self.problems.append(Problem(Place(1, 1), text))
        if not self.einsums and not self.unread and not self.broken:
            text = f"wanted at least one Einsum, found none; add one such as `{_EINSUM_FORM}`"
            self.problems.append(Problem(Place(1, 1), text))
        return self.problems

    def cascade(self) -> Cascade:
        """The cascade so far, with its implied sums made explicit."""
        draft = Cascade(
            name=self.once.get("cascade", ""),
            ranks=tuple(self.ranks),
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            einsums=tuple(self.einsums),
            inits=tuple(self.inits),
            splits=tuple(self.splits),
            groups=tuple(self.groups),
            windows=tuple(self.windows),
            about=self.once.get("about", ""),
            source=self.once.get("source", ""),
            mask=self._whole_mask(),
        )
        read = {a.tensor for e in self.einsums for a in e.operands if a.tensor != e.name}
        unread = tuple(dict.fromkeys(e.name for e in self.einsums if e.name not in read))
        return replace(
            draft,
            outputs=draft.outputs or unread,
            inits=tuple(_implied(draft, init) for init in self.inits),
            einsums=tuple(_implied(draft, einsum) for einsum in self.einsums),
        )

    def _whole_mask(self) -> CascadeMask | None:
        """The mask; it may differ along the heads where no other rank is named for that."""
        if self.mask is None or self.mask.heads is not None:
            return self.mask
        mask = replace(self.mask, heads=heads_rank(self.ranks))
        self.places.values[id(mask)] = self.places[self.mask]
        return mask

    # One method a statement -------------------------------------------------------------------

    def _cascade(self, tree: Tree) -> None:
        self._only_once("cascade", _tokens(tree)[0], str)

    def _about(self, tree: Tree) -> None:
        self._only_once("about", _tokens(tree)[0], _unquoted)

    def _source(self, tree: Tree) -> None:
        self._only_once("source", _tokens(tree)[0], _unquoted)

    def _only_once(self, keyword: str, token: Token, read: Callable[[str], str]) -> None:
        if keyword in self.once:
            text = f"wanted one `{keyword}` line, found another; remove one"
            self.problems.append(Problem(self._place(token), text))
        self.once[keyword] = read(token)

    def _ranks(self, tree: Tree) -> None:
        for symbol, key in map(_tokens, _trees(tree)):
            self.ranks.append(self._placed(Rank(str(symbol), str(key)), symbol))

    def _split(self, tree: Tree) -> None:
        rank, outer, inner = _tokens(tree)
        self.splits.append(self._placed(Split(str(rank), str(outer), str(inner)), rank))

    def _group(self, tree: Tree) -> None:
        rank, outer = _tokens(tree)
        self.groups.append(self._placed(Group(str(rank), str(outer)), rank))

    def _window(self, tree: Tree) -> None:
        rank, output, kernel, *mode = _tokens(tree)
        window = Window(str(rank), str(output), str(kernel), *map(str, mode))
        self.windows.append(self._placed(window, rank))

    def _mask(self, tree: Tree) -> None:
        queries, keys, *heads, text = _tokens(tree)
        self._only_once("mask", text, _unquoted)
        from einfall.einsum_cascades.masks import MaskError, parse_mask

        try:
            spec = parse_mask(_unquoted(text))
        except MaskError as error:
            place = self._place(text)
            self.problems += [Problem(place, problem) for problem in error.problems]
            return
        rank = str(heads[0]) if heads else None
        self.mask = self._placed(CascadeMask(str(queries), str(keys), spec, rank), queries)

    def _input(self, tree: Tree) -> None:
        self.inputs += map(self._access, _trees(tree))

    def _output(self, tree: Tree) -> None:
        self.outputs += map(str, _tokens(tree))
        self.places.outputs += map(self._place, _tokens(tree))

    def _init(self, tree: Tree) -> None:
        self.inits.append(self._definition(tree))

    def _einsum(self, tree: Tree) -> None:
        self.einsums.append(self._definition(tree))

    # Expressions ------------------------------------------------------------------------------

    def _definition(self, tree: Tree) -> Einsum:
        left, *reduction, right = _trees(tree)
        output, expr = self._access(left), self._expr(right)
        if not reduction:
            return Einsum(output, expr, place=output.place)
        name, *over = _tokens(reduction[0])
        ranks = self._placed(tuple(rank.upper() for rank in over), name)
        return Einsum(output, expr, name.removesuffix("_"), ranks, output.place)

    def _expr(self, tree: Tree) -> Expr:
        if tree.data == "access":
            return self._access(tree)
        if tree.data == "number":
            return Number(float(_tokens(tree)[0]))
        if tree.data == "call":
            name = _tokens(tree)[0]
            args = tuple(map(self._expr, _trees(tree)[1:]))
            return self._placed(Apply(str(name), args), name)
        args = tuple(map(self._expr, _trees(tree)))
        if tree.data == "neg" and isinstance(args[0], Number):
            return Number(-args[0].value)
        return Apply(str(tree.data), args)

    def _access(self, tree: Tree) -> Access:
        name, indices = _tokens(tree)[0], _trees(tree)[1:]
        return Access(str(name), tuple(map(self._index, indices)), self._place(name))

    def _index(self, tree: Tree) -> Index:
        token, *shift = _tokens(tree)
        if tree.data == "constant":
            index = Index(None, int(token))
        elif tree.data == "end":
            index = Index(str(token), end=True)
        elif tree.data == "in_window":
            index = Index(token.upper(), kernel=shift[0].upper())
        else:
            index = Index(token.upper(), int("".join("".join(shift).split()) or 0))
        return self._placed(index, token)

    # Places and syntax errors -----------------------------------------------------------------

    def _place(self, token: Token) -> Place:
        return Place(self.line - 1 + (token.line or 1), token.column or 1)

    def _placed(self, value: T, token: Token) -> T:
        self.places.values[id(value)] = self._place(token)
        return value

    def _refuse(self, statement: str, error: UnexpectedToken | UnexpectedCharacters) -> None:
        """Note a statement that is not in the language, and which tensor it was to define."""
        self.problems.append(_syntax_problem(self.line, statement, error))
        defined = _DEFINED.match(statement)
        self.broken |= defined is None
        self.unread |= {defined[1]} if defined else set()


def _tokens(tree: Tree) -> list[Token]:
    """The children of a node that has words and signs for children, or begins with one."""
    return cast("list[Token]", tree.children)


def _trees(tree: Tree) -> list[Tree]:
    """The children of a node that has nodes for children, except perhaps the first."""
    return cast("list[Tree]", tree.children)


# Syntax errors in plain words ---------------------------------------------------------------------

_KEYWORDS = frozenset(map(str.upper, FORMS))
_GROUPS: tuple[tuple[AbstractSet[str], str], ...] = (
    (_KEYWORDS, "a statement"),
    (frozenset({"LPAR", "MINUS", "NUMBER", "INF", "WORD", "TENSOR"}), "an expression"),
    (frozenset({"PLUS", "MINUS", "STAR", "SLASH"}), "an operator"),
    (frozenset({"WORD", "INT", "TENSOR"}), "a coordinate"),
)
_TERMINALS: Mapping[str, str] = MappingProxyType(
    {
        "TENSOR": "a tensor",
        "SYMBOL": "a rank such as M1",
        "WORD": "a coordinate",
        "KEY": "a word in lower case",
        "STRING": "a text in double quotes",
        "INT": "a whole number",
        "COMMA": "','",
        "ARROW": "'->'",
        "EQUAL": "'='",
        "LSQB": "'['",
        "RSQB": "']'",
        "LPAR": "'('",
        "RPAR": "')'",
        "LBRACE": "'{'",
        "RBRACE": "'}'",
        "$END": "the end of the line",
    }
)


def _syntax_problem(
    line: int, statement: str, error: UnexpectedToken | UnexpectedCharacters
) -> Problem:
    """What the parser could not read, where, what would have fitted, and the form to follow."""
    from lark.exceptions import UnexpectedToken

    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    position = len(statement) if at_end else error.pos_in_stream or 0
    here = Place(
        line + statement.count("\n", 0, position), position - statement.rfind("\n", 0, position)
    )
    word = re.match(r"\w+|->|.", statement[position:])
    found = f"'{word[0]}'" if word else "the end of the line"
    accepts = error.interactive_parser.accepts()
    wanted = _wanted(accepts)
    return Problem(
        here, f"wanted {wanted}, found {found}; {_way_out(statement, position, accepts)}"
    )


def _wanted(accepts: AbstractSet[str]) -> str:
    """The terminals that would have fitted, in words: `',' or ']'`."""
    words, left = [], set(accepts)
    for group, word in _GROUPS:
        if group <= left:
            words.append(word)
            left -= group
    words += [word for terminal, word in _TERMINALS.items() if terminal in left]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _way_out(statement: str, position: int, accepts: AbstractSet[str]) -> str:
    """Advice for the mistakes that people make, or the form of the statement."""
    opening = re.match(r"\s*(\w*)", statement)
    first = opening[1] if opening else ""
    before = re.search(r"(\w*)\s*$", statement[:position])
    previous = before[1] if before else ""
    nested = re.match(r"[a-z][a-z0-9]*_[a-z{]", statement[position:])
    if accepts >= _KEYWORDS:
        return hint(first, FORMS, f"the form of an Einsum is `{_EINSUM_FORM}`")
    if nested and "NUMBER" in accepts:
        return "a reduction stands right after '='; give it an Einsum of its own"
    if {"PLUS", "RSQB"} <= accepts and statement[position:].startswith("-"):
        return "a window is read at y+u; for a convolution in the strict sense flip the kernel"
    if accepts == {"LPAR"} and previous in REDUCTIONS:
        return f"to reduce over a rank write {previous}_m X[m]"
    if accepts == {"LPAR"}:
        return f"a tensor begins with a capital letter: {previous.capitalize()}[…]"
    return f"the form is `{FORMS.get(first, _EINSUM_FORM)}`"
