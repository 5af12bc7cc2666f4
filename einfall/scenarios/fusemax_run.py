"""Running FuseMax's evaluation: its rows in both accountings, what to print, and the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einfall import __version__
from einfall.files import csv_text, json_text, write_texts
from einfall.hw_models.yaml_door import SpecError
from einfall.scenarios import tables
from einfall.scenarios.changes import Change, changes
from einfall.scenarios.fusemax import COLUMNS, Answers, FuseMax, answers
from einfall.scenarios.headlines import Headline, headlines, shown
from einfall.sim.accounting import ARTIFACT, MODES, PHYSICAL
from einfall.units import format_quantity

if TYPE_CHECKING:
    from einfall.scenarios.findings import Drawing

FILES: Mapping[str, str] = {ARTIFACT.name: "results.csv", PHYSICAL.name: "results_physical.csv"}
"""Where the rows of each accounting go."""


@dataclass(frozen=True)
class Result:
    """What a scenario came to: answers by accounting, means, effects of rules, and files."""

    scenario: FuseMax
    answers: Mapping[str, Answers]
    headlines: Mapping[str, Sequence[Headline]]
    changes: Sequence[Change]
    paths: tuple[Path, ...]

    @property
    def rows(self) -> list[dict[str, object]]:
        """The rows as records of `COLUMNS`: those of the published accounting if it was run."""
        return self._records(next(iter(self.answers)))

    def _records(self, accounting: str) -> list[dict[str, object]]:
        return [row.record() for row in self.answers[accounting].rows]

    def text(self) -> str:
        """What is printed: the means, what the physical accounting changes, and the files."""
        parts = [f"{self.scenario.name}: {self.scenario.about}"]
        parts += [part for part in (self._means(), self._effects(), self._overflow()) if part]
        return "\n\n".join([*parts, *tables.files_text(self.paths)])

    def record(self) -> dict[str, Any]:
        """The JSON document: rows, means and effects, with their source."""
        return {
            "scenario": self.scenario.name,
            "about": self.scenario.about,
            "source": self.scenario.source,
            "einfall": __version__,
            "rows": {name: self._records(name) for name in self.answers},
            "headlines": [*self._headline_records()],
            "changes": [_change_record(change) for change in self.changes],
            "overflow": self._overflow_records(),
            "files": [str(path) for path in self.paths],
        }

    def drawings(self) -> Iterator[Drawing]:
        """The figures that the scenario has the rows for, drawn when they are asked for."""
        from einfall.scenarios.fusemax_figures import drawings

        return drawings(self.scenario, self.rows)

    def _means(self) -> str:
        if not any(self.headlines.values()):
            return ""
        head = ["mean over models and lengths", "published"]
        head += [f"{name} {kind}" for name in self.headlines for kind in ("mean", "geometric")]
        rows = []
        for each in zip(*self.headlines.values(), strict=True):
            claim = each[0].claim
            line = [each[0].name, shown(claim.metric, claim.published)]
            for headline in each:
                for mean in (headline.arithmetic, headline.geometric):
                    line.append(shown(claim.metric, mean, 2 if claim.metric == "latency" else 1))
            rows.append(line)
        return tables.text_table(head, rows)

    def _headline_records(self) -> Iterator[dict[str, Any]]:
        for each in zip(*self.headlines.values(), strict=True):
            claim = each[0].claim
            recomputed = {
                name: {"arithmetic": h.arithmetic, "geometric": h.geometric, "ratios": h.ratios}
                for name, h in zip(self.headlines, each, strict=True)
            }
            yield {"claim": each[0].name, "published": claim.published, **recomputed}

    def _effects(self) -> str:
        if not self.changes or self.scenario.reference is None:
            return ""
        at = self.scenario.reference
        head = ["one rule at a time", "published", "physical", "change"]
        lines: list[Sequence[str]] = []
        for c in self.changes:
            change = c.physical / c.published - 1
            name = f"{c.quantity}: {c.rule}"
            effect = "none" if abs(change) < 5e-7 else f"{100 * change:+.3g} %"
            lines.append([name, _amount(c.published, c.unit), _amount(c.physical, c.unit), effect])
        title = f"What the physical accounting changes ({at.model}, {at.seq_len} tokens)"
        why = dict.fromkeys(f"  {c.rule}: {c.why}" for c in self.changes)
        return "\n".join([title, tables.text_table(head, lines), "why:", *why])

    def _overflow(self) -> str:
        found = self._overflow_records()
        if not found:
            return ""
        head = ["published energy above ours without integer overflow", "at most", "where"]
        rows = [[one["config"], f"+{100 * one['largest']:.2f} %", _where(one)] for one in found]
        note = (
            "In the artifact's tool 64-bit products wrap around there, so that it charges accesses "
            "that never\nhappen. The artifact accounting adds them; the physical one does not."
        )
        return f"{tables.text_table(head, rows)}\n{note}"

    def _overflow_records(self) -> list[dict[str, Any]]:
        """By configuration: how far overflow lifts the published energies, and of which places."""
        published = self.answers.get(ARTIFACT.name)
        if published is None:
            return []
        found: dict[str, dict[tuple[str, str], float]] = {}
        for (config, model, length), point in published.attention.items():
            excess = point.overflow_j / (point.energy_j - point.overflow_j)
            if excess > _NOTEWORTHY:
                found.setdefault(config, {})[length, model] = excess
        return [
            {
                "config": config,
                "largest": max(excess.values()),
                "places": {
                    length: [model for model in self.scenario.models if (length, model) in excess]
                    for length in dict.fromkeys(
                        length
                        for length, _ in sorted(
                            excess, key=lambda place: self.scenario.lengths.index(place[0])
                        )
                    )
                },
            }
            for config, excess in found.items()
        ]


def _where(overflow: Mapping[str, Any]) -> str:
    """Lengths and models: `64K BERT T5; 1M BERT TrXL`."""
    return "; ".join(
        f"{length} {' '.join(models)}" for length, models in overflow["places"].items()
    )


_NOTEWORTHY = 1e-6  # part of an energy; the wrapped registers of single elements are below it


def run(
    scenario: FuseMax, *, out: Path | None = None, figures: bool = False, accounting: str | None
) -> Result:
    """Run the scenario; see `scenarios.run`.

    Args:
        scenario: What to run.
        out: Folder for `results.csv`, `results_physical.csv` and `results.json`.
        figures: Whether to draw the figures, too.
        accounting: "artifact" or "physical" for one alone; both without it.

    Raises:
        SpecError: An unknown accounting.
    """
    if accounting is not None and accounting not in MODES:
        raise SpecError([f"--accounting: want one of {', '.join(MODES)}, found {accounting!r}"])
    modes = (ARTIFACT, PHYSICAL) if accounting is None else (MODES[accounting],)
    found = {mode.name: answers(scenario, mode) for mode in modes}
    result = Result(
        scenario=scenario,
        answers=found,
        headlines={name: headlines(scenario, each) for name, each in found.items()},
        changes=changes(scenario) if accounting is None else (),
        paths=(),
    )
    return result if out is None else _written(result, out, figures)


def _written(result: Result, out: Path, figures: bool) -> Result:
    """The result with its files."""
    texts = {
        out / FILES[name]: csv_text(COLUMNS, (row.record() for row in each.rows))
        for name, each in result.answers.items()
    }
    record = {k: v for k, v in result.record().items() if k not in ("rows", "files")}
    paths = write_texts({**texts, out / "results.json": json_text(record)})
    if figures:
        from einfall.scenarios.fusemax_figures import draw

        paths += draw(result.scenario, result.rows, out)
    return Result(result.scenario, result.answers, result.headlines, result.changes, paths)


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "rule": change.rule,
        "quantity": change.quantity,
        "unit": change.unit,
        "published": change.published,
        "physical": change.physical,
        "why": change.why,
    }


def _amount(value: float, unit: str) -> str:
    return format_quantity(value, unit) if unit else f"{100 * value:.1f} %"
