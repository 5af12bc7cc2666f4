"""Keeps pytest's search for doctests out of kernels that cannot be imported without Triton."""

from importlib.util import find_spec

KERNELS = ("flash", "neighborhood", "block_sparse", "linear", "decode", "unfused")

collect_ignore = [] if find_spec("triton") else [f"{name}.py" for name in KERNELS]
