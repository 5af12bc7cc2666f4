"""The text form of masks: what it means, how it is written back, and every mistake in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from einfall.einsum_cascades.masks import HeadMasks, Mask, MaskError, parse_mask
from einfall.einsum_cascades.masks import families as f
from einfall.einsum_cascades.masks.catalogue import FAMILIES
from einfall.einsum_cascades.masks.text import families

SMALL = {
    "dense": ("dense", 4, 6),
    "causal": ("causal", 4, 6),
    "sliding": ("sliding:left=2,right=1", 5, 5),
    "sink_window": ("sink_window:sinks=1,window=2", 5, 8),
    "dilated": ("dilated:window=3,dilation=2", 9, 9),
    "triangle": ("triangle:sinks=1,window=2,last=2", 8, 8),
    "gna": ("gna:input=3x6,window=2x2,dilation=1x3,causal=1x0", 18, 18),
    "blocked": ("blocked:input=4x6,block=2x3,shift=1x0", 24, 24),
    "halo": ("halo:input=4x6,block=2x3,halo=1x0", 24, 24),
    "grid": ("grid:input=4x6,tokens=2x3", 24, 24),
    "strided": ("strided:block=2,local=1,stride=2", 8, 8),
    "head_windows": ("head_windows:alpha=1,beta=0.25+0.5,sinks=1", 8, 8),
    "power": ("power:block=2,window=1,sinks=0", 16, 16),
    "radial": ("radial:frames=4,tokens=3,width=2,sink=no", 12, 12),
    "documents": ("documents:lengths=3+1*2,causal=yes,key_lengths=4+2*2,front=1", 6, 9),
    "block_rank": ("block_rank:instruction=1,documents=2*3,query=1", 8, 8),
    "block_diagonal": ("block_diagonal:block=3,causal=yes", 8, 8),
    "random": ("random:kept=3,seed=7,block=2", 5, 9),
}


@pytest.mark.parametrize("name", SMALL)
def test_each_family_is_read_written_and_bound(name):
    text, queries, keys = SMALL[name]
    spec = parse_mask(text)
    assert str(spec) == text
    bound = spec.bind(queries, keys, heads=2)
    assert (bound.queries, bound.keys) == (queries, keys)
    assert bound.pairs > 0
    assert isinstance(bound, HeadMasks if name in ("strided", "head_windows") else Mask)


def test_no_family_goes_without_a_test_and_help():
    assert set(SMALL) | {"blocks"} == set(FAMILIES) == set(families())
    for name, family in FAMILIES.items():
        assert parse_mask(family.example).expr.name == name
        assert families()[name][0].startswith(name)


def test_text_builds_what_the_constructors_build():
    pairs = [
        ("sliding:window=3", f.sliding_window(9, 9, left=2)),
        ("gna:input=9,window=5,stride=2", f.neighborhood([9], [5], [2])),
        ("documents:lengths=4+5", f.documents([4, 5])),
        ("random:kept=2", f.random_keys(9, 9, kept=2, seed=0)),
        ("causal & ~sliding:window=3 | dilated:window=1,dilation=1", None),
    ]
    for text, expected in pairs[:-1]:
        found = parse_mask(text).bind(9, 9)
        assert np.array_equal(found.dense_array(), expected.dense_array())
    far = f.causal(9, 9) & ~f.sliding_window(9, 9, left=2) | f.sliding_window(9, 9, left=0)
    found = parse_mask(pairs[-1][0]).bind(9, 9)
    assert np.array_equal(found.dense_array(), far.dense_array())


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  causal&dense|~ causal ", "causal & dense | ~causal"),
        ("(causal | dense) & causal", "(causal | dense) & causal"),
        ("causal | (dense | causal)", "causal | dense | causal"),
        ("~~causal", "causal"),
        ("~(causal & dense)", "~(causal & dense)"),
        ("sliding:window=4K", "sliding:window=4096"),
        ("sliding : right = 1 , left = 2", "sliding:left=2,right=1"),
        ("documents:lengths=5+5+5+3", "documents:lengths=5*3+3"),
        ("documents:lengths=@a/b.txt", "documents:lengths=@a/b.txt"),
        ('blocks:file="a b.npz",q_block=8', 'blocks:file="a b.npz",q_block=8'),
        ('blocks:file="ab.npz"', "blocks:file=ab.npz"),
        ("head_windows:alpha=64,beta=1e-1+0.50", "head_windows:alpha=64,beta=0.1+0.5"),
    ],
)
def test_the_canonical_text(text, canonical):
    spec = parse_mask(text)
    assert str(spec) == canonical
    assert parse_mask(str(spec)) == spec
    assert hash(parse_mask(str(spec))) == hash(spec)


EXPRESSIONS = st.recursive(
    st.sampled_from(["dense", "causal", "sliding:window=3", "documents:lengths=2*3+1"]),
    lambda part: st.one_of(
        part.map(lambda p: f"~({p})"),
        st.tuples(part, st.sampled_from("&|"), part).map(lambda p: f"({p[0]}) {p[1]} ({p[2]})"),
    ),
)


@given(EXPRESSIONS)
def test_writing_and_reading_give_back_an_equal_mask(text):
    spec = parse_mask(text)
    again = parse_mask(str(spec))
    assert again == spec
    assert str(again) == str(spec)


@given(st.text(alphabet='causl:=,&|~()"@x+*19K .é', max_size=30))
def test_any_text_is_read_or_refused(text):
    problems = ()
    try:
        spec = parse_mask(text)
    except MaskError as error:
        spec, problems = None, error.problems
    assert all(problem.startswith("mask: ") for problem in problems)
    assert problems or parse_mask(str(spec)) == spec


def test_dense_is_told_from_what_only_amounts_to_it():
    assert parse_mask(" dense ").is_dense
    assert not parse_mask("dense & dense").is_dense


def test_too_deep_a_text_is_refused():
    with pytest.raises(MaskError, match="wanted at most 100 of ~ and"):
        parse_mask("~" * 10_000 + "causal")


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("caussal", ["mask: family: wanted the name of a family of masks, found caussal; did you"]),
        (
            "sliding:widow=4,left=x,right=1",
            [
                "mask: widow: wanted window, left, right, found widow=4; did you mean window?",
                "mask: left: wanted a whole number from 0 on, such as 4 or 4K, found x",
            ],
        ),
        (
            "causal:window=3 & sink_window:sinks=1",
            [
                "mask: causal: window: wanted no argument, found window=3; the form is causal",
                "mask: sink_window: window: wanted window=N, found none; the form is sink_window:",
            ],
        ),
        ("sliding:window=0", ["mask: window: wanted a whole number from 1 on"]),
        ("sliding:window=1,window=1", ["mask: window: wanted once, found again; remove one"]),
        ("gna:input=2x2x2x2,window=3", ["mask: input: wanted one to three whole numbers"]),
        ("gna:input=9,window=3,causal=2", ["mask: causal: wanted 0 or 1 for each dimension"]),
        ("radial:frames=4,tokens=4,sink=1", ["mask: sink: wanted yes or no, found 1"]),
        ("documents:lengths=1+x", ["mask: lengths: wanted whole numbers joined with +"]),
        ("head_windows:alpha=nan,beta=x", ["mask: alpha: wanted one number", "mask: beta: wanted"]),
        ('blocks:file=""', ["mask: file: wanted the name of a file, found nothing"]),
        ("", ["mask: column 1: wanted a name, '(' or '~', found the end"]),
        ("causal &", ["mask: column 9: wanted a name, '(' or '~', found the end"]),
        ("(causal", ["mask: column 8: wanted ')', found the end"]),
        ("causal)", ["mask: column 7: wanted the end, found ')'"]),
        ("causal dense", ["mask: column 8: wanted ':', '|', '&' or the end, found 'dense'"]),
        ("sliding:=4", ["mask: column 9: wanted a name, found '='"]),
        ("sliding:window", ["mask: column 15: wanted '=', found the end"]),
        ("$", ["mask: column 1: wanted a name, '(' or '~', found '$'"]),
    ],
)
def test_mistakes_of_the_text_all_at_once(text, problems):
    with pytest.raises(MaskError) as error:
        parse_mask(text)
    found = error.value.problems
    assert len(found) == len(problems), found
    assert all(t.startswith(p) for p, t in zip(problems, found, strict=True)), found


@pytest.mark.parametrize(
    ("text", "size", "problems"),
    [
        (
            "gna:input=3x4,window=2x2",
            (10, 12),
            ["mask: input: wanted 10 queries, found 3x4 = 12; change it, or set queries=12"],
        ),
        (
            "gna:input=3x4,window=4x2,stride=1x3",
            (12, 12),
            [
                "mask: window of dimension 0: wanted window <= input (3), found 4",
                "mask: stride of dimension 1: wanted stride <= window (2), found 3",
            ],
        ),
        (
            "gna:input=9,window=3 & documents:lengths=4+4",
            (8, 8),
            [
                "mask: gna: input: wanted 8 queries, found 9 = 9",
                "mask: gna: input: wanted 8 keys, found 9 = 9",
            ],
        ),
        ("gna:input=9,window=4,dilation=3", (9, 9), ["mask: dilation: wanted window·dilation"]),
        ("sliding", (4, 4), ["mask: window: wanted either a causal window or left and right"]),
        ("sliding:window=2,left=1", (4, 4), ["mask: window: wanted either"]),
        ("documents:lengths=@/nowhere", (4, 4), ["mask: lengths: /nowhere: wanted a text file"]),
        ("random:kept=9", (4, 4), ["mask: kept: wanted at most all 4 keys, found 9"]),
        ("head_windows:alpha=1+2+3,beta=0", (4, 4), ["mask: alpha: wanted one number, or one"]),
        ("radial:frames=2,tokens=3", (6, 7), ["mask: frames: wanted 7 keys, found 2 frames of 3"]),
        ("dense", (0, 4), ["mask: queries: wanted at least 1, found 0"]),
        ("blocks:file=/no.npz", (4, 4), ["mask: file: /no.npz: wanted a .npz or CSV file"]),
        (
            "gna:input=2x3,window=1x1 & blocked:input=3x2,block=1x1",
            (6, 6),
            ["mask: wanted masks of one layout, found 2x3 and 3x2"],
        ),
    ],
)
def test_what_does_not_fit_the_problem_is_said_all_at_once(text, size, problems):
    with pytest.raises(MaskError) as error:
        parse_mask(text).bind(*size)
    found = error.value.problems
    assert len(found) == len(problems), found
    assert all(t.startswith(p) for p, t in zip(problems, found, strict=True)), found


@pytest.mark.parametrize(
    ("text", "size", "found"),
    [
        ("causal", (8, 5), "found 3 queries without one, the first is query 0; causal lines up"),
        ("~causal", (4, 4), "found 1 query without one, the first is query 3; add keys that all"),
        ("documents:lengths=2+3,causal=yes,key_lengths=2+1", (5, 3), "found 2 queries without one"),
        (
            "strided:block=1,local=0,stride=4",
            (8, 8),
            "found 3 queries without one of head 0, the first is query 0; add keys",
        ),
    ],
)
def test_a_query_without_a_key_is_refused(text, size, found):
    with pytest.raises(MaskError) as error:
        parse_mask(text).bind(*size)
    assert found in error.value.problems[0]
    assert error.value.problems[0].startswith(f"mask: {text}: wanted a key for every query")


# Files --------------------------------------------------------------------------------------------


def test_lengths_from_a_file(tmp_path):
    file = tmp_path / "lengths.txt"
    file.write_text("3, 4\n2\n")
    spec = parse_mask(f"documents:lengths=@{file}")
    assert spec.bind(9, 9).pairs == 9 + 16 + 4
    file.write_text("3 x\n-2\n")
    with pytest.raises(MaskError) as error:
        spec.bind(9, 9)
    assert error.value.problems == (
        f"mask: lengths: {file}:1: wanted whole numbers, found x",
        f"mask: lengths: {file}:2: wanted whole numbers, found -2",
    )


BLOCKS = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=bool)


def test_blocks_from_files(tmp_path):
    """The same map as an array with sizes, and as a CSV list; 5 queries in blocks of 2."""
    expected = f.block_map(BLOCKS, 5, 6, q_block=2, k_block=2).dense_array()
    npz, listed = tmp_path / "a b.npz", tmp_path / "list.csv"
    np.savez(npz, blocks=BLOCKS, q_block=2, k_block=2)
    rows = "".join(f"{i},{j},0.5\n" for i, j in np.argwhere(BLOCKS))
    listed.write_text("q_block,k_block,score\n" + rows)
    for text in (f'blocks:file="{npz}"', f"blocks:file={listed},q_block=2,k_block=2"):
        assert np.array_equal(parse_mask(text).bind(5, 6).dense_array(), expected)


def test_blocks_of_heads_from_files(tmp_path):
    """Heads with equal blocks share their mask."""
    npz, listed = tmp_path / "heads.npz", tmp_path / "list.csv"
    of_heads = np.stack([BLOCKS, ~BLOCKS, BLOCKS])
    np.savez(npz, blocks=of_heads)
    rows = "".join(f"{h},{i},{j}\n" for h, i, j in np.argwhere(of_heads))
    listed.write_text("head,q_block,k_block\n" + rows)
    for file in (npz, listed):
        heads = f.read_blocks(file, 6, 6, 3, q_block=2, k_block=2)
        assert [times for _, times in heads.groups] == [2, 1]
        assert heads.pairs_per_head == (20, 16, 20)


def refused(call):
    with pytest.raises(MaskError) as error:
        call()
    return error.value.problems


def test_mistakes_of_a_csv_each_with_its_line(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("q_block,k_block,head\n0,0,0\n3,x,0\n0,,4\n")
    assert refused(lambda: f.read_blocks(file, 6, 6, 2, q_block=2, k_block=2)) == (
        f"{file}:3: q_block: wanted a number from 0 to 2, found 3",
        f"{file}:3: k_block: wanted a number from 0 to 2, found x",
        f"{file}:4: head: wanted a number from 0 to 1, found 4",
        f"{file}:4: k_block: wanted a number from 0 to 2, found nothing",
    )
    file.write_text("q,k\n0,0\n")
    assert refused(lambda: f.read_blocks(file, 6, 6, q_block=2, k_block=2)) == (
        f"{file}:1: q_block: wanted this column, found q, k",
        f"{file}:1: k_block: wanted this column, found q, k",
    )
    file.write_text("")
    assert "found none" in refused(lambda: f.read_blocks(file, 6, 6, q_block=2, k_block=2))[0]
    file.write_bytes(b"\xff\xfe\xff")
    assert "UTF-8" in refused(lambda: f.read_blocks(file, 6, 6, q_block=2, k_block=2))[0]
    assert [p.partition(": ")[2] for p in refused(lambda: f.read_blocks(file, 6, 6))] == [
        "q_block: wanted at least 1, found 0; give it beside the file",
        "k_block: wanted at least 1, found 0; give it beside the file",
    ]


@pytest.mark.parametrize(
    ("arrays", "problems"),
    [
        ({"mask": BLOCKS}, ["blocks: wanted an array of that name, found q_block"]),
        ({"blocks": BLOCKS * 2}, ["blocks: wanted booleans, or 0 and 1, found int64 of shape 3 x"]),
        ({"blocks": np.ones(3, dtype=bool)}, ["blocks: wanted 2 or 3 dimensions"]),
        ({"blocks": np.ones((4, 3, 3), dtype=bool)}, ["blocks: wanted 1 heads, found 4"]),
        ({"blocks": BLOCKS[:2]}, ["blocks: wanted 3 x 3 for 6 queries"]),
        (
            {"blocks": BLOCKS, "q_block": 0, "k_block": np.ones(2)},
            [
                "q_block: wanted one whole number from 1 on, found 0",
                "k_block: wanted one whole number from 1 on, found float64 of shape 2",
            ],
        ),
    ],
)
def test_mistakes_of_an_npz(tmp_path, arrays, problems):
    file = tmp_path / "blocks.npz"
    np.savez(file, **{"q_block": 2, "k_block": 2, **arrays})
    found = refused(lambda: f.read_blocks(file, 6, 6))
    assert len(found) == len(problems)
    wanted = [f"{file}: {problem}" for problem in problems]
    assert all(text.startswith(w) for w, text in zip(wanted, found, strict=True)), found


def test_an_npz_that_is_none_or_says_no_sizes(tmp_path):
    file = tmp_path / "blocks.npz"
    file.write_text("no zip")
    assert (
        "wanted arrays as numpy.savez writes them" in refused(lambda: f.read_blocks(file, 6, 6))[0]
    )
    np.savez(file, blocks=BLOCKS)
    assert len(refused(lambda: f.read_blocks(file, 6, 6))) == 2
