"""The edge that prints: answers as records, tables, explanations and timeline files.

Called, it writes the page of an answer: see `einfall.api.report`.
"""

from einfall.callable import answer_calls

answer_calls(__name__)
