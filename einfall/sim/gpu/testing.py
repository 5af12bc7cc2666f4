"""A small machine of round numbers, for examples and tests that a reader can check by hand."""

from __future__ import annotations

from functools import cache

from einfall.hw_models.gpu import Gpu
from einfall.hw_models.yaml_door import read_spec

_TOY = """
kind: gpu
name: toy
generation: hopper
sms: 4
clock: {min: 0.5 GHz, peak_at: 1 GHz, boost: 1 GHz}
sm:
  tensor: {bf16: 4096, fp16: 4096, fp8: 8192, tf32: 2048}
  mma_m: 64
  mufu_per_clock: 16
  fma_lanes: 128
  alu_lanes: 64
  convert_per_clock: 64
  shared_bytes_per_clock: 128
  shared_capacity: 228 KiB
  register_capacity: 256 KiB
  max_threads: 2048
  max_ctas: 32
l2: {capacity: 1 MB, bandwidth: 4 TB/s, partitions: 1, line: 128 B, sector: 32 B}
hbm: {capacity: 1 GB, bandwidth: 1 TB/s, achievable: 1.0, latency: 500 ns}
launch: {latency: 2 us, gap: 1 us}
power:
  cap: 100 W
  idle: 10 W
  active_floor: 20 W
  voltage: {v_min: 0.7 V, v_max: 1.0 V, knee: 0.5 GHz, top: 1 GHz}
energy:
  nominal: 1 V
  mma: {bf16: 1 pJ, fp16: 1 pJ, fp8: 0.5 pJ, tf32: 2 pJ}
  exp: 10 pJ
  fma: 5 pJ
  shared: 1 pJ/B
  l2: 10 pJ/B
  hbm: 100 pJ/B
links: {}
"""


@cache
def toy() -> Gpu:
    """Four SMs at 1 GHz, 1 TB/s of HBM, a cap of 100 W.

    >>> toy().peak_flops_per_s("bf16")
    16384000000000.0
    """
    return read_spec(_TOY, Gpu)
