"""What a launch without steps does, by its actions: FLOP of its products, cycles of each pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einfall.hw_models.gpu import Gpu
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule
from einfall.sim.numeric import Number


@dataclass(frozen=True, slots=True)
class Counted:
    """The actions of a launch, as `Work.actions` has them, beside the rates of the machine.

    >>> from einfall.hw_models import load as load_machine
    >>> from einfall.sim.gpu.schedule import load
    >>> h100, actions = load_machine("h100_sxm"), {"mma.bf16": 132 * 4096.0, "exp": 132 * 32.0}
    >>> found = Counted(load("triton_softmax_3pass"), h100, Problem(), actions)
    >>> found.flops, found.cycles  # an SM: 4096 FLOP and 16 exponentials a clock
    (540672.0, {'mufu': 2.0, 'fma': 0.0, 'tensor': 1.0})
    """

    kernel: KernelSchedule
    gpu: Gpu
    problem: Problem
    actions: Mapping[str, Number]

    @property
    def product_unit(self) -> str:
        """The unit that does the products: tensor cores, or FP32 lanes."""
        return "fma" if self.kernel.does == "unfused" else "tensor"

    @property
    def flops(self) -> Number:
        """FLOP of all products."""
        if self.product_unit == "fma":
            return 2 * self.actions.get("fma", 0.0)
        products = [n for name, n in self.actions.items() if name.startswith("mma.")]
        return sum(products, start=0.0)

    @property
    def peak_flops_per_clock(self) -> Number:
        """FLOP a clock of the unit that does them, on all SMs."""
        if self.product_unit == "fma":
            return 2 * self.gpu.fmas_per_clock
        return self.gpu.tensor_flops_per_clock(self.problem.dtype)

    @property
    def cycles(self) -> dict[str, Number]:
        """Cycles of each pipe at its full rate, in the mean over the SMs."""
        found: dict[str, Number] = {
            "mufu": self.actions.get("exp", 0.0) / self.gpu.exps_per_clock,
            "fma": self.actions.get("fma", 0.0) / self.gpu.fmas_per_clock,
        }
        if self.product_unit == "tensor":
            found["tensor"] = self.flops / self.peak_flops_per_clock
        return found
