"""Reading and printing: what a text means, and that printing loses nothing."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_cascades import WINDOWS, cascades

from einfall.einsum_cascades import CascadeError, load, names, parse, to_text
from einfall.einsum_cascades.einsum import (
    Access,
    Apply,
    Einsum,
    Group,
    Index,
    Number,
    Place,
    Rank,
    Split,
    accesses,
)
from einfall.einsum_cascades.ops import OPS

HEADER = "cascade c\nranks P queries, M keys, E head_dim\ninput A[p], B[p,m], C[]\n"
USE_ALL = "Z[p] = sum_{m,e} Y[p] + A[p] + C[] + B[p,m] * W[e]\n"


def einsum(line):
    """The Einsum that defines Y over p in a cascade with A[p], B[p,m], C[] and W[e]."""
    text = f"{HEADER}input W[e]\n{line}\n{USE_ALL}output Y, Z\n"
    return parse(text).by_name["Y"]


def expression(text):
    return einsum(f"Y[p] = {text}").expr


A, B, C = (
    Access("A", (Index("P"),)),
    Access("B", (Index("P"), Index("M"))),
    Access("C"),
)


def test_every_statement_is_read():
    cascade = load("attention_1pass")
    assert cascade.name == "attention_1pass"
    assert "FlashAttention-2" in cascade.about
    assert "Nayak" in cascade.source
    assert cascade.ranks[:2] == (Rank("B", "batch"), Rank("H", "heads"))
    assert cascade.groups == (Group("H", "G"),)
    assert cascade.splits == (Split("M", "M1", "M0"),)
    assert [str(access) for access in cascade.inputs] == ["Q[b,h,p,e]", "K[b,g,m,e]", "V[b,g,m,f]"]
    assert cascade.outputs == ("AV",)
    assert [str(init.output) for init in cascade.inits] == [
        "RM[b,h,0,p]",
        "RD[b,h,0,p]",
        "RNV[b,h,0,p,f]",
    ]
    assert cascade.inits[0].expr == Number(-math.inf)
    assert " ".join(cascade.by_name) == "BQK LM RM SLN SLD SLNV PRM SPD RD SPNV RNV AV"


def test_a_product_is_summed_over_what_its_output_lacks():
    scores, maximum, *_, output = load("attention_1pass").einsums
    assert (scores.reduce, scores.reduce_ranks) == ("sum", ("E",))
    assert (maximum.reduce, maximum.reduce_ranks) == ("max", ("M0",))
    assert (output.reduce, output.reduce_ranks) == (None, ())


def test_a_reduction_applies_to_the_whole_right_hand_side():
    found = einsum("Y[p] = sum_m B[p,m] + A[p]")
    assert found.expr == Apply("add", (B, A))
    assert (found.reduce, found.reduce_ranks) == ("sum", ("M",))


def test_a_reduction_in_front_of_parentheses_is_no_call():
    assert einsum("Y[p] = max_m (B[p,m] + A[p])") == einsum("Y[p] = max_m B[p,m] + A[p]")


def test_indices():
    reads = load("attention_1pass").by_name["AV"].operands
    assert reads[0].indices[2] == Index("M1", end=True)
    step = load("attention_1pass").by_name["RM"].output
    assert step.indices[2] == Index("M1", offset=1)
    assert load("attention_1pass").inits[0].output.indices[2] == Index(None, offset=0)


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("A[p] - C[] - 1", Apply("sub", (Apply("sub", (A, C)), Number(1)))),
        ("A[p] + C[] * 2", Apply("add", (A, Apply("mul", (C, Number(2)))))),
        ("(A[p] + C[]) / 2", Apply("div", (Apply("add", (A, C)), Number(2)))),
        ("-A[p] * C[]", Apply("mul", (Apply("neg", (A,)), C))),
        ("-2 * A[p]", Apply("mul", (Number(-2), A))),
        ("A[p] - -inf", Apply("sub", (A, Number(-math.inf)))),
        ("max(A[p], .5e-3)", Apply("max", (A, Number(0.0005)))),
        ("select(A[p], C[], 1.)", Apply("select", (A, C, Number(1)))),
        ("neg(1) + A[p]", Apply("add", (Apply("neg", (Number(1),)), A))),
    ],
)
def test_precedence_and_numbers(text, expr):
    assert expression(text) == expr


def test_places_count_from_one():
    cascade = parse("cascade c\n\nranks P queries\ninput A[p]\n  Y[p] = exp( A[p])\n")
    assert cascade.einsums[0].place == Place(5, 3)
    assert cascade.einsums[0].operands[0].place == Place(5, 15)


def test_lines_go_on_inside_brackets_and_after_operators():
    broken = "Y[p] = max(  # larger\n   A[p],\n\n   C[]) +\n  1"
    assert einsum(broken).expr == expression("max(A[p], C[]) + 1")
    assert einsum(broken).operands[1].place == Place(8, 4)


def test_strings_keep_hashes_quotes_and_escapes():
    text = f'about "# \\"one\\" \\u00b7 \\n two" # three\n{HEADER}Y[p] = sum_m A[p] * B[p,m] * C[] '
    with pytest.raises(CascadeError, match="rank E"):
        parse(text)
    assert parse(text.replace(", E head_dim", "")).about == '# "one" · \n two'


def test_carriage_returns_and_tabs_do_not_matter():
    text = to_text(load("mlp"))
    assert parse(text.replace("\n", "\r\n").replace(" ", "\t")).einsums == load("mlp").einsums


def test_without_an_output_line_the_tensors_never_read_are_outputs():
    text = "cascade c\nranks P queries\ninput A[p]\nX[p] = A[p]\nY[p] = X[p]\nZ[p] = X[p]\n"
    assert parse(text).outputs == ("Y", "Z")


def test_an_iterative_tensor_that_reads_itself_may_be_the_output():
    text = "cascade c\nranks P queries\ninput A[p]\ninit S[0] = 0\nS[p+1] = S[p] + A[p]\n"
    assert parse(text).outputs == ("S",)


def test_printed_text_can_be_read_by_people():
    assert to_text(load("attention_1pass")).splitlines()[11:16] == [
        "BQK[b,h,m1,m0,p]  = Q[b,h,p,e] * K[b,g,m1,m0,e]",
        "LM[b,h,m1,p]      = max_m0 BQK[b,h,m1,m0,p]",
        "RM[b,h,m1+1,p]    = max(RM[b,h,m1,p], LM[b,h,m1,p])",
        "SLN[b,h,m1,m0,p]  = exp(BQK[b,h,m1,m0,p] - RM[b,h,m1+1,p])",
        "SLD[b,h,m1,p]     = sum_m0 SLN[b,h,m1,m0,p]",
    ]


# Round trip of random cascades --------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=False).map(Number)


def trees(operands):
    """Random expressions in which each of the operands stands at least once."""
    leaves = st.sampled_from(operands) | NUMBERS

    def apply(children):
        ops = st.sampled_from(list(OPS.values()))
        return ops.flatmap(
            lambda op: st.tuples(*[children] * op.arity).map(lambda args: Apply(op.name, args))
        )

    def complete(tree):
        missing = [operand for operand in operands if operand not in accesses(tree)]
        for operand in missing:
            tree = Apply("sub", (operand, tree))
        return tree

    return st.recursive(leaves, apply, max_leaves=8).map(complete)


@st.composite
def wordy_cascades(draw):
    """Random cascades with random expressions and texts."""
    cascade = draw(cascades(max_einsums=5) | cascades(max_einsums=5, windows=WINDOWS))
    einsums = tuple(replace(e, expr=draw(trees(e.operands))) for e in cascade.einsums)
    return replace(cascade, einsums=einsums, about=draw(st.text()), source=draw(st.text()))


@settings(max_examples=200, deadline=None)
@given(wordy_cascades())
def test_random_cascades_survive_printing_and_reading(cascade):
    assert parse(to_text(cascade)) == cascade


@settings(deadline=None)
@given(cascades() | cascades(windows=WINDOWS))
def test_printing_is_stable(cascade):
    text = to_text(cascade)
    assert to_text(parse(text)) == text


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_text_is_refused_in_words_or_read(data):
    """Whatever happens to a text, the reader answers with a cascade or a CascadeError."""
    text = to_text(load(data.draw(st.sampled_from(names()))))
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    patch = data.draw(st.text('QKmM10[](){}=+-*/,#"_> \n\\.e') | st.text(max_size=3))
    complaint = ""
    try:
        parse(text[:start] + patch + text[start + length :])
    except CascadeError as error:
        complaint = str(error)
    assert all(line.startswith("<text>:") for line in complaint.splitlines())
    assert not re.search(r"Token|LPAR|RSQB|PLUS|__ANON|\bSHIFT\b", complaint)


def test_explicit_sums_stay_explicit_where_their_order_differs():
    one = Einsum(Access("Y"), Apply("mul", (A, B)), "sum", ("M", "P"))
    two = replace(one, reduce_ranks=("P", "M"))
    cascade = parse("cascade c\nranks P queries, M keys\ninput A[p], B[p,m]\nY[] = A[p] * B[p,m]\n")
    assert cascade.einsums == (two,)
    assert "sum_{m,p} A[p] * B[p,m]" in to_text(replace(cascade, einsums=(one,)))
    assert "Y[] = A[p] * B[p,m]" in to_text(cascade)


def test_every_cascade_of_the_guide_is_read():
    guide = Path(__file__).parents[2] / "docs" / "language.md"
    blocks = re.findall(r"```cascade\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        assert parse(to_text(parse(block))) == parse(block)


# Cheap to import ----------------------------------------------------------------------------------


def loaded_by(statement):
    """Which of the heavy packages a fresh interpreter has loaded after a statement."""
    heavy = ("numpy", "lark", "networkx", "matplotlib", "pydantic")
    code = f"{statement}\nimport sys\nprint(*[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_importing_the_language_loads_nothing_heavy():
    assert loaded_by("import einfall.einsum_cascades") == []


def test_reading_a_cascade_loads_the_parser_only():
    reads = "from einfall.einsum_cascades import load, to_text; to_text(load('attention_1pass'))"
    assert loaded_by(reads) == ["lark"]
