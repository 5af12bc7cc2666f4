"""The GPU: many equal multiprocessors (SMs) over a shared L2 and HBM, under one power cap.

An SM is written as what each of its pipes does in one clock; the clock itself is no constant: it
lies between `clock.min` and `clock.boost`, where the power cap lets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from einfall.hw_models.spatial_array import UnsupportedOpError
from einfall.hw_models.yaml_door import Spec, did_you_mean
from einfall.units import (
    Bytes,
    BytesPerSecond,
    Hertz,
    Joules,
    JoulesPerByte,
    Seconds,
    Volts,
    Watts,
    format_quantity,
)

DTYPES = ("bf16", "fp16", "fp8", "fp4", "tf32")
"""Types of number that tensor cores may multiply; sums are kept in fp32."""


def _known_dtype(name: str) -> str:
    if name not in DTYPES:
        known = ", ".join(DTYPES)
        raise ValueError(f"want a dtype ({known}), found {name!r}{did_you_mean(name, DTYPES)}")
    return name


Number: TypeAlias = float | np.ndarray
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]  # so many in a clock
Dtype = Annotated[str, AfterValidator(_known_dtype)]


class Clock(Spec):
    """Clock of the SMs [Hz]: `boost` is the highest, `peak_at` that of the datasheet's peaks."""

    min_hz: Hertz = Field(alias="min")
    base_hz: Hertz | None = Field(default=None, alias="base")
    peak_at_hz: Hertz = Field(alias="peak_at")
    boost_hz: Hertz = Field(alias="boost")

    @model_validator(mode="after")
    def _lies_between_its_ends(self) -> Clock:
        if self.min_hz > self.boost_hz:
            raise ValueError(
                f"want min up to boost ({_hz(self.boost_hz)}), found min {_hz(self.min_hz)}"
            )
        return self


class Sm(Spec):
    """One streaming multiprocessor: what its pipes do in a clock, and what it holds.

    `tensor` is FLOP a clock by dtype, dense, a multiply-add being two. `fma_lanes` are fp32
    multiply-adds, `alu_lanes` integer, compare, min and max, `convert_per_clock` results of
    fp32 -> 16 bit, `mufu_per_clock` exp2 and the like. `mma_m` is rows of the matrix instruction of
    one warp (16), warpgroup (64) or block (128).
    """

    tensor: Annotated[Mapping[Dtype, Rate], Field(min_length=1)]
    mma_m: Literal[16, 64, 128]
    mufu_per_clock: Rate
    fma_lanes: Rate
    alu_lanes: Rate
    convert_per_clock: Rate
    shared_bytes_per_clock: Rate
    shared_capacity_bytes: Bytes = Field(alias="shared_capacity")
    register_capacity_bytes: Bytes = Field(alias="register_capacity")
    tmem_capacity_bytes: Bytes | None = Field(default=None, alias="tmem_capacity")
    max_threads: Count
    max_ctas: Count


class L2(Spec):
    """The cache that all SMs share; `bandwidth` is the best measured where there is one."""

    capacity_bytes: Bytes = Field(alias="capacity")
    bandwidth_bytes_per_s: BytesPerSecond = Field(alias="bandwidth")
    partitions: Count
    line_bytes: Bytes = Field(alias="line")
    sector_bytes: Bytes = Field(alias="sector")

    @model_validator(mode="after")
    def _has_whole_sectors_in_a_line(self) -> L2:
        if self.line_bytes % self.sector_bytes:
            wanted = f"want a line of whole sectors ({self.sector_bytes:g} B)"
            raise ValueError(f"{wanted}, found {self.line_bytes:g} B")
        return self


class Hbm(Spec):
    """Memory off chip: bandwidth of the datasheet, and the `achievable` fraction of it."""

    capacity_bytes: Bytes = Field(alias="capacity")
    bandwidth_bytes_per_s: BytesPerSecond = Field(alias="bandwidth")
    achievable: float = Field(gt=0, le=1)
    latency_s: Seconds | None = Field(default=None, alias="latency")

    @property
    def achievable_bytes_per_s(self) -> float:
        """Bandwidth that a kernel gets [B/s]: achievable · bandwidth.

        >>> from einfall.hw_models import load
        >>> round(load("h100_sxm").hbm.achievable_bytes_per_s / 1e12, 2)
        3.12
        """
        return self.achievable * self.bandwidth_bytes_per_s


class Launch(Spec):
    """A kernel's floor: `latency` of one that does nothing, `gap` between two in a graph."""

    latency_s: Seconds = Field(alias="latency")
    gap_s: Seconds = Field(alias="gap")


class Voltage(Spec):
    """Voltage over the clock: `v_min` up to the knee, then in a line to `v_max` at `top`.

    `top` is a point of the curve, not a limit: a boost set above it goes on along the line.
    """

    min_v: Volts = Field(alias="v_min")
    max_v: Volts = Field(alias="v_max")
    knee_hz: Hertz = Field(alias="knee")
    top_hz: Hertz = Field(alias="top")

    @model_validator(mode="after")
    def _rises(self) -> Voltage:
        if self.max_v < self.min_v:
            raise ValueError(f"want v_max of v_min ({self.min_v:g} V) at least, got {self.max_v:g}")
        if self.top_hz <= self.knee_hz:
            raise ValueError(f"want top above knee ({_hz(self.knee_hz)}), got {_hz(self.top_hz)}")
        return self


class Power(Spec):
    """The cap [W], what is drawn before any work is done, and the voltage over the clock.

    `idle` is drawn with a context open and nothing running, `active_floor` while a kernel runs.
    """

    cap_w: Watts = Field(alias="cap")
    idle_w: Watts = Field(alias="idle")
    active_floor_w: Watts = Field(alias="active_floor")
    voltage: Voltage

    @model_validator(mode="after")
    def _leaves_room_for_work(self) -> Power:
        if not self.idle_w <= self.active_floor_w < self.cap_w:
            raise ValueError(
                f"want idle <= active_floor < cap ({self.cap_w:g} W), "
                f"found idle {self.idle_w:g} W, active_floor {self.active_floor_w:g} W"
            )
        return self

    @property
    def slope_v_per_hz(self) -> float:
        """Voltage over the clock above the knee [V/Hz]: (v_max - v_min) / (top - knee)."""
        curve = self.voltage
        return (curve.max_v - curve.min_v) / (curve.top_hz - curve.knee_hz)

    def voltage_v(self, clock_hz: Number) -> Number:
        """Voltage of the SMs at a clock [V].

            V(f) = v_min + max(0, f - knee) · (v_max - v_min) / (top - knee)

        Left out: temperature, and the spread from chip to chip.

        Args:
            clock_hz: Clock [Hz]; a number or an array.

        >>> from einfall.hw_models import load
        >>> power = load("h100_sxm").power
        >>> power.voltage_v(power.voltage.top_hz) == power.voltage.max_v
        True
        """
        curve = self.voltage
        above: Any = np.maximum(0, np.asarray(clock_hz) - curve.knee_hz)
        volts = curve.min_v + above * self.slope_v_per_hz
        return volts if np.ndim(volts) else float(volts)


class Energy(Spec):
    """Energy of one action at the voltage `nominal`; that of the SMs goes with voltage squared.

    `mma` is per FLOP by dtype, `exp` and `fma` per op with its operands, `shared`, `l2` and `hbm`
    per byte that is moved there. HBM has a supply of its own, which the clock does not change.
    """

    nominal_v: Volts = Field(alias="nominal")
    mma_j_per_flop: Mapping[Dtype, Joules] = Field(alias="mma")
    exp_j: Joules = Field(alias="exp")
    fma_j: Joules = Field(alias="fma")
    shared_j_per_byte: JoulesPerByte = Field(alias="shared")
    l2_j_per_byte: JoulesPerByte = Field(alias="l2")
    hbm_j_per_byte: JoulesPerByte = Field(alias="hbm")


class Links(Spec):
    """Ways off the board, each in one direction [B/s]; none where the board has none."""

    nvlink_bytes_per_s: BytesPerSecond | None = Field(default=None, alias="nvlink")
    pcie_bytes_per_s: BytesPerSecond | None = Field(default=None, alias="pcie")


class Gpu(Spec):
    """A GPU: one YAML file of `kind: gpu`.

    All numbers are in base units. They may be replaced by NumPy arrays with `model_copy(update=…)`
    and every property and method goes on working, element by element.
    """

    kind: Literal["gpu"]
    name: str
    about: str = ""
    generation: Literal["ampere", "ada", "hopper", "blackwell", "blackwell_rtx"]
    sms: Count
    clock: Clock
    sm: Sm
    l2: L2
    hbm: Hbm
    launch: Launch
    power: Power
    energy: Energy
    links: Links

    @field_validator("energy")
    @classmethod
    def _knows_the_energy_of_each_dtype(cls, energy: Energy, info: ValidationInfo) -> Energy:
        sm = info.data.get("sm")
        tensor = sm.tensor if sm else {}  # none where sm has mistakes of its own
        lacking = [dtype for dtype in tensor if dtype not in energy.mma_j_per_flop]
        if lacking:
            wanted = f"want mma for each dtype of sm.tensor ({', '.join(tensor)})"
            raise ValueError(f"{wanted}, found none for {', '.join(lacking)}")
        return energy

    def supports(self, dtype: str) -> bool:
        """Whether the tensor cores multiply numbers of this type."""
        return dtype in self.sm.tensor

    def tensor_flops_per_clock(self, dtype: str) -> float:
        """Dense FLOP a clock of all SMs: sms · sm.tensor[dtype].

        Raises:
            UnsupportedOpError: The tensor cores do not know the dtype.

        >>> from einfall.hw_models import load
        >>> load("h100_sxm").tensor_flops_per_clock("bf16")
        540672.0
        """
        if dtype not in self.sm.tensor:
            known = ", ".join(self.sm.tensor)
            hint = did_you_mean(dtype, self.sm.tensor)
            raise UnsupportedOpError(
                f"{self.name}: wanted a dtype of its tensor cores ({known}), found {dtype!r}{hint}"
            )
        return self.sms * self.sm.tensor[dtype]

    def peak_flops_per_s(self, dtype: str, clock_hz: Number | None = None) -> Number:
        """Dense peak of the tensor cores [FLOP/s]: sms · sm.tensor[dtype] · clock.

        Args:
            dtype: A key of `sm.tensor`.
            clock_hz: Clock [Hz], a number or an array; `clock.peak_at` if left out.

        Raises:
            UnsupportedOpError: The tensor cores do not know the dtype.

        Source:
            NVIDIA H100 datasheet, SXM: 989.4 TFLOP/s bf16 = 132 · 4096 · 1.83 GHz.

        >>> from einfall.hw_models import load
        >>> round(load("h100_sxm").peak_flops_per_s("bf16") / 1e12, 1)
        989.4
        """
        clock = self.clock.peak_at_hz if clock_hz is None else clock_hz
        return self.tensor_flops_per_clock(dtype) * clock

    def ridge_flops_per_byte(self, dtype: str) -> Number:
        """FLOP a byte of HBM at which the roofline bends: peak / bandwidth, both of the datasheet.

        Source:
            Austin et al., "How to scale your model", Rooflines: 295 FLOP/B for H100 bf16.

        >>> from einfall.hw_models import load
        >>> round(load("h100_sxm").ridge_flops_per_byte("bf16"))
        295
        """
        return self.peak_flops_per_s(dtype) / self.hbm.bandwidth_bytes_per_s

    @property
    def exps_per_clock(self) -> float:
        """exp2 a clock of all SMs, by the hardware unit: sms · sm.mufu_per_clock.

        >>> from einfall.hw_models import load
        >>> load("h100_sxm").exps_per_clock
        2112.0
        """
        return self.sms * self.sm.mufu_per_clock

    @property
    def fmas_per_clock(self) -> float:
        """fp32 multiply-adds a clock of all SMs, outside the tensor cores."""
        return self.sms * self.sm.fma_lanes

    @property
    def shared_bytes_per_clock(self) -> float:
        """Bytes a clock of the shared memories of all SMs."""
        return self.sms * self.sm.shared_bytes_per_clock

    def energy_scale(self, clock_hz: Number) -> Number:
        """Energy of an action of the SMs at a clock over that at `energy.nominal`.

            scale(f) = (V(f) / V_nominal)²

        >>> from einfall.hw_models import load
        >>> gpu = load("h100_sxm")
        >>> gpu.energy_scale(gpu.clock.boost_hz) > gpu.energy_scale(gpu.clock.min_hz)
        True
        """
        return (self.power.voltage_v(clock_hz) / self.energy.nominal_v) ** 2


def _hz(value: float) -> str:
    return format_quantity(value, "Hz")
