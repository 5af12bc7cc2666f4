"""What is asked of a cascade on a GPU: a kernel schedule takes the place of a mapping."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from einfall.verbs.answers import Answer, BadInputError, Mistakes, did_you_mean
from einfall.verbs.kinds import Asked, Estimated, simulates
from einfall.verbs.questions import BaseQuestion, read_what

if TYPE_CHECKING:
    from einfall.hw_models import Gpu
    from einfall.sim.events import Simulation
    from einfall.sim.gpu.estimate import GpuEstimate
    from einfall.sim.ladder import Ladder

DTYPE = "bf16"
"""Type of the elements if none is named."""


@dataclass(frozen=True, slots=True)
class GpuQuestion(BaseQuestion):
    """What an estimate on a GPU is asked of."""

    mapping: str | None
    dtype: str

    def on(self, gpu: Gpu) -> GpuQuestion:
        """The same question of another GPU."""
        return replace(self, machine=gpu)

    def estimate(self, *, simulate: bool = False) -> GpuEstimate:
        """The answer, also step by step if asked."""
        from einfall.sim.gpu.estimate import estimate

        return estimate(
            self.cascade,
            self.shape,
            self.machine,
            mapping=self.mapping,
            dtype=self.dtype,
            simulate=simulate,
        )


def read_gpu_question(args: argparse.Namespace, mistakes: Mistakes) -> GpuQuestion:
    """What is asked, all independent mistakes in it told at once."""
    from einfall.hw_models import load as load_machine
    from einfall.sim.gpu.asked import check_kernel

    cascade, shape = read_what(args, mistakes)
    gpu = mistakes.note(lambda: _machine(args))
    dtype = mistakes.note(lambda: _dtype(args, gpu or load_machine(args.on)))
    _refuse_options(args, mistakes)
    if args.mapping is not None:
        mistakes.note(lambda: check_kernel(args.mapping))
    return GpuQuestion(
        mistakes.settled(cascade),
        mistakes.settled(shape),
        mistakes.settled(gpu),
        args.mapping,
        mistakes.settled(dtype),
    )


def _machine(args: argparse.Namespace) -> Any:  # noqa: ANN401  a Gpu: `kind_of` has looked
    from einfall.hw_models import load, read_overrides, with_overrides

    return with_overrides(load(args.on), read_overrides(args.overrides))


def _dtype(args: argparse.Namespace, gpu: Any) -> str:  # noqa: ANN401  as `_machine` gives it
    """The type of `--dtype`, where the machine's tensor cores have it."""
    from einfall.sim.gpu.asked import dtypes

    name = args.dtype or DTYPE
    if name not in dtypes(gpu):
        way_out = did_you_mean(name, dtypes(gpu), f"leave it out for {DTYPE}")
        known = ", ".join(dtypes(gpu))
        raise BadInputError(
            [f"--dtype: wanted one that {gpu.name} takes ({known}), found {name!r}; {way_out}"]
        )
    return name


def _refuse_options(args: argparse.Namespace, mistakes: Mistakes) -> None:
    """Options of spatial arrays that say nothing of a GPU."""
    if args.accounting not in (None, "physical"):
        mistakes.add(
            f"--accounting: wanted none on a GPU, found {args.accounting!r}; published accountings "
            "are those of spatial arrays, leave it out"
        )
    if args.word is not None:
        mistakes.add(
            f"--word: wanted none on a GPU, found {args.word!r}; the kernel takes a type of its "
            "tensor cores: --dtype"
        )


def asked(args: argparse.Namespace, mistakes: Mistakes) -> Asked:
    """The question; `mistakes` may hold some of its options already."""
    from einfall.report.gpu_estimates import explain_gpu

    question = read_gpu_question(args, mistakes)

    def notes(found: GpuEstimate) -> tuple[str, ...]:
        burst = "times and energies are those of a benchmark's burst; `estimate` has the sustained"
        simulated = ("--simulate changes no time on a GPU",) if args.simulate else ()
        return (*found.asked.notes, burst, *simulated)

    return Asked(
        question.cascade.name,
        question.machine,
        question.whole_shape(),
        False,  # the calibrated time knows how far a kernel overlaps its steps
        lambda gpu, simulate: question.on(gpu).estimate(simulate=simulate),
        lambda found: found.kernel.kernel,
        notes,
        explain_gpu,
        _timeline,
    )


def estimated(args: argparse.Namespace, mistakes: Mistakes) -> Estimated:
    """The answer to `estimate`; `mistakes` may hold some of its options already."""
    from einfall.report.gpu_estimates import gpu_estimate_text, simulation_text
    from einfall.sim.gpu.predict import LOWER
    from einfall.sim.roofline import roofline

    question = read_gpu_question(args, mistakes)
    simulate = simulates(args)
    found = question.estimate(simulate=simulate)
    _refuse_pictures(args, found)
    notes = found.asked.notes
    if simulate and found.kernel.does not in LOWER:
        notes = (*notes, f"{found.kernel.kernel} has no key-tile steps to simulate")
    shape = question.whole_shape()
    record = {**found.record(), "shape": shape, "simulated": found.simulation is not None}
    record |= {"notes": list(notes), "roofline": roofline(question.cascade, found)}
    texts = [lambda: gpu_estimate_text(found, shape)]
    if simulate:
        record["closed_form_s"] = found.closed_form_s
        texts.append(lambda: simulation_text(found))
    if found.simulation is not None:
        record["step_simulation_s"] = found.simulation.timing.latency_s
    if args.explain:
        from einfall.report.gpu_estimates import explain_gpu

        explanation = explain_gpu(found)
        record["explain"] = explanation.record()
        texts.append(explanation.text)
    return Estimated(record, tuple(texts), notes, found.title, found.simulation)


def _refuse_pictures(args: argparse.Namespace, found: GpuEstimate) -> None:
    """A timeline of a kernel without steps does not exist.

    Raises:
        BadInputError: One is asked for.
    """
    if found.simulation is None:
        asked = [name for name in ("trace", "timeline") if getattr(args, name)]
        if asked:
            raise BadInputError(_without_steps(name, found) for name in asked)


def _timeline(found: GpuEstimate) -> Simulation:
    """The timeline of a simulated estimate.

    Raises:
        BadInputError: The kernel has no steps.
    """
    if found.simulation is None:
        raise BadInputError([_without_steps("trace", found)])
    return found.simulation


def _without_steps(option: str, found: GpuEstimate) -> str:
    kernel, does = found.kernel.kernel, found.kernel.does.replace("_", " ")
    return (
        f"--{option}: wanted a kernel of key-tile steps, found {kernel} ({does}); leave it "
        "out, or take a fused kernel"
    )


def searched(args: argparse.Namespace, mistakes: Mistakes) -> Answer:
    """The answer to `search`: every schedule and tile."""
    from einfall.report.drawings import search_drawings
    from einfall.report.search import kernels_record, kernels_text
    from einfall.sim.gpu.search import search_kernels

    if args.out is not None:
        mistakes.add(
            f"--out: wanted none on a GPU, found {args.out!r}; a kernel schedule is named by "
            "estimate --mapping KERNEL"
        )
    question = read_gpu_question(args, mistakes)
    found = search_kernels(question.cascade, question.shape, question.machine, dtype=question.dtype)
    asked = {
        "cascade": question.cascade.name,
        "machine": question.machine.name,
        "shape": question.whole_shape(),
        "mask": args.mask,
        "dtype": question.dtype,
    }
    title = f"Search of {question.cascade.name} on {question.machine.name}"
    record = {**asked, **kernels_record(found, args.objective)}
    return Answer(
        record,
        lambda: kernels_text(found, args.objective, title, args.limit),
        drawings=partial(search_drawings, record),
    )


def laddered(
    args: argparse.Namespace, baseline: argparse.Namespace, mistakes: Mistakes
) -> tuple[Ladder, dict[str, object]]:
    """The rungs, and what they compare."""
    from einfall.sim.gpu.ladder import gpu_ladder

    asked = mistakes.note(lambda: read_gpu_question(args, Mistakes()))
    base = mistakes.note(lambda: read_gpu_question(baseline, Mistakes()))
    question, before = mistakes.settled(asked), mistakes.settled(base)
    found, base_found = question.estimate(), before.estimate()
    notes = [*found.asked.notes, *base_found.asked.notes]
    if args.simulate:
        notes.append(
            "--simulate changes no rung on a GPU: the last one has blocks listed one by one"
        )
    return gpu_ladder(found, base_found), {
        "cascade": question.cascade.name,
        "against": before.cascade.name,
        "machine": question.machine.name,
        "mapping": found.kernel.kernel,
        "base_mapping": base_found.kernel.kernel,
        "dtype": question.dtype,
        "mask": args.mask or "dense",
        "base_mask": baseline.mask or "dense",
        "shape": question.whole_shape(),
        "simulated": False,
        "notes": list(dict.fromkeys(notes)),
    }
