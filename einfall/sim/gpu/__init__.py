"""Kernels on GPUs: schedule, machine and problem become time, energy, clock and the reason."""

from einfall.sim.gpu.calibrated import Calibration, calibration
from einfall.sim.gpu.power import Regime
from einfall.sim.gpu.predict import Prediction, predict
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import KernelSchedule, Parameters, ScheduleError, find, load, names

__all__ = [
    "Calibration",
    "KernelSchedule",
    "Parameters",
    "Prediction",
    "Problem",
    "Regime",
    "ScheduleError",
    "calibration",
    "find",
    "load",
    "names",
    "predict",
]
