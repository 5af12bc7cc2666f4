"""The edge that prints: answers as records, tables, explanations and timeline files."""
