"""Windows: convolutions against scipy and loops, their sizes, what follows, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate, correlate2d

from einfall.einsum_cascades import CascadeError, load, parse, to_text, with_mask
from einfall.einsum_cascades.counts import compulsory_elements, footprints, ops
from einfall.einsum_cascades.einsum import Index, Window
from einfall.einsum_cascades.graph import graph
from einfall.einsum_cascades.interpret import evaluate
from einfall.einsum_cascades.passes import analyze_passes, fusion_conflict, taxonomy
from einfall.einsum_cascades.shapes import ShapeError, rank_sizes, shape_keys
from einfall.einsum_cascades.windows import MODES, measure, places, reads_in_windows, sees_all

CONV = """\
cascade conv
ranks N images, C channels, K filters, I height, J width
ranks Y out_height, X out_width, U kernel_height, V kernel_width
window I -> Y, U
window J -> X, V same
input MAP[n,c,i,j], KER[k,c,u,v]
output OUT
OUT[n,k,y,x] = MAP[n,c,y+u,x+v] * KER[k,c,u,v]
"""
SHAPE = {"images": 2, "channels": 3, "filters": 4, "height": 6, "kernel_height": 3}


def line(mode, body="OUT[y] = MAP[y+u] * KER[u]", word="places"):
    """A cascade over one line of coordinates."""
    ranks = f"ranks I height, Y {word}, U kernel"
    text = f"cascade line\n{ranks}\nwindow I -> Y, U {mode}\ninput MAP[i], KER[u]\n{body}\n"
    return parse(text)


def convolved(mode, signal, kernel):
    inputs = {"MAP": np.array(signal, float), "KER": np.array(kernel, float)}
    return evaluate(line(mode), inputs)["OUT"]


# What it means ------------------------------------------------------------------------------------


def test_a_window_and_its_coordinate_as_values():
    cascade = parse(CONV)
    first, second = cascade.windows
    assert (first, second) == (Window("I", "Y", "U"), Window("J", "X", "V", "same"))
    access = cascade.by_name["OUT"].operands[0]
    assert access.indices[2:] == (Index("Y", kernel="U"), Index("X", kernel="V"))
    assert access.ranks == ("N", "C", "Y", "U", "X", "V")
    assert cascade.window(access.indices[2]) is first
    assert cascade.window(access.indices[0]) is None
    assert dict(reads_in_windows(cascade, cascade.by_name["OUT"])) == {access: (first, second)}
    assert cascade.by_name["OUT"].reduce_ranks == ("C", "U", "V")


def test_a_window_is_printed_as_it_is_read():
    text = to_text(parse(CONV))
    assert "window I -> Y, U\nwindow J -> X, V same\n" in text
    assert "OUT[n,k,y,x] = MAP[n,c,y+u,x+v] * KER[k,c,u,v]" in text
    assert parse(text.replace("y+u", "y + u")) == parse(CONV)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_edges_are_those_of_scipy(mode, size):
    signal, kernel = np.arange(1.0, 8), np.array([2.0, -1, 3, 5, 7])[:size]
    np.testing.assert_allclose(convolved(mode, signal, kernel), correlate(signal, kernel, mode))


def test_same_is_the_padding_of_torch_without_the_surplus_place_of_even_kernels():
    """torch.nn.functional.conv1d(…, padding=U // 2), worked out by hand."""
    assert convolved("same", [1, 2, 3], [1, 10, 100]).tolist() == [210, 321, 32]
    assert convolved("same", [1, 2, 3], [1, 10]).tolist() == [10, 21, 32]  # and 3, left out


def test_circular_windows_begin_at_the_first_coordinate_and_wrap():
    assert convolved("circular", [1, 2, 3], [1, 10]).tolist() == [21, 32, 13]


def test_a_flipped_kernel_gives_the_convolution():
    random = np.random.default_rng(0)
    maps, kernel = random.normal(size=(5, 6)), random.normal(size=(3, 3))
    inputs = {"MAP": maps[None, None], "KER": kernel[None, ::-1, ::-1]}
    found = evaluate(load("depthwise_conv2d"), inputs)["OUT"][0, 0]
    np.testing.assert_allclose(found, convolve2d(maps, kernel, "same"))


def test_circular_windows_are_those_of_a_map_that_repeats():
    random = np.random.default_rng(0)
    maps, kernel = random.normal(size=(5, 6)), random.normal(size=(3, 2))
    text = CONV.replace("Y, U", "Y, U circular").replace("same", "circular")
    inputs = {"MAP": maps[None, None], "KER": kernel[None, None]}
    found = evaluate(parse(text), inputs)["OUT"][0, 0]
    wrapped = correlate2d(np.pad(maps, ((0, 2), (0, 1)), mode="wrap"), kernel, "valid")
    np.testing.assert_allclose(found, wrapped)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.sampled_from(MODES)] * 2),
    st.lists(st.integers(1, 4), min_size=7, max_size=7),
    st.integers(0, 2**32),
)
def test_any_modes_are_a_plain_loop(modes, sizes, seed):
    n, c, k, i, j, u, v = sizes
    i, j = max(i, u), max(j, v)
    random = np.random.default_rng(seed)
    maps, kernels = random.normal(size=(n, c, i, j)), random.normal(size=(k, c, u, v))
    text = CONV.replace("V same", f"V {modes[1]}").replace("Y, U\n", f"Y, U {modes[0]}\n")
    found = evaluate(parse(text), {"MAP": maps, "KER": kernels})["OUT"]
    at = [along(mode, *pair) for mode, pair in zip(modes, ((i, u), (j, v)), strict=True)]
    assert found.shape == (n, k, *map(len, at))
    for y, rows in enumerate(at[0]):
        for x, cols in enumerate(at[1]):
            wanted = np.zeros((n, k))
            for du, row in rows:
                for dv, col in cols:
                    wanted += maps[:, :, row, col] @ kernels[:, :, du, dv].T
            np.testing.assert_allclose(found[:, :, y, x], wanted, atol=1e-12)


def along(mode, size, kernel):
    """For each place the (kernel, map) coordinates that meet."""
    if mode == "circular":
        return [[(u, (y + u) % size) for u in range(kernel)] for y in range(size)]
    first = {"valid": 0, "same": -(kernel // 2), "full": 1 - kernel}[mode]
    count = {"valid": size - kernel + 1, "same": size, "full": size + kernel - 1}[mode]
    inside = [range(max(0, -y), min(kernel, size - y)) for y in range(first, first + count)]
    return [[(u, first + y + u) for u in reach] for y, reach in enumerate(inside)]


def test_outside_is_zero_for_every_reduction():
    body = "OUT[y] = max_u MAP[y+u] + 0 * KER[u]"
    found = evaluate(line("same", body), {"MAP": np.array([-1.0, -2, -3]), "KER": np.ones(3)})
    assert found["OUT"].tolist() == [0, -1, 0]


def test_layers_follow_each_other_and_residuals_go_around():
    """Places with the word of the map: what is over y is a map over i again."""
    body = "HID[y] = MAP[y+u] * KER[u]\nOUT[y] = HID[y+u] * KER[u]\nRES[y] = OUT[y] + MAP[y]"
    signal, kernel = np.arange(1.0, 6), np.array([1.0, 2, -1])
    found = evaluate(line("same", body, "height"), {"MAP": signal, "KER": kernel})["RES"]
    twice = correlate(correlate(signal, kernel, "same"), kernel, "same")
    np.testing.assert_allclose(found, twice + signal)


def test_windows_work_beside_running_values_and_tiles():
    text = """
cascade scan
ranks P steps, M keys, I height, Y places, U kernel
split M -> M1, M0
window I -> Y, U
input MAP[p,m,i], KER[u]
output LAST
init SUM[0,y] = 0
STEP[p,y] = MAP[p,m1,m0,y+u] * KER[u]
SUM[p+1,y] = SUM[p,y] + STEP[p,y]
LAST[y] = SUM[P,y]
"""
    maps, kernel = np.random.default_rng(0).normal(size=(3, 5, 6)), np.array([1.0, 2])
    found = evaluate(parse(text), {"MAP": maps, "KER": kernel}, {"M": 2})["LAST"]
    np.testing.assert_allclose(found, correlate(maps.sum((0, 1)), kernel, "valid"))


# Sizes --------------------------------------------------------------------------------------------


def test_places_follow_from_map_and_kernel():
    sizes = rank_sizes(parse(CONV), SHAPE)
    assert (sizes["Y"], sizes["X"]) == (4, 6)
    assert sizes["J"] == 6
    assert sizes["V"] == 3
    assert [places(mode, 6, 3) for mode in MODES] == [4, 6, 8, 6]


def test_places_need_no_key_and_may_be_repeated():
    keys = shape_keys(parse(CONV))
    assert {"out_height", "out_width"}.isdisjoint(keys)
    assert rank_sizes(parse(CONV), SHAPE | {"out_height": 4})["Y"] == 4


def test_places_of_arrays():
    sizes = rank_sizes(parse(CONV), SHAPE | {"height": np.array([3, 6])})
    assert sizes["Y"].tolist() == [1, 4]


def test_what_does_not_fit_the_shape_is_said_at_once():
    with pytest.raises(ShapeError) as caught:
        rank_sizes(parse(CONV), SHAPE | {"kernel_height": 7, "out_width": 4})
    assert caught.value.problems == (
        "kernel_height: wanted at most height = 6, found 7; `window I -> Y, U` keeps the kernel on "
        "the map, take a smaller one or mode `same`",
        "out_width: wanted 6, as map and kernel give it, found 4; leave it out",
    )


def test_windows_of_windows_have_to_fit_too():
    text = """
cascade deep
ranks I height, Y one, Z two, U kernel
window I -> Y, U
window Y -> Z, U
input MAP[i], KER[u]
HID[y] = MAP[y+u] * KER[u]
OUT[z] = HID[z+u] * KER[u]
"""
    assert rank_sizes(parse(text), {"height": 5, "kernel": 3})["Z"] == 1
    with pytest.raises(ShapeError, match=r"kernel: wanted at most one = 2, found 3"):
        rank_sizes(parse(text), {"height": 4, "kernel": 3})


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ((2, 3), "wanted U of at most I = 2 in `window I -> Y, U`, found 3"),
        ((4, 3, 3), "wanted Y = 2 of `window I -> Y, U`, found 3 in an input"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, problem):
    body = "OUT[y] = MAP[y+u] * KER[u]"
    if len(arrays) > 2:
        body = "input BIAS[y]\nSUM[y] = MAP[y+u] * KER[u]\nOUT[y] = SUM[y] + BIAS[y]"
    inputs = {name: np.ones(n) for name, n in zip(("MAP", "KER", "BIAS"), arrays, strict=False)}
    with pytest.raises(CascadeError, match="^line: " + problem):
        evaluate(line("valid", body), inputs)


def test_what_measures_a_rank():
    text = CONV.replace("out_width", "width").replace("V kernel_width", "V width")
    cascade = parse(text)
    assert [measure(cascade, rank) for rank in "IYUJXV"] == [
        "height", "Y", "kernel_height", "width", "width", "width"
    ]  # fmt: skip
    assert [sees_all(cascade, window) for window in cascade.windows] == [False, True]


# What follows from the text -----------------------------------------------------------------------


def test_counts_of_a_convolution():
    cascade = parse(CONV)
    sizes = rank_sizes(cascade, SHAPE)
    macs = 2 * 4 * (4 * 6) * 3 * (3 * 3)  # those at the padded edges of x included
    assert ops(cascade, sizes) == {"mac": macs}
    elements = {"MAP": 2 * 3 * 6 * 6, "KER": 4 * 3 * 3 * 3, "OUT": 2 * 4 * 4 * 6}
    assert compulsory_elements(cascade, sizes) == elements


def test_a_window_of_the_map_stays():
    cascade = parse(CONV)
    held = footprints(cascade, rank_sizes(cascade, SHAPE))["MAP"]
    assert (held.fiber, held.elements, held.visits, held.spill_elements) == ("U·V", 9, 1, 0)
    assert held.why == "MAP is used in windows by OUT: U·V elements stay"
    wide = footprints(cascade, rank_sizes(cascade, SHAPE | {"kernel_width": 50}))["MAP"]
    assert wide.elements == 3 * 6
    assert footprints(cascade)["MAP"].elements is None


def test_a_global_filter_waits_for_the_whole_map():
    cascade = load("gfnet_block")
    held = footprints(cascade, rank_sizes(cascade, {"height": 14, "model_dim": 384}))["XN1"]
    assert (held.fiber, held.elements, held.visits) == ("U·V", 14 * 14, 2)
    assert held.spill_elements == 14 * 14 * 384


def test_a_gfnet_of_blocks_has_the_published_size():
    """GFNet-Ti, D = 256: 7 M weights (Rao et al., NeurIPS 2021): 12 blocks, patches, classes."""
    cascade = load("gfnet_block")
    moved = compulsory_elements(cascade, rank_sizes(cascade, {"height": 14, "model_dim": 256}))
    block = sum(n for name, n in moved.items() if name not in ("MAP", "OUT"))
    assert round((12 * block + 16 * 16 * 3 * 256 + 256 * 1000) / 1e6) == 7


FOLLOWS = "HID[y] = MAP[y+u] * KER[u]\nACT[y] = relu(HID[y])\nOUT[y] = ACT[y] + MAP[y]"


def test_places_of_a_small_kernel_go_along_with_the_map():
    body = f"input RAW[i]\nMAP2[i] = exp(RAW[i])\n{FOLLOWS.replace('MAP', 'MAP2')}"
    cascade = line("same", body + "\nZ[y] = OUT[y] * MAP[y]", "height")
    found = analyze_passes(cascade)
    assert {rank: found[rank].passes for rank in "IYU"} == {"I": 1, "Y": 1, "U": 1}
    assert fusion_conflict(cascade, [e.name for e in cascade.einsums], "I") is None


def test_what_needs_all_places_starts_a_pass():
    body = "HID[y] = MAP[y+u] * KER[u]\nGATE[] = mean_y HID[y]\nOUT[i] = MAP[i] * GATE[]"
    found = analyze_passes(line("same", body))["I"]
    assert (found.passes, dict(found.level)) == (2, {"HID": 1, "GATE": 1, "OUT": 2})
    assert found.why == "pass 2: OUT reads GATE, which needs all of i of HID"


def test_attention_between_places_has_its_three_passes():
    text = """
cascade convolved_attention
ranks I height, Y height, Z height, U kernel
window I -> Y, U same
window I -> Z, U same
input MAP[i], KQ[u], KK[u]
Q[y] = MAP[y+u] * KQ[u]
K[z] = MAP[z+u] * KK[u]
QK[y,z] = Q[y] * K[z]
GM[y] = max_z QK[y,z]
SN[y,z] = exp(QK[y,z] - GM[y])
SD[y] = sum_z SN[y,z]
A[y,z] = SN[y,z] / SD[y]
OUT[y] = sum_z A[y,z] * K[z]
"""
    assert analyze_passes(parse(text))["Z"].passes == 3
    assert taxonomy(parse(text)) == "3-pass"


def test_the_graph_shows_the_window():
    edge = graph(parse(CONV)).edges["MAP", "OUT"]
    assert edge == {"accesses": ("MAP[n,c,y+u,x+v]",), "carried": False, "back": False}


def test_a_mask_over_other_ranks_holds_beside_windows():
    text = """
cascade weighted
ranks P queries, M keys, I height, Y places, U kernel
mask P, M "causal"
window I -> Y, U
input A[p,m], V[m,i], KER[u]
OUT[p,y] = A[p,m] * V[m,y+u] * KER[u]
"""
    cascade, random = parse(text), np.random.default_rng(0)
    weights, values, kernel = random.normal(size=(3, 4)), random.normal(size=(4, 5)), np.ones(2)
    found = evaluate(cascade, {"A": weights, "V": values, "KER": kernel})["OUT"]
    attended = np.tri(3, 4, k=1)  # the last query attends the last key
    np.testing.assert_allclose(found, (weights * attended) @ (values[:, :-1] + values[:, 1:]))
    sizes = rank_sizes(cascade, {"queries": 3, "keys": 4, "height": 5, "kernel": 2})
    assert ops(cascade, sizes)["mac"] == attended.sum() * 4 * 2
    assert compulsory_elements(cascade, sizes)["V"] == 4 * 5


# What is refused ----------------------------------------------------------------------------------

DAMAGE = {
    "half a window": (
        ("I -> Y, U\n", "I -> Y\n"),
        "4:14: wanted ',', found the end of the line; the form is `window I -> Y, U`",
    ),
    "mode misspelt": (
        ("V same", "V smae"),
        "5:8: wanted how it ends, found 'smae'; did you mean same?",
    ),
    "minus": (
        ("y+u", "y-u"),
        "8:25: wanted ',' or ']', found '-'; a window is read at y+u; for a convolution in the",
    ),
    "other way round": (
        ("y+u", "u+y"),
        "8:24: wanted a window for u+y of MAP, found none; write y+u, the output first",
    ),
    "no window": (
        ("window I -> Y, U\n", ""),
        "7:24: wanted a window for y+u of MAP, found none; declare it: `window I -> Y, U`",
    ),
    "unknown coordinate": (
        ("y+u", "y+w"),
        "8:24: wanted the coordinate of a rank in MAP, found 'w'",
    ),
    "axis of another rank": (
        ("y+u,x+v", "x+v,y+u"),
        "8:24: wanted i of MAP, found x+v, which is on J; it is MAP[n,c,i,j]",
    ),
    "diagonal": (
        ("x+v", "y+u"),
        "8:28: wanted independent coordinates in MAP, found y+u beside u",
    ),
    "never read": (
        ("window J", "window I -> C, V\nwindow J"),
        "5:8: wanted a tensor that is read at c+v, found none; remove the window",
    ),
    "unknown rank": (
        ("I -> Y, U\n", "I -> Y, W\n"),
        "4:8: wanted a rank that is declared, found W; declare it: `ranks W word`",
    ),
    "one rank twice": (
        ("I -> Y, U\n", "I -> Y, Y\n"),
        "4:8: wanted three ranks, found I, Y, Y; a window is `window I -> Y, U`",
    ),
    "two windows with one output": (
        ("J -> X, V same", "J -> X, V same\nwindow J -> Y, V"),
        "6:8: wanted one window that gives Y, found another; give each window an output",
    ),
    "map that comes later": (
        ("window I", "window X -> C, V\nwindow I"),
        "4:8: wanted the window that gives X above this one, found it below; a map is there",
    ),
    "kernel that is an output": (
        ("J -> X, V", "J -> X, Y"),
        "5:8: wanted a kernel with a size of its own, found Y, an output",
    ),
    "split": (
        ("window I", "split U -> U1, U0\nwindow I"),
        "5:8: wanted a rank that is neither split nor grouped, found U of a split",
    ),
    "group": (
        ("window I", "group K -> C\nwindow J -> K, V\nwindow I"),
        "5:8: wanted a rank that is neither split nor grouped, found K of a group",
    ),
    "word of a rank of another length": (
        ("Y out_height", "Y height"),
        "4:8: wanted a word for Y alone, found height of I too; Y is not always as long as I",
    ),
    "window on the left": (
        ("OUT[n,k,y,x]", "OUT[n,k,y+u,x]"),
        "8:9: wanted one rank to write along, found y+u; a window is read, write y",
    ),
    "window in an input": (
        ("MAP[n,c,i,j]", "MAP[n,c,y+u,j]"),
        "6:15: wanted a plain coordinate such as m, found y+u; an input is whole",
    ),
    "steps along places": (
        ("OUT[n,k,y,x] =", "init OUT[n,k,0,x] = 0\nOUT[n,k,y+1,x] = OUT[n,k,y,x] +"),
        "9:9: wanted a rank that is in no window to iterate over, found y+1; iterate over",
    ),
    "mask over places": (
        ("input", 'mask Y, K "causal"\ninput'),
        "6:6: wanted a rank that is in no window, found Y; masks and windows do not go",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_window_is_refused_with_a_way_out(name):
    (old, new), problem = DAMAGE[name]
    assert old in CONV
    with pytest.raises(CascadeError) as caught:
        parse(CONV.replace(old, new), "conv.cascade")
    assert any(p.startswith(f"conv.cascade:{problem}") for p in caught.value.problems), caught.value


def test_a_window_over_steps_is_refused():
    text = (
        "cascade c\nranks I height, Y places, U kernel\nwindow I -> Y, U\ninput MAP[i], KER[u]\n"
        "ranks P height\ninit S[0] = 0\nS[p+1] = S[p] + MAP[p]\nOUT[y] = S[y+u] * KER[u]\n"
    )
    with pytest.raises(
        CascadeError, match=r"8:12: wanted p of S, found y\+u, a window over its st"
    ):
        parse(text)


def test_no_mask_over_the_ranks_of_a_window():
    text = (
        "cascade c\nranks P queries, M queries, Y places, U kernel\nwindow M -> Y, U\n"
        "input Q[p], K[m], KER[u]\nS[p,m] = Q[p] + K[m]\nT[y] = K[y+u] * KER[u]\n"
        "output S, T\n"
    )
    with pytest.raises(CascadeError, match=r"c: wanted ranks that are in no window for a mask, f"):
        with_mask(parse(text), "causal")
