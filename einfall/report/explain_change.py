"""Every term of an estimate before and after a change of the machine, those that changed marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any

from einfall.report.text import page, table

if TYPE_CHECKING:
    from einfall.hw_models.constants import Constant
    from einfall.report.explain import Explanation, Term

_SAME = 1e-12
"""Part by which two results of the same sum may differ."""

_MARKS = "* changed, + only after, - only before"


@dataclass(frozen=True, slots=True)
class Pair:
    """A term before and after; None on the side on which there is none."""

    before: Term | None
    after: Term | None

    @property
    def now(self) -> Term:
        """The term after the change, or the one that is gone."""
        found = self.after or self.before
        assert found is not None, "a pair has a side"
        return found

    @property
    def mark(self) -> str:
        """How the term changed, as one sign; a space where it did not.

        A term changed if its equation, its numbers or its result did.
        """
        if self.before is None or self.after is None:
            return "+" if self.before is None else "-"
        old, new = self.before, self.after
        told = (old.equation, old.numbers) == (new.equation, new.numbers)
        return " " if told and isclose(float(old.value), float(new.value), rel_tol=_SAME) else "*"


@dataclass(frozen=True, slots=True)
class ExplainedChange:
    """The terms of one question before and after; without an `after` it does not fit then."""

    cascade: str
    before: Explanation
    after: Explanation | None

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The terms side by side: by what they are of, their name, and which of that name."""
        old = _by_key(self.before.terms)
        new = _by_key((self.after or self.before).terms)
        return tuple(Pair(old.get(key), new.get(key)) for key in dict.fromkeys((*new, *old)))

    @property
    def changed(self) -> tuple[Pair, ...]:
        """The pairs that are not the same on both sides."""
        return tuple(pair for pair in self.pairs if pair.mark != " ")

    def text(self) -> str:
        """The terms by what they are of, each change with both sides, then the constants."""
        if self.after is None or not self.changed:
            return f"{self.cascade}: every term\n\n{self.before.text()}"
        pairs = self.pairs
        blocks = [_block(of, pairs) for of in dict.fromkeys(pair.now.of for pair in pairs)]
        rows = list(_constants(self.before.constants, self.after.constants))
        constants = table(["constant", "value", "status", "source"], rows)
        title = f"{self.cascade}: every term before and after ({_MARKS})"
        return page(title, *blocks, f"Constants\n{constants}")


def changes_record(changes: Sequence[ExplainedChange]) -> dict[str, Any]:
    """What `--explain` adds to the JSON document: all terms before and after, and what changed."""
    after = [(change.cascade, change.after) for change in changes if change.after]
    return {
        "before": _side((change.cascade, change.before) for change in changes),
        "after": _side(after) if after else None,
        "changed": [
            {
                "cascade": change.cascade,
                "of": pair.now.of,
                "term": pair.now.name,
                "before": None if pair.before is None else float(pair.before.value),
                "after": None if pair.after is None else float(pair.after.value),
                "unit": pair.now.unit,
            }
            for change in changes
            if change.after
            for pair in change.changed
        ],
    }


def _side(explained: Iterable[tuple[str, Explanation]]) -> dict[str, Any]:
    """The terms of all cascades on one machine, and its constants that they use."""
    terms: list[dict[str, Any]] = []
    constants: dict[str, Any] = {}
    for cascade, explanation in explained:
        record = explanation.record()
        terms += [{"cascade": cascade, **term} for term in record["terms"]]
        constants |= {constant["path"]: constant for constant in record["constants"]}
    return {"terms": terms, "constants": list(constants.values())}


def _by_key(terms: Iterable[Term]) -> dict[tuple[str, str, int], Term]:
    found: dict[tuple[str, str, int], Term] = {}
    for term in terms:
        which = 0
        while (term.of, term.name, which) in found:
            which += 1
        found[term.of, term.name, which] = term
    return found


def _block(of: str, pairs: Iterable[Pair]) -> str:
    return "\n".join([of, *(line for p in pairs if p.now.of == of for line in _lines(p))])


def _lines(pair: Pair) -> Iterator[str]:
    """A term as `explain` writes it; one that changed with the numbers of both sides."""
    old, new, now, mark = pair.before, pair.after, pair.now, pair.mark
    if old is None or new is None or mark == " ":
        yield f"{mark} {now.name} = {now.equation}"
        yield f"    = {now.numbers} = {now.result}"
        return
    same = old.equation == new.equation
    yield f"{mark} {now.name} = {now.equation}" if same else f"{mark} {now.name}"
    for side, term in (("before", old), ("after", new)):
        equation = "" if same else f"{term.equation} = "
        yield f"    {side:6} = {equation}{term.numbers} = {term.result}"


def _constants(
    before: Mapping[str, Constant], after: Mapping[str, Constant]
) -> Iterator[list[str]]:
    """A line for each constant; of one that changed both values, and the source after it."""
    for path in dict.fromkeys((*after, *before)):
        old, new = before.get(path), after.get(path)
        now = new or old
        assert now is not None, "the path is from one of the two"
        moved = old is not None and new is not None and old.text != new.text
        text = f"{old.text} → {new.text}" if moved and old and new else now.text
        mark = "+" if old is None else "-" if new is None else "*" if moved else " "
        yield [f"{mark} {path}", text, now.source.status, now.source.text]
