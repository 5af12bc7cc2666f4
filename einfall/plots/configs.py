"""The configurations from the baselines to FuseMax: their order, their names, how they look."""

from __future__ import annotations

from collections.abc import Iterable

from einfall.plots import style
from einfall.plots.style import Look

CONFIGS = {
    "unfused": ("Unfused", Look(style.GREY, "", "o")),
    "flat": ("FLAT", Look(style.SKY, "///", "s")),
    "plus_cascade": ("+Cascade", Look(style.ORANGE, "...", "^")),
    "plus_architecture": ("+Architecture", Look(style.GREEN, "\\\\\\", "D")),
    "plus_binding_fusemax": ("+Binding (FuseMax)", Look(style.BLUE, "", "v")),
}
"""Each known configuration: what a reader knows it as, and its look in every figure."""


def label(config: str) -> str:
    """What a reader knows a configuration as; an unknown one keeps its name.

    >>> label("plus_cascade"), label("mine")
    ('+Cascade', 'mine')
    """
    return CONFIGS[config][0] if config in CONFIGS else config


def in_order(configs: Iterable[str]) -> list[str]:
    """Configurations, each once, in the order of `CONFIGS`, then the unknown ones as they come.

    >>> in_order(["mine", "flat", "unfused"])
    ['unfused', 'flat', 'mine']
    """
    seen = list(dict.fromkeys(configs))
    return [c for c in CONFIGS if c in seen] + [c for c in seen if c not in CONFIGS]


def config_looks(configs: Iterable[str]) -> dict[str, Look]:
    """The look of each configuration; a known one looks the same whatever else is drawn."""
    ordered = in_order(configs)
    unknown = style.looks(c for c in ordered if c not in CONFIGS)
    return {c: CONFIGS[c][1] if c in CONFIGS else unknown[c] for c in ordered}
