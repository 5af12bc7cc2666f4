"""What can be asked, a verb a file: its options, and the answer as a record and in words.

The command line (`einfall.cli`) and Python (`einfall.api`) ask the same verbs, so that both get the
same answers. Nothing heavy is imported before a verb needs it.
"""

from __future__ import annotations

from collections.abc import Mapping

from einfall.verbs import (
    analyze,
    bounds,
    estimate,
    ladder,
    report,
    run,
    search,
    show,
    sweep,
    validate,
    whatif,
)
from einfall.verbs.words import Verb

VERBS: Mapping[str, Verb] = {
    "show": show.VERB,
    "analyze": analyze.VERB,
    "estimate": estimate.VERB,
    "bounds": bounds.VERB,
    "ladder": ladder.VERB,
    "search": search.VERB,
    "run": run.VERB,
    "whatif": whatif.VERB,
    "sweep": sweep.VERB,
    "validate": validate.VERB,
    "report": report.VERB,
}
"""Everything that can be asked, in the order of the command line's help."""
