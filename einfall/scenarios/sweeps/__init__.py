"""Sweeps: a grid of shapes and machines in one YAML file, by arrays where that is exact."""
