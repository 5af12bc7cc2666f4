"""IF: what-ifs as files, and their runner: `run("fusemax")`."""

from einfall.scenarios.library import load, names
from einfall.scenarios.runner import Result, ready, run

__all__ = ["Result", "load", "names", "ready", "run"]
