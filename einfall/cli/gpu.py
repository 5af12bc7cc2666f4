"""What is asked of a cascade on a GPU: a kernel schedule takes the place of a mapping."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from einfall.cli.answers import Answer, BadInputError, Mistakes, did_you_mean

if TYPE_CHECKING:
    from einfall.einsum_cascades import Cascade
    from einfall.hw_models import Gpu
    from einfall.sim.gpu.estimate import GpuEstimate
    from einfall.sim.ladder import Ladder

DTYPE = "bf16"
"""Type of the elements if none is named."""


@dataclass(frozen=True, slots=True)
class GpuQuestion:
    """What an estimate on a GPU is asked of; everything in it has been checked by itself."""

    cascade: Cascade
    shape: Mapping[str, int]
    gpu: Gpu
    mapping: str | None
    dtype: str

    def estimate(self, *, simulate: bool = False) -> GpuEstimate:
        """The answer, also step by step if asked."""
        from einfall.sim.gpu.estimate import estimate

        return estimate(
            self.cascade,
            self.shape,
            self.gpu,
            mapping=self.mapping,
            dtype=self.dtype,
            simulate=simulate,
        )

    def whole_shape(self) -> dict[str, Any]:
        """Size of every shape key of the cascade, defaults filled in."""
        from einfall.einsum_cascades.shapes import rank_sizes

        sizes = rank_sizes(self.cascade, self.shape)
        return {r.shape_key: sizes[r.symbol] for r in self.cascade.ranks if r.shape_key}


def on_gpu(args: argparse.Namespace) -> bool:
    """Whether `--on` names a GPU; what cannot be read is another's mistake to tell."""
    from einfall.hw_models import Gpu, SpecError, load

    if args.on is None:
        return False
    try:
        return isinstance(load(args.on), Gpu)
    except (SpecError, OSError):
        return False


def read_gpu_question(args: argparse.Namespace, mistakes: Mistakes) -> GpuQuestion:
    """What is asked, all independent mistakes in it told at once."""
    from einfall.cli.questions import needed, read_masked, read_shape
    from einfall.einsum_cascades import load
    from einfall.einsum_cascades.shapes import rank_sizes
    from einfall.hw_models import load as load_machine
    from einfall.sim.gpu.asked import known_kernel

    cascade = mistakes.note(lambda: load(args.cascade))
    shape = mistakes.note(
        lambda: needed(args.shape, "--shape", "heads=12,queries=4K,…", read_shape)
    )
    gpu = mistakes.note(lambda: _machine(args))
    dtype = mistakes.note(lambda: _dtype(args, gpu or load_machine(args.on)))
    _refuse_options(args, mistakes)
    if args.mapping is not None:
        mistakes.note(lambda: known_kernel(args.mapping))
    if args.mask is not None:
        cascade = mistakes.note(lambda: read_masked(cascade, args.mask))
    if cascade and shape:
        mistakes.note(lambda: rank_sizes(cascade, shape))
    return GpuQuestion(
        mistakes.settled(cascade),
        mistakes.settled(shape),
        mistakes.settled(gpu),
        args.mapping,
        mistakes.settled(dtype),
    )


def _machine(args: argparse.Namespace) -> Any:  # noqa: ANN401  a Gpu: `on_gpu` has looked
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


def estimate_on_gpu(args: argparse.Namespace, mistakes: Mistakes) -> tuple[Answer, GpuEstimate]:
    """The answer of `estimate` on a GPU; `mistakes` may hold some of its options already."""
    from einfall.report.gpu_estimates import gpu_estimate_text, simulation_text
    from einfall.sim.gpu.predict import LOWER

    question = read_gpu_question(args, mistakes)
    simulate = bool(args.simulate or args.trace or args.timeline)
    found = question.estimate(simulate=simulate)
    _refuse_pictures(args, found)
    notes = found.asked.notes
    if simulate and found.kernel.does not in LOWER:
        notes = (*notes, f"{found.kernel.kernel} has no key-tile steps to simulate")
    shape = question.whole_shape()
    record = {**found.record(), "shape": shape, "simulated": found.simulation is not None}
    record["notes"] = list(notes)
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
    answer = Answer(record, lambda: "\n\n".join(text() for text in texts), notes)
    return answer, found


def _refuse_pictures(args: argparse.Namespace, found: GpuEstimate) -> None:
    """A timeline of a kernel without steps does not exist.

    Raises:
        BadInputError: One is asked for.
    """
    if found.simulation is None:
        kernel, does = found.kernel.kernel, found.kernel.does.replace("_", " ")
        problems = [
            f"--{name}: wanted a kernel of key-tile steps, found {kernel} ({does}); leave it "
            "out, or take a fused kernel"
            for name in ("trace", "timeline")
            if getattr(args, name)
        ]
        if problems:
            raise BadInputError(problems)


def ladder_on_gpu(
    args: argparse.Namespace, baseline: argparse.Namespace, mistakes: Mistakes
) -> tuple[Ladder, dict[str, object]]:
    """The rungs on a GPU, and what they compare."""
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
        "machine": question.gpu.name,
        "mapping": found.kernel.kernel,
        "base_mapping": base_found.kernel.kernel,
        "dtype": question.dtype,
        "mask": args.mask or "dense",
        "base_mask": baseline.mask or "dense",
        "shape": question.whole_shape(),
        "simulated": False,
        "notes": list(dict.fromkeys(notes)),
    }
