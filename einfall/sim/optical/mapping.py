"""How a cascade is laid on a 4f system, as text: `best`, `batch:pitch=full`, `mix:data=optics`.

A tiling by name, or `best` for the fastest of all; then, after a colon, what else is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from einfall.einsum_cascades.checks import hint
from einfall.sim.mapping import MappingError
from einfall.sim.optical.planes import Signs
from einfall.sim.optical.tilings import NAMES, Name

BEST = "best"
"""The fastest tiling of each layer, by the closed form."""


@dataclass(frozen=True, slots=True)
class OpticalMapping:
    """A tiling and what goes with it.

    `pitch` of tiles is `clean` (nothing that counts overlaps) or `full` (nothing overlaps at all);
    `signs` as in `planes`; `inputs` of the cascade are signed, unless said to be nonnegative;
    products of `data` with data are the host's or go to the optics, too.
    """

    tiling: Name | None = None
    pitch: Literal["clean", "full"] = "clean"
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


def parse_mapping(text: str) -> OpticalMapping:
    """Read a mapping.

    Raises:
        MappingError: All that is wrong with the text.

    >>> parse_mapping("mix:inputs=nonnegative,data=optics")
    OpticalMapping(tiling='mix', pitch='clean', signs='split', inputs='nonnegative', data='optics')
    """
    word, _, rest = text.partition(":")
    problems, options = [], {}
    choices = {f: get_args(t) for f, t in get_type_hints(OpticalMapping).items() if f != "tiling"}
    if word not in (BEST, *NAMES):
        known = ", ".join((BEST, *NAMES))
        problems.append(f"wanted one of {known}, found {word!r}{hint(word, (BEST, *NAMES))}")
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, _, value = part.partition("=")
        if key not in choices:
            known = ", ".join(choices)
            problems.append(f"wanted one of {known}, found {key!r}{hint(key, choices)}")
        elif value not in choices[key]:
            known = " or ".join(choices[key])
            problems.append(f"wanted {key}={known}, found {value!r}{hint(value, choices[key])}")
        elif key in options:
            problems.append(f"wanted {key} once, found it again: remove one")
        else:
            options[key] = value
    if problems:
        raise MappingError("\n".join(f"mapping {text}: {problem}" for problem in problems))
    return OpticalMapping(next((n for n in NAMES if n == word), None), **options)
