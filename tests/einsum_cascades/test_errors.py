"""What the reader says about texts that are wrong: every problem, with its line and column."""

import pytest

from einfall.einsum_cascades import CascadeError, parse

GOOD = """\
cascade small
ranks B batch, H heads, G kv_heads, P queries, M keys, E head_dim, F value_dim
group H -> G
split M -> M1, M0
input Q[b,h,p,e], K[b,g,m,e], V[b,g,m,f]
output AV
init RM[b,h,0,p] = -inf
QK[b,h,m1,m0,p] = Q[b,h,p,e] * K[b,g,m1,m0,e]
LM[b,h,m1,p] = max_m0 QK[b,h,m1,m0,p]
RM[b,h,m1+1,p] = max(RM[b,h,m1,p], LM[b,h,m1,p])
SN[b,h,m1,m0,p] = exp(QK[b,h,m1,m0,p] - RM[b,h,m1+1,p])
AV[b,h,p,f] = SN[b,h,m1,m0,p] * V[b,g,m1,m0,f]
"""
LINES = GOOD.splitlines()


def problems(text):
    with pytest.raises(CascadeError) as error:
        parse(text, "small.cascade")
    return list(error.value.problems)


def test_the_text_is_good_before_it_is_damaged():
    assert parse(GOOD).name == "small"


# (line, what stands there, what is put in its place, the problems from "line:column:" on)
DAMAGE = {
    # Syntax
    "bracket left open": (
        (8, "QK[b,h,m1,m0,p] =", "QK[b,h,m1,m0,p ="),
        ["8:16: wanted ',' or ']', found '='; the form is `AV[p,f] = A[p,m] * V[m,f]`"],
    ),
    "call left open": (
        (11, "RM[b,h,m1+1,p])", "RM[b,h,m1+1,p]"),
        ["11:55: wanted ',' or ')', found the end of the line; the form is"],
    ),
    "no operand": (
        (12, "* V", "* * V"),
        ["12:33: wanted an expression, found '*'; the form is"],
    ),
    "no operator": (
        (12, "* V", "V"),
        ["12:31: wanted an operator or the end of the line, found 'V'; the form is"],
    ),
    "keyword misspelt": (
        (2, "ranks", "rank"),
        ["2:1: wanted a statement or a tensor, found 'rank'; did you mean ranks?"],
    ),
    "no arrow": (
        (3, "H -> G", "H G"),
        ["3:9: wanted '->', found 'G'; the form is `group H -> G`"],
    ),
    "half a split": (
        (4, "M1, M0", "M1"),
        ["4:14: wanted ',', found the end of the line; the form is `split M -> M1, M0`"],
    ),
    "mask without quotes": (
        (4, "M1, M0", "M1, M0\nmask P, M causal"),
        ["5:11: wanted a text in double quotes or ',', found 'causal'; the form is `mask P, M"],
    ),
    "mask of an unknown family": (
        (4, "M1, M0", 'M1, M0\nmask P, M "cusal"'),
        ["5:11: mask: "],
    ),
    "two masks": (
        (4, "M1, M0", 'M1, M0\nmask P, M "causal"\nmask P, M "causal"'),
        ["6:11: wanted one `mask` line, found another; remove one"],
    ),
    "mask over a part": (
        (4, "M1, M0", 'M1, M0\nmask P, M1 "causal"'),
        ["5:6: wanted a whole rank, found M1, a part of M; write M"],
    ),
    "mask over ranks that are not there": (
        (4, "M1, M0", 'M1, M0\nmask X, M, G "causal"'),
        [
            "5:6: wanted a rank that is declared, found X; declare it: `ranks X word`",
            "5:6: wanted a rank of its own, found G, which follows H; write H",
        ],
    ),
    "mask over one rank": (
        (4, "M1, M0", 'M1, M0\nmask P, P "causal"'),
        ["5:6: wanted different ranks for queries, keys and heads, found P, P, H"],
    ),
    "mask that leaves out nothing": (
        (4, "M1, M0", 'M1, M0\nmask E, F "causal"'),
        ["5:6: wanted an Einsum over both E and F, found none; remove the mask, it leaves"],
    ),
    "rank without its word": (
        (2, "P queries", "P"),
        ["2:38: wanted a word in lower case, found ','; the form is `ranks P queries, M keys`"],
    ),
    "rank in lower case": (
        (2, "P queries", "p queries"),
        ["2:37: wanted a rank such as M1, found 'p'; the form is"],
    ),
    "text without quotes": (
        (1, "small", "small\nabout Attention"),
        ["2:7: wanted a text in double quotes, found 'Attention'; the form is `about \"One"],
    ),
    "text without an end": (
        (1, "small", 'small\nabout "Attention'),
        ["2:7: wanted a text in double quotes, found '\"'; the form is"],
    ),
    "two statements in a line": (
        (6, "output AV", "output AV; output SN"),
        ["6:10: wanted ',' or the end of the line, found ';'; the form is `output AV`"],
    ),
    "tensor in lower case": (
        (8, "= Q[", "= q["),
        ["8:20: wanted '(', found '['; a tensor begins with a capital letter: Q[…]"],
    ),
    "nested reduction": (
        (11, "QK[b,h,m1,m0,p] -", "max_m0 QK[b,h,m1,m0,p] -"),
        ["11:23: wanted an expression, found 'max_m0'; a reduction stands right"],
    ),
    "reduction without its rank": (
        (9, "max_m0 QK", "max QK"),
        ["9:20: wanted '(', found 'QK'; to reduce over a rank write max_m X[m]"],
    ),
    "no cascade line": (
        (1, "cascade small", ""),
        ["1:1: wanted a line `cascade name`, found none; begin with one"],
    ),
    "two cascade lines": (
        (1, "small", "small\ncascade large"),
        ["2:9: wanted one `cascade` line, found another; remove one"],
    ),
    # Ranks
    "unknown coordinate": (
        (8, "Q[b,h,p,e]", "Q[b,h,p,z]"),
        ["8:27: wanted the coordinate of a rank in Q, found 'z'; declare it: `ranks Z word`"],
    ),
    "coordinate misspelt": (
        (9, "m1,m0,p]", "mm1,m0,p]"),
        ["9:30: wanted the coordinate of a rank in QK, found 'mm1'; did you mean m1?"],
    ),
    "rank declared twice": (
        (2, "E head_dim", "E head_dim, E width"),
        ["2:68: wanted a new rank, found E again; remove one"],
    ),
    "rank never used": (
        (2, "E head_dim", "E head_dim, D model_dim"),
        ["2:68: wanted a tensor with rank D, found none; remove it"],
    ),
    "group of an unknown rank": (
        (3, "H -> G", "HH -> G"),
        [
            "3:7: wanted a rank that is declared, found HH; did you mean H?",
        ],
    ),
    "group of a split rank": (
        (3, "H -> G", "H -> G\ngroup P -> M"),
        ["4:7: wanted a rank that is not split, found M; group or split it"],
    ),
    "group given twice": (
        (3, "H -> G", "H -> G\ngroup P -> G"),
        ["4:7: wanted one group that gives G, found another"],
    ),
    "group of a group": (
        (3, "H -> G", "H -> G\ngroup G -> B"),
        ["4:7: wanted no group of a group, found G -> B"],
    ),
    "group of itself": (
        (3, "H -> G", "H -> G\ngroup P -> P"),
        ["4:7: wanted two ranks, found P twice"],
    ),
    "split of a part": (
        (4, "M1, M0", "M1, M0\nsplit M1 -> M3, M2"),
        ["5:7: wanted a whole rank, found M1, a part of M"],
    ),
    "split given twice": (
        (4, "M1, M0", "M1, M0\nsplit M -> M3, M2"),
        ["5:7: wanted one split of M, found another; remove one"],
    ),
    "part with the name of a rank": (
        (4, "M1, M0", "M1, M0\nsplit P -> P1, E"),
        ["5:7: wanted a new rank, found E again; only the split declares it"],
    ),
    "input over a part": (
        (5, "Q[b,h,p,e]", "Q[b,h,p,e], W[m1]"),
        [
            "5:19: wanted an Einsum that reads the input W, found none; remove it",
            "5:21: wanted whole ranks in an input, found m1; write m",
        ],
    ),
    "input at a step": (
        (5, "Q[b,h,p,e]", "Q[b,h,p+1,e]"),
        ["5:13: wanted a plain coordinate such as m, found p+1; an input is whole"],
    ),
    # Accesses
    "upper case where no iterative rank ends": (
        (8, "Q[b,h,p,e]", "Q[B,h,p,e]"),
        ["8:21: wanted b, found B, the end of an iterative rank; Q is not written at b+1, write b"],
    ),
    "upper case on the left": (
        (12, "AV[b,h,p,f]", "AV[b,H,p,f]"),
        ["12:6: wanted a coordinate that runs over its rank, found H; write h"],
    ),
    "constant on the left": (
        (12, "AV[b,h,p,f]", "AV[0,h,p,f]"),
        ["12:4: wanted a coordinate that runs over its rank, found 0; only an init begins at 0"],
    ),
    "too few coordinates": (
        (8, "Q[b,h,p,e]", "Q[b,h,p]"),
        ["8:19: wanted 4 coordinates of Q, found Q[b,h,p]; it is Q[b,h,p,e]"],
    ),
    "coordinate of another rank": (
        (8, "Q[b,h,p,e]", "Q[b,h,f,e]"),
        ["8:25: wanted p of Q, found f; it is Q[b,h,p,e]"],
    ),
    "head where its group is wanted": (
        (8, "K[b,g,", "K[b,h,"),
        ["8:36: wanted g of K, found h; write g, it follows h"],
    ),
    "coordinate twice": (
        (8, "K[b,g,m1,m0,e]", "K[b,g,m1,m1,e]"),
        [
            "8:32: wanted 4 coordinates of K, found K[b,g,m1,m1,e]; it is K[b,g,m,e]",
            "8:41: wanted independent coordinates in K, found m1 beside m1; give it a rank",
        ],
    ),
    "whole rank beside its parts": (
        (12, "V[b,g,m1,m0,f]", "V[b,g,m,f]"),
        ["12:1: wanted either m or m1,m0, found both; write m1,m0 for m"],
    ),
    "gathered from one part": (
        (12, "AV[", "ZZ[b,h,m,p] = exp(LM[b,h,m1,p])\nAV["),
        ["12:1: wanted m1 and m0 on the right to gather m, found one of them"],
    ),
    "step that is not written": (
        (11, "QK[b,h,m1,", "QK[b,h,m1+1,"),
        ["11:30: wanted m1 of QK, found m1+1; it is not written at m1+1"],
    ),
    "step before the first": (
        (10, "max(RM[b,h,m1,p]", "max(RM[b,h,m1-1,p]"),
        ["10:29: wanted m1 or m1+1 of RM, found m1-1; its steps begin at 0"],
    ),
    "two steps at once": (
        (10, "RM[b,h,m1+1,p] =", "RM[b,h,m1+2,p] ="),
        ["10:8: wanted m1 or m1+1 on the left, found m1+2; an iterative rank moves one step"],
    ),
    "two iterative ranks": (
        (10, "RM[b,h,m1+1,p] =", "RM[b,h,m1+1,p+1] ="),
        [
            "7:6: wanted RM[b,h,0,0] in its init, found RM[b,h,0,p]",
            "10:1: wanted one iterative rank in RM, found M1 and P; give each an Einsum of its own",
        ],
    ),
    "steps over an inner part": (
        (12, "AV[b,h,p,f] = SN", "ZZ[m0+1] = 1\ninit ZZ[0] = 0\nAV[b,h,p,f] = SN"),
        ["12:4: wanted a whole rank or an outer part to iterate over, found the inner part of a"],
    ),
    # Operations and reductions
    "unknown operation": (
        (11, "exp(", "expp("),
        ["11:19: wanted an operation, found 'expp'; did you mean exp?"],
    ),
    "operation unlike any other": (
        (11, "exp(", "zzz("),
        ["11:19: wanted an operation, found 'zzz'; there are neg, add, sub"],
    ),
    "reduction as an operation": (
        (11, "exp(", "sum("),
        ["11:19: wanted the rank of the reduction 'sum', found none; write sum_m X[m]"],
    ),
    "too few arguments": (
        (10, ", LM[b,h,m1,p])", ")"),
        ["10:18: wanted 2 arguments of max, found 1; to reduce write max_m X[m]"],
    ),
    "too many arguments": (
        (11, "exp(", "exp(1, "),
        ["11:19: wanted 1 argument of exp, found 2"],
    ),
    "unknown reduction": (
        (9, "max_m0", "mox_m0"),
        ["9:16: wanted a reduction, found 'mox'; did you mean max?"],
    ),
    "no reduction": (
        (9, "max_m0 QK", "QK"),
        ["9:1: wanted a reduction with its rank, found m0 only on the right; write sum_m0 …"],
    ),
    "reduction that forgets a rank": (
        (9, "LM[b,h,m1,p] =", "LM[b,h,m1] ="),
        [
            "9:1: wanted a reduction with its rank, found p only on the right; write max_{m0,p} …",
            "10:36: wanted 3 coordinates of LM, found LM[b,h,m1,p]; it is LM[b,h,m1]",
        ],
    ),
    "reduction of a rank that stays": (
        (9, "max_m0", "max_{m0,p}"),
        ["9:16: wanted the reduced p on the right only, found LM[b,h,m1,p]"],
    ),
    "reduction of a rank that is not there": (
        (9, "max_m0", "max_{m0,f}"),
        ["9:16: wanted a rank of the right-hand side to reduce, found f"],
    ),
    "reduction of an unknown rank": (
        (9, "max_m0", "max_{m0,z}"),
        ["9:16: wanted a rank to reduce, found 'z'; declare it"],
    ),
    "reduction of a rank twice": (
        (9, "max_m0", "max_{m0,m0}"),
        ["9:16: wanted each rank to reduce once, found m0 twice"],
    ),
    "rank on the left only": (
        (12, "AV[b,h,p,f]", "AV[b,h,p,f,e]"),
        ["12:12: wanted e of AV in an operand, found it on the left only; drop it or"],
    ),
    "reduction into groups": (
        (9, "LM[b,h,m1,p] = max_m0", "LM[b,g,m1,p] = max_{m0,h}"),
        [
            "9:1: wanted h on the left, for g follows it, found g; split H to reduce in groups",
            "10:41: wanted",
        ],
    ),
    # Definitions and order
    "undefined tensor": (
        (12, "= SN[", "= SNN["),
        ["12:15: wanted a tensor that is defined, found SNN; did you mean SN?"],
    ),
    "output that is not defined": (
        (6, "AV", "AW"),
        ["6:8: wanted a tensor that is defined, found AW; did you mean AV?"],
    ),
    "input as output": (
        (6, "AV", "AV, Q"),
        ["6:12: wanted a tensor that is computed, found the input Q"],
    ),
    "input that nothing reads": (
        (5, "V[b,g,m,f]", "V[b,g,m,f], BIAS[h]"),
        ["5:43: wanted an Einsum that reads the input BIAS, found none; remove it"],
    ),
    "tensor that no output needs": (
        (12, "AV[", "ZZ[b] = max_{h,m1,p} LM[b,h,m1,p]\nAV["),
        ["12:1: wanted an output that needs ZZ, found none; remove it or name it as an output"],
    ),
    "tensor defined twice": (
        (9, "LM[", "LM[b,h,m1,p] = min_m0 QK[b,h,m1,m0,p]\nLM["),
        ["10:1: wanted one definition of LM, found another on line 9; rename one"],
    ),
    "iterative tensor without init": (
        (7, "init RM[b,h,0,p] = -inf", ""),
        ["10:1: wanted an init of the iterative RM, found none; add `init RM[b,h,0,p] = 0`"],
    ),
    "init of another shape": (
        (7, "RM[b,h,0,p]", "RM[b,h,p,0]"),
        ["7:6: wanted RM[b,h,0,p] in its init, found RM[b,h,p,0]"],
    ),
    "init given twice": (
        (7, "-inf", "-inf\ninit RM[b,h,0,p] = 0"),
        ["8:6: wanted one init of RM, found another on line 7; rename one"],
    ),
    "init of a tensor without steps": (
        (7, "-inf", "-inf\ninit LM[b,h,0,p] = 0"),
        ["8:6: wanted an iterative tensor after init, found LM; write it at m+1, or drop the init"],
    ),
    "init that reads a result": (
        (7, "-inf", "max_m1 LM[b,h,m1,p]"),
        ["7:27: wanted inputs and numbers in an init, found LM[b,h,m1,p]; an init runs before"],
    ),
    "use before definition": (
        (8, "QK[b,h,m1,m0,p] =", "LL[b] = max_{h,m1,m0,p} QK[b,h,m1,m0,p]\nQK[b,h,m1,m0,p] ="),
        ["8:25: wanted QK defined before it is read, found it on line 9; move that line up"],
    ),
    "reading the step that is written": (
        (10, "max(RM[b,h,m1,p]", "max(RM[b,h,m1+1,p]"),
        ["10:22: wanted RM to need earlier steps only, found itself behind RM[b,h,m1+1,p]"],
    ),
    "a circle": (
        (9, "QK[", "SN["),
        ["9:23: wanted LM to need earlier steps only, found itself behind SN[b,h,m1,m0,p]"],
    ),
}


@pytest.mark.parametrize(("damage", "wanted"), DAMAGE.values(), ids=list(DAMAGE))
def test_every_problem_has_its_place_and_its_words(damage, wanted):
    line, good, bad = damage
    assert LINES[line - 1].count(good) == 1
    damaged = [*LINES[: line - 1], LINES[line - 1].replace(good, bad), *LINES[line:]]
    found = problems("\n".join(damaged))
    assert len(found) == len(wanted), found
    for problem, beginning in zip(found, wanted, strict=True):
        assert problem.startswith(f"small.cascade:{beginning}")


def test_an_empty_text():
    assert (
        problems("")
        == problems("# nothing but a comment\n\n")
        == [
            "small.cascade:1:1: wanted a line `cascade name`, found none; begin with one",
            "small.cascade:1:1: wanted at least one Einsum, found none; "
            "add one such as `AV[p,f] = A[p,m] * V[m,f]`",
        ]
    )


def test_all_problems_come_at_once_in_the_order_of_the_text():
    text = GOOD.replace("Q[b,h,p,e] *", "Q[b,h,p,z] *").replace("exp(", "expp(")
    places = [problem.split(": ")[0] for problem in problems(text.replace("output AV", "output X"))]
    assert places == ["small.cascade:6:8", "small.cascade:8:27", "small.cascade:11:19"]


def test_a_broken_statement_does_not_hide_the_problems_of_others():
    """The scores of line 8 cannot be read, so nothing is said of who reads them; line 11 is."""
    text = GOOD.replace("K[b,g,m1,m0,e]", "K[b,g,m1,m0,e").replace("exp(", "expp(")
    assert [problem.split(": ")[0] for problem in problems(text)] == [
        "small.cascade:8:45",
        "small.cascade:11:19",
    ]


def test_an_open_bracket_ends_where_the_next_statement_begins():
    text = GOOD.replace("[b,g,m1,m0,e]", "[b,g,m1,m0,")
    assert [problem.split(": ")[0] for problem in problems(text)] == ["small.cascade:8:44"]


def test_two_tensors_that_need_each_other_need_steps():
    text = "cascade c\nranks P queries\ninput A[p]\nX[p] = Y[p]\nY[p] = X[p] + A[p]\n"
    assert problems(text) == [
        "small.cascade:4:8: wanted X to need earlier steps only, found itself behind Y[p]; "
        "write it at m+1, and add an init"
    ]


def test_a_step_does_not_need_the_last_one():
    text = (
        "cascade c\nranks P queries\ninput A[p]\noutput T\ninit X[0] = 0\ninit Y[0] = 0\n"
        "X[p+1] = X[p] + Y[p]\nT[] = X[P]\nY[p+1] = Y[p] + A[p] * T[]\n"
    )
    why = "X and T and Y feed each other step by step"
    assert problems(text) == [
        f"small.cascade:8:1: wanted p on the left of T, found T[]; {why}",
        f"small.cascade:8:7: wanted X at p or p+1, found X[P]; {why}",
        f"small.cascade:9:24: wanted T at p or p+1, found T[]; {why}",
    ]


def test_einsums_that_step_together_step_along_one_rank():
    text = (
        "cascade c\nranks P queries, M keys\ninput A[p,m]\noutput Y\n"
        "init X[0,m] = 0\ninit Y[p,0] = 0\n"
        "X[p+1,m] = X[p,m] + Y[p,m]\nY[p,m+1] = Y[p,m] + X[p,m] + A[p,m]\n"
    )
    assert problems(text) == [
        "small.cascade:7:1: wanted one iterative rank in X and Y, found M, P; "
        "they read each other, so they step together"
    ]


def test_a_cascade_in_which_all_is_read_names_its_output():
    text = (
        "cascade c\nranks P queries\ninput A[p]\ninit X[0] = 0\n"
        "X[p+1] = X[p] + Y[p]\ninit Y[0] = 0\nY[p+1] = X[p] + A[p]\n"
    )
    assert problems(text) == [
        "small.cascade:5:1: wanted a tensor that no other one reads as output, found none; "
        "name an output"
    ]
    assert parse(text + "output Y\n").outputs == ("Y",)
