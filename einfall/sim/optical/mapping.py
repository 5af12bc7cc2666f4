"""How a cascade is laid on a 4f system, as text: `best`, `batch:pitch=full`, `mix:data=optics`.

A tiling by name, or `best` for the fastest of all; then, after a colon, what else is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from einfall.einsum_cascades.checks import hint
from einfall.sim.mapping import MappingError
from einfall.sim.optical.correlation import Pitch
from einfall.sim.optical.planes import Signs
from einfall.sim.optical.tilings import NAMES, Name

BEST = "best"
"""The fastest tiling of each layer, by the closed form."""

ABOUT: Mapping[str, str] = {
    BEST: "The fastest tiling of each layer, by the closed form.",
    "none": "One map and one kernel a frame.",
    "batch": "Images side by side, one kernel a frame (FatNet).",
    "kernel": "Kernels side by side, one map a frame.",
    "mix": "Images by kernels; depthwise layers also put channels side by side.",
    "channel": "Channels side by side, summed as light (Li 2020).",
}
"""What each tiling is."""


@dataclass(frozen=True, slots=True)
class OpticalMapping:
    """A tiling and what goes with it.

    `pitch` of tiles is `clean` (nothing that counts overlaps) or `full` (nothing overlaps at all);
    `signs` as in `planes`; `inputs` of the cascade are signed, unless said to be nonnegative;
    products of `data` with data are the host's or go to the optics, too.
    """

    tiling: Name | None = None
    pitch: Pitch = "clean"
    signs: Signs = "split"
    inputs: Literal["signed", "nonnegative"] = "signed"
    data: Literal["host", "optics"] = "host"

    @property
    def name(self) -> str:
        """The text that gives this mapping.

        >>> OpticalMapping("batch", pitch="full").name
        'batch:pitch=full'
        """
        said = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)[1:]
            if getattr(self, f.name) != f.default
        ]
        return (self.tiling or BEST) + (":" + ",".join(said) if said else "")


def options() -> dict[str, tuple[str, ...]]:
    """What may follow a tiling after a colon, and its values; the first goes without saying.

    >>> options()["pitch"]
    ('clean', 'full')
    """
    hints = get_type_hints(OpticalMapping)
    return {name: get_args(values) for name, values in hints.items() if name != "tiling"}


def parse_mapping(text: str) -> OpticalMapping:
    """Read a mapping.

    Raises:
        MappingError: All that is wrong with the text.

    >>> parse_mapping("mix:inputs=nonnegative,data=optics")
    OpticalMapping(tiling='mix', pitch='clean', signs='split', inputs='nonnegative', data='optics')
    """
    word, _, rest = text.partition(":")
    choices = options()
    problems = [] if word in (BEST, *NAMES) else [_wanted("", word, (BEST, *NAMES))]
    given: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, _, value = part.partition("=")
        if key not in choices:
            problems.append(_wanted("", key, choices))
        elif value not in choices[key]:
            problems.append(_wanted(f"{key}=", value, choices[key]))
        elif key in given:
            problems.append(f"wanted {key} once, found it again; remove one")
        given[key] = value
    if problems:
        raise MappingError("\n".join(f"mapping {text}: {problem}" for problem in problems))
    return OpticalMapping(next((n for n in NAMES if n == word), None), **given)


def _wanted(key: str, found: str, known: Iterable[str]) -> str:
    names = list(known)
    way_out = hint(found, names, "leave it out")
    return f"wanted {key}{' or '.join(names)}, found {found!r}; {way_out}"
