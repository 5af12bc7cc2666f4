"""TRUE? Comparison of what einfall computes with what was published or measured."""

from einfall.callable import answer_calls

answer_calls(__name__)
