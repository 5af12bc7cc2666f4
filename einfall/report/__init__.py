"""The edge that prints: answers as records, tables, explanations and timeline files."""

from einfall.callable import answer_calls

answer_calls(__name__)
