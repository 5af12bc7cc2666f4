"""A package that is also a function: `einfall.validate` and `einfall.report` are both.

The verbs keep their names in Python, and two packages have the same ones; importing such a package
puts it in the place of a function. A module may have a class of its own, and that one takes calls:
Python's data model, "Customizing module attribute access". The function is in `einfall.api`, above
all packages, and is looked up when it is called.
"""

from __future__ import annotations

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package of the same name as a function of `einfall.api`, which a call of it calls."""

    def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as the function has them
        """What the function answers."""
        return self._function()(*args, **options)

    @property
    def __signature__(self) -> Signature:
        """The arguments of the function, for those who ask `inspect` or a notebook."""
        return signature(self._function())

    def _function(self) -> Any:  # noqa: ANN401
        from einfall import api

        return getattr(api, self.__name__.rpartition(".")[2])


def answer_calls(name: str) -> None:
    """Have a package answer calls as the function of its name does."""
    sys.modules[name].__class__ = CallablePackage
