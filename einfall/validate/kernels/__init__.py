"""Triton kernels of our own: one family a file, each with a float64 reference in `references`.

`configs` and `references` need NumPy only; the other modules import Triton when they are imported.
"""
