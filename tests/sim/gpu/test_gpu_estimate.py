"""A cascade on a GPU: the schedule it gets, masks as tiles, the sums of its parts, the ladder."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einfall.einsum_cascades import load
from einfall.einsum_cascades.masked import with_mask
from einfall.einsum_cascades.masks import parse_mask
from einfall.einsum_cascades.shapes import ShapeError
from einfall.hw_models import Gpu, UnsupportedOpError, with_overrides
from einfall.hw_models import load as load_machine
from einfall.hw_models import names as machine_names
from einfall.sim.gpu.asked import SERVES, ask, box, fit_for, kernels_for, own_fields, visits
from einfall.sim.gpu.asked import dtypes as dtypes_of
from einfall.sim.gpu.estimate import estimate
from einfall.sim.gpu.ladder import attended_flops, gpu_ladder
from einfall.sim.gpu.power import Work
from einfall.sim.gpu.predict import LOWER, answer, predict
from einfall.sim.gpu.problem import Problem
from einfall.sim.gpu.schedule import load as load_kernel
from einfall.sim.gpu.terms import Terms
from einfall.sim.gpu.tiles import count
from einfall.sim.mapping import MappingError

GPUS = machine_names("gpu")
H100 = load_machine("h100_sxm")
SHAPE = {"batch": 2, "heads": 16, "queries": 2048, "head_dim": 128}
DECODE = {"batch": 16, "heads": 32, "kv_heads": 8, "queries": 1, "keys": 8192, "head_dim": 128}
CASCADES = tuple(dict.fromkeys(name for served in SERVES.values() for name in served))


def masked(text, cascade="attention_1pass"):
    return with_mask(load(cascade), text)


# The schedule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "cascade", "shape", "kernel"),
    [
        ("a100_sxm", "attention_1pass", SHAPE, "flash2"),
        ("l40s", "attention_1pass", SHAPE, "flash2"),
        ("h100_sxm", "attention_1pass", SHAPE, "flash3"),
        ("b200", "attention_1pass", SHAPE, "flash4"),
        ("b200", "attention_1pass", SHAPE | {"head_dim": 192}, "cudnn_blackwell"),
        ("a100_sxm", "attention_1pass", DECODE, "flash2_decode"),
        ("h100_sxm", "attention_1pass", DECODE, "flash3_decode"),
        ("b200", "attention_1pass", DECODE, "trtllm_gen_decode"),
        ("h100_sxm", "attention_2pass_splitk", DECODE, "flash3_decode"),
        ("h100_sxm", "attention_2pass_splitk", SHAPE, "flash2_split"),
        ("h100_sxm", "attention_3pass", SHAPE, "triton_softmax_3pass"),
        ("h100_sxm", "linear_attention", SHAPE, "triton_linear"),
        ("h100_sxm", "linear_attention_causal", SHAPE, "triton_linear"),
    ],
)
def test_default_schedule(machine, cascade, shape, kernel):
    assert ask(load(cascade), shape, load_machine(machine)).kernel.kernel == kernel


def test_a_schedule_that_hands_over_says_so():
    few = SHAPE | {"batch": 1, "heads": 1}
    asked = ask(load("attention_1pass"), few, load_machine("a100_sxm"), mapping="flash2")
    assert asked.kernel.kernel == "flash2_split"
    assert "flash2 runs flash2_split" in asked.notes[0]


@pytest.mark.parametrize("machine", GPUS)
@pytest.mark.parametrize("cascade", CASCADES)
def test_every_schedule_of_a_cascade_is_estimated(machine, cascade):
    gpu = load_machine(machine)
    for kernel in kernels_for(cascade, gpu):
        found = estimate(load(cascade), SHAPE, gpu, mapping=kernel)
        assert found.latency_s > 0
        assert found.bound
        assert found.utilization.keys() >= {"tensor", "mufu", "fma", "shared", "hbm", "l2"}


def test_refusals_say_what_there_is():
    refused = [
        (load("mlp"), {}, "there are schedules of attention_1pass"),
        (load("attention_1pass"), {"mapping": "flash4"}, "wanted a schedule for hopper"),
        (load("attention_1pass"), {"mapping": "sdpa_math"}, "found one of attention_3pass"),
        (load("attention_1pass"), {"mapping": "flash3_backward"}, "found a backward one"),
        (load("attention_1pass"), {"mapping": "flsh3"}, "did you mean flash3?"),
        (load("linear_attention"), {"mapping": "matmul"}, "no cascade of the library"),
    ]
    for cascade, options, words in refused:
        with pytest.raises(MappingError, match=words):
            ask(cascade, SHAPE, H100, **options)
    with pytest.raises(MappingError, match="head_dim of at most 256"):
        ask(load("attention_1pass"), SHAPE | {"head_dim": 512}, H100)
    with pytest.raises(UnsupportedOpError, match="fp8"):
        ask(load("attention_1pass"), SHAPE, load_machine("a100_sxm"), dtype="fp8")
    with pytest.raises(ShapeError, match="as many as queries"):
        ask(load("linear_attention"), SHAPE | {"keys": 64}, H100)


@pytest.mark.parametrize("machine", GPUS)
def test_every_type_of_a_machine_is_estimated(machine):
    gpu = load_machine(machine)
    for dtype in dtypes_of(gpu):
        for cascade in ("attention_1pass", "attention_3pass", "linear_attention"):
            assert estimate(load(cascade), SHAPE, gpu, dtype=dtype).latency_s > 0
        assert estimate(load("attention_1pass"), DECODE, gpu, dtype=dtype).latency_s > 0


def test_a_machine_of_ones_own_takes_the_fit_of_the_most_alike():
    mine = H100.model_copy(update={"name": "my_chip"})
    assert fit_for(load_kernel("flash3"), mine) == fit_for(load_kernel("flash3"), H100)


def test_a_launch_on_a_machine_with_another_latency_is_moved_by_the_difference():
    kernel = load_kernel("flash3")
    fit = fit_for(kernel, H100).parameters
    slow = H100.launch.model_copy(update={"latency_s": H100.launch.latency_s + 3e-6})
    moved = fit_for(kernel, H100.model_copy(update={"launch": slow})).parameters
    assert moved.launch_s == pytest.approx(fit.launch_s + 3e-6)
    assert moved.model_copy(update={"launch_s": fit.launch_s}) == fit


# Masks --------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(0, 200), st.sampled_from([16, 64, 176]), st.data())
@settings(max_examples=40)
def test_own_fields_count_the_tiles_of_the_mask(queries, more, keys, data):
    text = data.draw(
        st.sampled_from(["causal", "sliding:window=37", "causal & sliding:window=90",
                         "sliding:left=50,right=50", "sliding:left=12"])
    )  # fmt: skip
    spec = parse_mask(text)
    visited, _ = visits(spec.bind(queries, queries + more), 64, keys)
    problem = Problem(queries=queries, keys=queries + more, **own_fields(spec))
    assert list(visited) == count(problem, 64, keys).steps.tolist()


OTHERS = (
    "sliding:window=4K & documents:lengths=4096",
    "~causal",
    "causal | ~causal",
    "sliding:left=3,right=5",
    "sliding:left=3,right=3 & sliding:window=9",
)


@pytest.mark.parametrize("text", OTHERS)
def test_other_masks_have_no_fields_of_their_own(text):
    assert own_fields(parse_mask(text)) is None


@pytest.mark.parametrize(
    "cascade", ["attention_1pass", "attention_3pass", "attention_2pass_splitk"]
)
@pytest.mark.parametrize("shape", [SHAPE, DECODE])
@pytest.mark.parametrize(
    "text", ["sliding:left=8K,right=8K", "causal | ~causal", "block_diagonal:block=8K"]
)
def test_a_mask_that_attends_everything_is_dense(cascade, shape, text):
    dense = estimate(load(cascade), shape, H100)
    whole = estimate(masked(text, cascade), shape, H100)
    assert whole.latency_s == dense.latency_s
    assert whole.attended_pairs == dense.attended_pairs


@pytest.mark.parametrize("kernel", ["flash2", "flex", "triton_flash", "cudnn_hopper"])
def test_a_mask_as_a_list_is_that_mask_as_fields(kernel):
    dense = estimate(load("attention_1pass"), SHAPE, H100, mapping=kernel)
    fields = estimate(masked("causal"), SHAPE, H100, mapping=kernel)
    listed = estimate(masked("causal & block_diagonal:block=8K"), SHAPE, H100, mapping=kernel)
    assert fields.problem.visited is None
    assert listed.problem.visited is not None
    assert listed.visited_tiles == fields.visited_tiles
    assert listed.latency_s == pytest.approx(fields.latency_s)
    assert fields.latency_s < dense.latency_s


def test_heads_with_masks_of_their_own_are_all_listed():
    beta = "+".join(["0.1"] * 16)
    text = f"head_windows:alpha={'+'.join(['64', '512'] * 8)},beta={beta}"
    found = estimate(masked(text), SHAPE, H100, mapping="flex")
    masks = parse_mask(text).bind(2048, 2048, heads=16).masks
    blocks = [n for mask in masks for n in visits(mask, 128, 128)[0]]
    assert found.visited_tiles == 2 * sum(2 * n for n in blocks)  # each walked in two key tiles
    assert found.attended_pairs == 2 * sum(mask.pairs for mask in masks)
    # Bytes are those of one problem of sixteen heads, not of one head as long as all of them.
    same = estimate(masked("strided:block=64,local=4,stride=4"), SHAPE, H100, mapping="flex")
    dense = estimate(load("attention_1pass"), SHAPE, H100, mapping="flex")
    assert same.traffic_bytes["hbm"] == dense.traffic_bytes["hbm"]


@given(st.integers(64, 1024))
@settings(max_examples=20)
def test_a_wider_window_never_takes_less(window):
    narrow, wide = (
        estimate(masked(f"sliding:window={w}"), SHAPE, H100) for w in (window, 2 * window)
    )
    assert narrow.latency_s <= wide.latency_s * 1.0001
    assert narrow.visited_tiles <= wide.visited_tiles


def test_decode_reads_the_keys_of_its_window_alone():
    dense = estimate(load("attention_1pass"), DECODE, H100)
    few = estimate(masked("sliding:window=1024"), DECODE, H100)
    assert few.latency_s < dense.latency_s
    assert few.traffic_bytes["hbm"] < dense.traffic_bytes["hbm"] / 4


def test_boxes_of_a_grid_visit_fewer_tiles_than_runs_of_its_sequence():
    mask = masked("gna:input=64x64,window=16x16,stride=16x16")
    shape = SHAPE | {"queries": 4096}
    boxed = estimate(mask, shape, H100, mapping="fna_hopper")
    flat = estimate(mask, shape, H100, mapping="cudnn_hopper")
    assert boxed.visited_tiles < flat.visited_tiles
    assert box(128, 2) == (16, 8)
    assert box(100, 2) == ()


# The sums -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", GPUS)
@pytest.mark.parametrize("cascade", CASCADES)
@pytest.mark.parametrize("shape", [SHAPE, DECODE])
def test_parts_add_up(machine, cascade, shape):
    if cascade.startswith("linear"):
        shape = {k: v for k, v in SHAPE.items() if k != "keys"}
    gpu = load_machine(machine)
    found = estimate(load(cascade), shape, gpu)
    p = found.burst
    again = predict(found.kernel, gpu, found.problem, fit=found.fit.parameters)
    assert found.latency_s == again.latency_s == p.latency_s
    assert sum(line.energy_j for line in found.breakdown) == pytest.approx(found.energy_j)
    assert sum(found.parts_j.values()) == pytest.approx(found.energy_j)
    for unit in ("tensor", "mufu", "hbm", "l2", "shared"):
        lines = [line for line in found.breakdown if line.unit == unit]
        if lines:
            busy = sum(line.busy_s for line in lines)
            assert busy == pytest.approx(found.busy_s[unit])
    # What a pipe is busy is no longer than the launch; HBM may be found faster than stated.
    for unit in ("tensor", "mufu", "fma", "shared"):
        assert 0 <= found.utilization[unit] <= 1.001
        assert found.busy_s.get(unit, 0.0) <= found.latency_s * 1.001
    assert found.sustained.power_w <= gpu.power.cap_w * 1.001
    names = {e.name for e in load(cascade).einsums}
    on_tensor = {line.einsum for line in found.breakdown if line.unit == "tensor"}
    assert on_tensor
    assert on_tensor <= names


def test_simulation_is_of_kernels_of_steps_alone():
    steps = estimate(load("attention_1pass"), SHAPE, H100, simulate=True)
    assert steps.kernel.does in LOWER
    assert steps.simulation is not None
    passes = estimate(load("attention_3pass"), SHAPE, H100, simulate=True)
    assert passes.simulation is None


def test_every_parameter_has_a_source():
    for kernel in ("flash3", "flash2", "fna_hopper", "sdpa_math", "triton_linear"):
        cascade = next(c for c in CASCADES if kernel in kernels_for(c, H100))
        found = estimate(load(cascade), SHAPE, H100, mapping=kernel)
        parameters = {p.name: p for p in found.parameters()}
        assert all(p.source.text for p in parameters.values())
        if found.fit.data:
            assert any(p.source.status == "fitted" for p in parameters.values())


# The ladder ---------------------------------------------------------------------------------------

MASKS = st.one_of(
    st.sampled_from(["dense", "causal", "gna:input=32x64,window=8x16"]),
    st.integers(1, 4000).map(lambda w: f"sliding:window={w}"),
    st.integers(1, 500).map(lambda w: f"sink_window:sinks=4,window={w}"),
    st.integers(1, 900).map(lambda b: f"block_diagonal:block={b}"),
)


@given(
    st.sampled_from(GPUS),
    MASKS,
    st.sampled_from(["attention_1pass", "attention_2pass_splitk", "attention_3pass"]),
    st.sampled_from(CASCADES),
    st.integers(1, 40),
    st.sampled_from([64, 80, 128]),
    st.booleans(),
)
@settings(max_examples=80)
def test_no_rung_rises(machine, mask, name, base, heads, width, causal):  # noqa: PLR0913
    shape = {"heads": heads, "queries": 2048, "head_dim": width}
    gpu = load_machine(machine)
    baseline = estimate(load(base), shape, gpu)
    found = estimate(masked(mask, name), shape, gpu)
    ladder = gpu_ladder(found, baseline)
    speedups = [rung.speedup for rung in ladder.rungs]
    assert speedups == sorted(speedups, reverse=True)
    # The last rung is the quotient itself: nothing had to be cut down to stay below.
    assert speedups[-1] == pytest.approx(baseline.latency_s / found.latency_s)


def test_the_worst_query_tile_is_a_rung_in_one_wave():
    few = {"heads": 4, "queries": 2048, "head_dim": 128}
    for shape, there in ((few, True), (SHAPE, False)):
        found = estimate(masked("causal"), shape, H100)
        rungs = [r.name for r in gpu_ladder(found, found).rungs]
        assert ("worst query tile" in rungs) == there


def test_the_first_rungs_are_counted_by_hand():
    found = estimate(masked("causal"), SHAPE, H100)
    pairs = 2 * 16 * 2048 * 2049 / 2
    assert attended_flops(found) == 4 * 128 * pairs
    peak = 132 * 4096 * 1.98e9
    first = gpu_ladder(found, found).rungs[0]
    assert first.speedup == pytest.approx(found.latency_s / (4 * 128 * pairs / peak))


def test_more_bandwidth_and_a_higher_cap_are_never_slower():
    for path in ("hbm.bandwidth", "power.cap", "sm.mufu_per_clock", "l2.bandwidth"):
        faster = with_overrides(H100, {path: "2x"})
        assert isinstance(faster, Gpu)
        for cascade, shape in (("attention_1pass", SHAPE), ("attention_1pass", DECODE)):
            before, after = (estimate(load(cascade), shape, g) for g in (H100, faster))
            assert after.latency_s <= before.latency_s * 1.0001


def test_a_pipe_that_hardly_works_is_not_what_binds():
    """Steps of this decode wait for HBM: it is busy 69 % of the time, the tensor cores 14 %."""
    shape = {"batch": 16, "heads": 32, "queries": 1, "keys": 2048, "head_dim": 64}
    found = estimate(load("attention_1pass"), shape, load_machine("h100_sxm"))
    assert found.terms.pipe == "tensor"
    assert found.busy_s["tensor"] < 0.2 * found.latency_s
    assert found.bound == "hbm"
    assert found.busy_s["hbm"] > 0.6 * found.latency_s


@pytest.mark.parametrize(
    ("pipe", "memory", "bound"), [(6, 4, "tensor"), (4, 6, "memory"), (4, 4, "latency")]
)
def test_what_binds_works_for_half_of_the_time_or_it_is_the_waiting(pipe, memory, bound):
    kernel, gpu = load_kernel("flash3"), load_machine("h100_sxm")
    gone = Work({}, cycles=10e3, memory_s=memory * 1e3 / gpu.clock.boost_hz, fixed_s=0.0)
    found = answer(kernel, gpu, Terms(gone, "tensor", "", {"tensor": pipe * 1e3}), "boost")
    assert found.bound == bound


FLASHMLA_FLOPS = 660e12  # deepseek-ai/FlashMLA, README: dense decode on H800, compute-bound


def test_a_latent_that_is_key_and_value_is_read_once():
    shape = {"batch": 128, "heads": 128, "kv_heads": 1, "queries": 1, "keys": 8192}
    wide = {**shape, "head_dim": 576, "value_dim": 512}
    found = estimate(load("attention_1pass"), wide, load_machine("h800"), mapping="flashmla")
    read_bytes = 128 * 8192 * 576 * 2
    assert found.traffic_bytes["hbm"] == pytest.approx(read_bytes, rel=0.05)  # and Q, O
    flops = 2 * 128 * 128 * 8192 * (576 + 512)
    assert flops / found.sustained.latency_s == pytest.approx(FLASHMLA_FLOPS, rel=0.15)
    assert flops / found.latency_s == pytest.approx(FLASHMLA_FLOPS, rel=0.05)


@pytest.mark.parametrize("machine", ["a100_sxm", "h100_sxm", "b200"])
@pytest.mark.parametrize("kv_heads", [1, 2, 8, 64])
def test_one_query_is_decoded_however_many_heads_share_its_keys(machine, kv_heads):
    shape = {"batch": 16, "heads": 64, "kv_heads": kv_heads, "queries": 1, "keys": 8192}
    found = estimate(load("attention_1pass"), shape | {"head_dim": 128}, load_machine(machine))
    assert found.kernel.does == "decode"


@pytest.mark.parametrize("machine", ["h100_sxm", "b200"])
def test_a_latent_that_all_heads_share_has_its_kernel(machine):
    shape = {"batch": 64, "heads": 128, "kv_heads": 1, "queries": 1, "keys": 8192}
    widths = {"head_dim": 576, "value_dim": 512}
    found = estimate(load("attention_1pass"), shape | widths, load_machine(machine))
    assert found.kernel.kernel == "flashmla"


def test_the_power_cap_is_told_where_it_holds_the_clock():
    shape = {"batch": 4, "heads": 32, "queries": 16384, "head_dim": 128}
    cascade, b200 = load("attention_1pass"), load_machine("b200")
    assert estimate(cascade, shape, b200).power_capped
    assert not estimate(cascade, shape, with_overrides(b200, {"power.cap": "3x"})).power_capped
    assert not estimate(cascade, {**shape, "batch": 1, "heads": 1}, b200).power_capped
