"""The parts of `einfall.validate.measure`: they run with torch, triton and numpy and nothing else.

`cases`, `work`, `statistics`, `nvml` and `recording` need no torch; `jobs`, `check` and `timing`
import it inside their functions.
"""
