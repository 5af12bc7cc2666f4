"""Mappings that are refused: each with what was wanted, what was found, and a way out."""

import pytest
from random_questions import small_machine

from einfall.einsum_cascades import language, library
from einfall.hw_models import load
from einfall.hw_models.overrides import with_overrides
from einfall.hw_models.yaml_door import SpecError
from einfall.sim import mapping as mappings
from einfall.sim.accounting import ARTIFACT
from einfall.sim.choice import mapping_for
from einfall.sim.estimate import estimate
from einfall.sim.mapping import Binding, DoesNotFitError, Group, Mapping, MappingError

SHAPE = {"queries": 12, "keys": 12, "head_dim": 4, "value_dim": 4}
ALL = Binding(unit="1d", einsums=("rest",))


def read(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return mappings.load(path)


def refusal(mapping, cascade="attention_3pass", machine=None, error=MappingError, **switches):
    machine = machine or small_machine("flat_cloud", 4)
    with pytest.raises(error) as caught:
        estimate(library.load(cascade), SHAPE, machine, mapping, **switches)
    return str(caught.value)


def with_group(*groups, bind=(ALL,), cascade="attention_3pass", name="mine"):
    return Mapping(name=name, cascades=(cascade,), bind=bind, groups=groups)


def loops(**texts):
    """Loops as a YAML file writes them."""
    return Group.model_validate({"name": "all", "loops": texts}).loops


def test_fusing_three_passes_in_one_loop_over_keys():
    text = refusal(with_group(Group(name="all", loops=loops(m1="M by 4"))))
    assert "loop m1 runs over tiles of M" in text
    assert "GM" in text
    assert "groups of their own" in text


@pytest.mark.parametrize(
    ("rows", "cols", "found"),
    [(("P",), ("F", "P"), "rows P; cols F, P"), ((), ("P", "P"), "rows none; cols P, P")],
)
def test_a_rank_twice_on_the_sides_of_an_array(rows, cols, found):
    # Lanes would be taken for P twice over, and the time comes out some fifty times too long.
    bind = (Binding(unit="2d", rows=rows, cols=cols, einsums=("AV",)), ALL)
    text = refusal(with_group(Group(name="all"), bind=bind))
    assert "bind AV: wanted each rank once on the sides of 2d, found P again" in text
    assert found in text


def test_three_passes_with_whole_fibers_of_keys_are_legal():
    mapping = with_group(Group(name="all", loops=loops(m1="M by 12", p1="P by 4")))
    cascade, machine = library.load("attention_3pass"), small_machine("flat_cloud", 4)
    assert estimate(cascade, SHAPE, machine, mapping).latency_s > 0


def test_a_footprint_that_does_not_fit_says_both_numbers():
    # Q: two tiles of 4 queries, 4 wide, of 2 B; K and V: 12 keys, 4 wide, held once.
    machine = with_overrides(small_machine("flat_cloud", 4), {"buffer.capacity": 255})
    group = Group(name="all", loops=loops(p1="P by 4"))
    text = refusal(with_group(group), machine=machine, error=DoesNotFitError)
    assert "mapping mine, group all: needs 256 B of the buffer (K 96, V 96, Q 64)" in text
    assert "buffer.capacity of flat_cloud is 255 B" in text


@pytest.mark.parametrize(("name", "cascade", "base"), [
    ("fusemax", "attention_1pass", "fusemax_cloud"),
    ("plus_cascade", "attention_1pass", "flat_cloud"),
    ("unfused", "attention_3pass", "flat_cloud"),
])  # fmt: skip
def test_a_shipped_mapping_on_a_tiny_buffer(name, cascade, base):
    machine = with_overrides(small_machine(base, 4), {"buffer.capacity": 32})
    text = refusal(mappings.load(name), cascade, machine, DoesNotFitError)
    assert f"mapping {name}" in text
    assert f"buffer.capacity of {base} is 32 B" in text
    assert "--set buffer.capacity=2x" in text


def test_the_largest_capacity_that_is_refused_is_one_byte_short():
    cascade, mapping = library.load("attention_1pass"), mappings.load("fusemax")
    machine = small_machine("fusemax_cloud", 4)
    text = refusal(mapping, "attention_1pass", with_overrides(machine, {"buffer.capacity": 32}))
    needs = int(text.split("needs ")[1].split(" B")[0].replace(",", ""))
    estimate(cascade, SHAPE, with_overrides(machine, {"buffer.capacity": needs}), mapping)
    short = with_overrides(machine, {"buffer.capacity": needs - 1})
    refusal(mapping, "attention_1pass", short, DoesNotFitError)


def test_all_unknown_names_are_reported_at_once(tmp_path):
    text = """
name: mine
cascades: [attention_3pass]
bind:
  - {unit: 3d, einsums: [rest]}
  - {unit: 2d, rows: [M], cols: [PP], einsums: [KQ]}
groups:
  - name: all
    loops: {p1: P by 4, z1: Z by 2}
    hold: {Q: p9, QQ: p1}
    place: {VV: buffer}
    direct: [BQ]
    spill: {XX: 0.5}
"""
    told = refusal(read(text, tmp_path))
    wanted = (
        ("units", "'3d'"), ("ranks", "'PP'"), ("Einsums", "'KQ'"), ("ranks", "'Z'"),
        ("loops", "'p9'"), ("tensors", "'QQ'"), ("tensors", "'VV'"), ("tensors", "'BQ'"),
        ("tensors", "'XX'"),
    )  # fmt: skip
    for kind, found in wanted:
        line = next(line for line in told.splitlines() if f"found {found}" in line)
        assert f"wanted {kind}" in line
        assert line.startswith("mapping mine: ")


def test_a_close_name_is_suggested():
    told = refusal(with_group(Group(name="all", hold={"QKK": ""})))
    assert "QK" in told.split("found 'QKK'")[1]


@pytest.mark.parametrize("text", ["P times 4", "P", "by 4"])
def test_a_loop_that_cannot_be_read(text, tmp_path):
    with pytest.raises(SpecError, match="P by fit"):
        read(f"name: x\ncascades: [a]\nbind: []\ngroups: [{{name: g, loops: {{p: {text}}}}}]",
             tmp_path)  # fmt: skip


def test_a_tile_that_is_no_edge():
    told = refusal(with_group(Group(name="all", loops=loops(p1="P by 2d.height"))))
    assert "loop p1" in told
    assert "2d.rows" in told
    assert "'2d.height'" in told


def test_an_unknown_mapping_lists_those_that_ship():
    with pytest.raises(SpecError, match="fusemax") as caught:
        mappings.load("fusemx")
    assert "'fusemx'" in str(caught.value)


def test_an_op_that_the_unit_lacks():
    bind = (Binding(unit="2d", einsums=("rest",)),)
    told = refusal(with_group(Group(name="all", loops=loops(p1="P by 4")), bind=bind))
    for einsum, op in (("GM", "max"), ("SN", "exp"), ("A", "div")):
        assert f"{einsum} needs {op}, which unit 2d of flat_cloud cannot do" in told
    assert "bind it to 1d" in told


def test_an_op_that_no_unit_has():
    told = refusal(mappings.load("fusemax"), "attention_1pass")
    assert "which unit 2d of flat_cloud cannot do" in told  # softmax on FLAT's array
    machine = small_machine("flat_cloud", 4)
    cascade = language.parse("cascade one\nranks P queries\ninput X[p]\nY[p] = erf(X[p])\n", "one")
    with pytest.raises(MappingError, match="erf"):
        mapping_for(cascade, {"queries": 4}, machine, name="auto")


def test_an_einsum_without_a_binding():
    bind = (Binding(unit="1d", einsums=("QK",)),)
    assert "found none for GM" in refusal(with_group(Group(name="all"), bind=bind))


def test_an_einsum_in_two_groups_and_one_in_none():
    first = Group(name="one", einsums=("QK", "GM", "SN"))
    second = Group(name="two", einsums=("SN", "SD", "A"))
    told = refusal(with_group(first, second))
    assert "wanted SN in one group, found it in two" in told
    assert "found AV in none" in told


def test_a_reader_before_its_producer():
    first = Group(name="one", einsums=("AV", "QK"))
    second = Group(name="two", einsums=("GM", "SN", "SD", "A"))
    assert "AV reads A of a later group" in refusal(with_group(first, second))


def test_a_running_value_that_other_tiles_come_between():
    group = Group(name="all", loops=loops(m1="M by 4", p1="P by 4"))
    mapping = with_group(group, cascade="attention_1pass")
    told = refusal(mapping, "attention_1pass")
    for name in ("RM", "RD", "RNV"):
        line = next(line for line in told.splitlines() if f": {name} " in line)
        assert "along loop m1 with loop p1 inside it" in line
        assert f"hold: {{{name}: …}}" in line


def test_a_running_value_is_safe_where_nothing_comes_between():
    group = Group(name="all", loops=loops(p1="P by 4", m1="M by 4"))
    mapping = with_group(group, cascade="attention_1pass")
    cascade, machine = library.load("attention_1pass"), small_machine("flat_cloud", 4)
    assert estimate(cascade, SHAPE, machine, mapping).latency_s > 0


def test_tiles_that_do_not_nest():
    told = refusal(with_group(Group(name="all", loops=loops(p2="P by 10", p1="P by 4"))))
    assert "loop p2 over P takes 10, no multiple of the 4 of loop p1" in told


def test_the_wrong_cascade():
    told = refusal(mappings.load("fusemax"), "attention_3pass", small_machine("fusemax_cloud", 4))
    assert "is for attention_1pass, found cascade attention_3pass" in told


def test_a_loop_twice():
    group = Group(name="all", loops=(*loops(p="P by 8"), *loops(p="P by 4")))
    assert "found p again" in refusal(with_group(group))


@pytest.mark.parametrize("length", [255, 1000, 1025])
@pytest.mark.parametrize("key", ["queries", "keys"])
def test_published_accounting_refuses_ragged_lengths(key, length):
    # Its files divide lengths by 256 and drop the rest.
    shape = {"queries": 1024, "keys": 1024, "head_dim": 64} | {key: length}
    with pytest.raises(MappingError) as caught:
        estimate(library.load("attention_1pass"), shape, load("fusemax_cloud"),
                 mappings.load("fusemax"), accounting=ARTIFACT)  # fmt: skip
    assert "multiple of 256" in str(caught.value)
    assert str(length) in str(caught.value)


def test_windows_on_a_map():
    cascade, machine = library.load("conv2d"), load("fusemax_cloud")
    shape = {"channels": 3, "filters": 4, "height": 8, "kernel_height": 3}
    for ask in (
        lambda: mapping_for(cascade, shape, machine, name="auto"),
        lambda: estimate(cascade, shape, machine, with_group(Group(name="all"), cascade="conv2d")),
    ):
        with pytest.raises(MappingError, match=r"a window: OUT reads MAP\[n,c,y\+u,x\+v\];"):
            ask()
