import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from einfall.hw_models.yaml_door import (
    Source,
    Spec,
    SpecError,
    names_at,
    read_document,
    read_spec,
)
from einfall.units import Bytes, BytesPerSecond


class Level(Spec):
    name: str
    bandwidth_bytes_per_s: BytesPerSecond = Field(alias="bandwidth")
    capacity_bytes: Bytes | None = Field(default=None, alias="capacity")


class Chip(Spec):
    about: str = ""
    memories: list[Level] = Field(default_factory=list)
    links: Mapping[str, Level] = Field(default_factory=dict)
    issue: Literal["serial", "chained"] = "serial"


def problems(source: Path | str, bases: Mapping[str, Path] | None = None) -> tuple[str, ...]:
    with pytest.raises(SpecError) as error:
        read_spec(source, Chip, bases)
    return error.value.problems


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes files into the working directory, so that messages name them without a folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_becomes_a_frozen_spec_in_base_units(write):
    chip = read_spec(write("chip.yaml", "memories: [{name: hbm, bandwidth: 3.35 TB/s}]"), Chip)
    assert chip.memories[0].bandwidth_bytes_per_s == 3.35e12
    with pytest.raises(ValueError, match="frozen"):
        chip.about = "other"


def test_all_mistakes_come_at_once_each_with_its_line(write):
    path = write(
        "h100.yaml",
        """\
about: three mistakes and more
about: again
issue: seriall
memories:
  - name: hbm
    bandwidth: 3.35 TB
  - name: l2
    bandwidth: 5

  - name: smem
    bandwith: 33 TB/s
    capacity: -227 KiB
links: 7
""",
    )
    assert problems(path) == (
        "h100.yaml:2: about: want each field once, found it again (first on line 1)",
        "h100.yaml:3: issue: want 'serial' or 'chained', got 'seriall'",
        "h100.yaml:6: memories.0.bandwidth: want a quantity in B/s, such as '2 GB/s', "
        "got '3.35 TB'",
        "h100.yaml:8: memories.1.bandwidth: want a quantity in B/s, such as '2 GB/s', got 5",
        "h100.yaml:10: memories.2.bandwidth: want a value, found none",
        "h100.yaml:11: memories.2.bandwith: want a known field (bandwidth, capacity, name), "
        "found 'bandwith': did you mean 'bandwidth'?",
        "h100.yaml:12: memories.2.capacity: want greater than 0, got '-227 KiB'",
        "h100.yaml:13: links: want fields (name: value), got 7",
    )


def test_the_attribute_name_is_not_a_name_in_yaml():
    (missing, unknown) = problems("memories: [{name: hbm, bandwidth_bytes_per_s: 3 TB/s}]")
    assert missing == "<text>:1: memories.0.bandwidth: want a value, found none"
    assert unknown.endswith("did you mean 'bandwidth'?")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "<text>:1: want fields (`name: value`), found nothing"),
        ("- 1", "<text>:1: want fields (`name: value`), found a list"),
        ("hello", "<text>:1: want fields (`name: value`), found 'hello'"),
        ("about: x\nlinks: {a: [}", "<text>:2: want YAML, found: expected the node content, "),
        ("about: x\n\tlinks: 1", "<text>:2: want YAML, found: "),
        ("about: \x07", "<text>: want YAML, found: unacceptable character #x0007"),
        ("about: &a {b: *a}", "<text>:1: about.b: want a value, found an alias of what it stands"),
        ("about: !car x", "<text>:1: about: want a number or text, found !car 'x'"),
        ("about: 2024-13-45", "<text>:1: about: want a number or text, found "),
    ],
)
def test_what_is_no_yaml_mapping_is_refused_with_its_line(text, problem):
    assert problems(text)[0].startswith(problem)


def test_files_that_cannot_be_read_are_spec_errors(write, tmp_path):
    assert problems(tmp_path / "no.yaml") == (
        "no.yaml: want a readable file, found: No such file or directory",
    )
    (tmp_path / "latin.yaml").write_bytes(b"about: \xe4")
    assert problems(tmp_path / "latin.yaml") == ("latin.yaml: want UTF-8 text, found byte 7",)


def test_a_float_without_a_point_is_a_number():
    assert read_document("x: 1e12").data == {"x": 1e12}


# --- base --------------------------------------------------------------------------------

BASE = """\
about: base  # published: a paper
links:
  up: {name: up, bandwidth: 1 GB/s, capacity: 3 B}  # datasheet: links
  down:
    name: down  # derived: from up
    bandwidth: 2 GB/s
memories:
  - {name: hbm, bandwidth: 1 TB/s}
"""


def test_base_merges_mappings_and_replaces_all_else(write):
    base = write("parent.yaml", BASE)
    text = (
        "base: parent\nlinks: {up: {bandwidth: 5 GB/s}}\nmemories: [{name: l2, bandwidth: 2 B/s}]"
    )
    chip = read_spec(text, Chip, {"parent": base})
    assert chip.about == "base"
    assert chip.links["up"].bandwidth_bytes_per_s == 5e9
    assert chip.links["up"].capacity_bytes == 3
    assert chip.links["down"].bandwidth_bytes_per_s == 2e9
    assert [m.name for m in chip.memories] == ["l2"]


def test_base_may_be_a_neighbour_of_the_file(write):
    write("parent.yaml", BASE)
    chip = read_spec(write("child.yaml", "base: parent.yaml\nabout: child"), Chip)
    assert (chip.about, sorted(chip.links)) == ("child", ["down", "up"])


def test_null_takes_an_inherited_value_away(write):
    base = write("parent.yaml", BASE)
    text = "base: p\nlinks: {down: null, up: {capacity: null}}  # derived: fewer"
    chip = read_spec(text, Chip, {"p": base})
    assert list(chip.links) == ["up"]
    assert chip.links["up"].capacity_bytes is None
    assert not {"links.down", "links.down.name", "links.up.capacity"} & set(chip.sources)


def test_a_mistake_is_reported_in_the_file_where_it_stands(write):
    write("parent.yaml", BASE.replace("2 GB/s", "2 GB"))
    child = write("child.yaml", "base: parent.yaml\n\nlinks:\n  up: {bandwidth: 3 B}\n")
    assert problems(child) == (
        "child.yaml:4: links.up.bandwidth: want a quantity in B/s, such as '2 GB/s', got '3 B'",
        "parent.yaml:6: links.down.bandwidth: want a quantity in B/s, such as '2 GB/s', got '2 GB'",
    )


def test_a_corrected_mistake_of_the_base_is_none(write):
    write("parent.yaml", BASE.replace("2 GB/s", "2 GB"))
    child = write("child.yaml", "base: parent.yaml\nlinks: {down: {bandwidth: 3 B/s}}")
    assert read_spec(child, Chip).links["down"].bandwidth_bytes_per_s == 3


def test_bases_that_go_in_a_circle_are_refused(write):
    write("b.yaml", "base: c.yaml")
    write("c.yaml", "base: a.yaml")
    a = write("a.yaml", "base: b.yaml")
    assert problems(a) == (
        "c.yaml:1: base: want a base that does not lead back to itself, "
        "found a.yaml -> b.yaml -> c.yaml -> a.yaml",
    )
    own = write("own.yaml", "about: x\nbase: own.yaml")
    assert problems(own)[0].startswith("own.yaml:2: base: want a base that does not lead back")


def test_an_unknown_base_has_suggestions_and_does_not_make_values_missing(write):
    base = write("fusemax_cloud.yaml", BASE)
    text = "base: fusemax_clud\nlinks: {up: {capacity: 3 GB/s}}"
    assert problems(text, {"fusemax_cloud": base}) == (
        "<text>:1: base: want a known base, found 'fusemax_clud': did you mean 'fusemax_cloud'?",
        "<text>:2: links.up.capacity: want a quantity in B, such as '2 MiB', got '3 GB/s'",
    )
    near = write("child.yaml", "base: fusemax_clod.yaml")
    assert problems(near)[0].endswith("did you mean 'fusemax_cloud.yaml'?")
    assert problems("base: [1]")[0] == "<text>:1: base: want a known base, found [1]"


# --- sources --------------------------------------------------------------------------------


def test_the_comment_at_the_end_of_a_line_is_the_source_of_its_values(write):
    chip = read_spec(write("chip.yaml", BASE), Chip)
    assert chip.sources == {
        "about": Source("published", "a paper", "chip.yaml", 1),
        "links.up.name": Source("datasheet", "links", "chip.yaml", 3),
        "links.up.bandwidth": Source("datasheet", "links", "chip.yaml", 3),
        "links.up.capacity": Source("datasheet", "links", "chip.yaml", 3),
        "links.down.name": Source("derived", "from up", "chip.yaml", 5),
    }
    assert str(chip.sources["about"]) == "published: a paper (chip.yaml:1)"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("about: x # Measured: here", Source("measured", "here", "<text>", 1)),
        ("about: x # fitted to y", Source("fitted", "to y", "<text>", 1)),
        ("about: x # a guess", Source("assumption", "a guess", "<text>", 1)),
        ("about: 'a # b'", None),
        ("about: 'a # b'  # derived: c # d", Source("derived", "c # d", "<text>", 1)),
        ("about: a#b", None),
        ("# published: nothing\nabout: x", None),
        ("about: >\n  long # no comment\n", None),
        ("about: x\n# published: nothing\n", None),
    ],
)
def test_only_a_comment_behind_the_value_counts(text, source):
    assert read_spec(text, Chip).sources.get("about") == source


def test_a_comment_behind_a_field_speaks_for_all_it_holds_unless_they_speak():
    text = "links:  # published: all\n  up:\n    name: up\n    bandwidth: 1 B/s  # derived: own"
    sources = read_spec(text, Chip).sources
    assert sources["links.up.name"] == Source("published", "all", "<text>", 3)
    assert sources["links.up.bandwidth"] == Source("derived", "own", "<text>", 4)


def test_own_values_have_own_sources_and_inherited_ones_those_of_the_base(write):
    base = write("parent.yaml", BASE)
    text = "base: p\nlinks:\n  up: {bandwidth: 5 B/s}\n  down: {name: d}  # measured: here"
    sources = read_spec(text, Chip, {"p": base}).sources
    assert "links.up.bandwidth" not in sources
    assert sources["links.up.name"].file == "parent.yaml"
    assert sources["links.down.name"] == Source("measured", "here", "<text>", 4)


def test_a_comment_behind_base_restates_the_source_of_all_that_is_inherited(write):
    base = write("parent.yaml", BASE)
    sources = read_spec("base: p  # assumption: alike", Chip, {"p": base}).sources
    assert sources["about"] == Source(
        "assumption", "alike; there published: a paper", "parent.yaml", 1
    )
    assert sources["memories.0.name"] == Source("assumption", "alike", "parent.yaml", 8)


# --- the rest --------------------------------------------------------------------------------


def test_errors_and_specs_cross_process_borders():
    error = SpecError(["a", "b"])
    assert pickle.loads(pickle.dumps(error)).problems == ("a", "b")
    chip = read_spec("about: x  # derived: y", Chip)
    again = pickle.loads(pickle.dumps(chip))
    assert (again, again.sources) == (chip, chip.sources)


def test_equal_values_are_equal_wherever_they_come_from():
    assert read_spec("about: x  # derived: y", Chip) == read_spec("\nabout: x", Chip)
    assert read_spec("about: x", Chip) != read_spec("about: y", Chip)
    assert read_spec("about: x", Chip) != "x"


def test_names_at_walks_lists_mappings_and_unions():
    assert names_at(Chip, ()) == ("about", "issue", "links", "memories")
    assert names_at(Chip, ("memories", 0)) == ("bandwidth", "capacity", "name")
    assert names_at(Chip, ("links", "up")) == ("bandwidth", "capacity", "name")
    assert names_at(Chip, ("links",)) == ()

    class Wrapper(Spec):
        either: Annotated[Level, Field()] | Chip | None = None

    assert names_at(Wrapper, ("either",)) == (
        "about", "bandwidth", "capacity", "issue", "links", "memories", "name",
    )  # fmt: skip
