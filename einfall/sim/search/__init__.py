"""The best mapping of a cascade on a machine, found by branch and bound, with a proof."""

from einfall.sim.search.engine import search
from einfall.sim.search.result import OBJECTIVES, Found, Proof, SearchResult

__all__ = ["OBJECTIVES", "Found", "Proof", "SearchResult", "search"]
