"""Cascades on 4f optical systems: maps and kernels laid on planes, frames, light, and the host."""
