"""TRUE? Comparison of what einfall computes with what was published or measured.

Called, it asks the verb: see `einfall.api.validate`.
"""

from einfall.callable import answer_calls

answer_calls(__name__)
