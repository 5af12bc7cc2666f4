"""How fast can this attention go on that machine, what stops it, and what if?

Python asks what the command line asks: `einfall.estimate("attention_1pass", on="h100_sxm", …)`; see
`einfall.api`. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from einfall.api import (
        BadInputError,
        Result,
        analyze,
        bounds,
        cascade,
        estimate,
        ladder,
        machine,
        report,
        run,
        search,
        show,
        sweep,
        validate,
        whatif,
    )

__version__ = "0.1.0"

__all__ = [
    "BadInputError",
    "Result",
    "__version__",
    "analyze",
    "bounds",
    "cascade",
    "estimate",
    "ladder",
    "machine",
    "report",
    "run",
    "search",
    "show",
    "sweep",
    "validate",
    "whatif",
]

_PACKAGES = ("report", "validate")  # packages that answer calls


def __getattr__(name: str) -> Any:  # noqa: ANN401  what `einfall.api` has
    """Load what is asked for; PEP 562."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
