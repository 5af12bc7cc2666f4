"""A package that is also a function: `einfall.validate` and `einfall.report` are both."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package of the same name as a function of `einfall.api`, which a call of it calls."""

    def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as the function has them
        """What the function of `einfall.api` answers."""
        from einfall import api

        return getattr(api, self.__name__.rpartition(".")[2])(*args, **options)


def answer_calls(name: str) -> None:
    """Have a package answer calls as the function of its name does."""
    sys.modules[name].__class__ = CallablePackage
