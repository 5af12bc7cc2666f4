"""Batches of neighbourhood problems: every row answered or named, with its line."""

import csv
from pathlib import Path

import pytest

from einfall.report.bounds import cases_csv
from einfall.scenarios.mask_cases import ANSWERS, CasesError, answer_cases

VECTORS = Path(__file__).parents[1] / "golden" / "gna_vectors.csv"


@pytest.fixture
def cases(tmp_path):
    def write(text):
        path = tmp_path / "cases.csv"
        path.write_text(text, encoding="utf-8")
        return answer_cases(path)

    return write


def test_all_vectors_agree_in_every_column(tmp_path):
    lines = [line for line in VECTORS.read_text().splitlines() if not line.startswith("#")]
    path = tmp_path / "vectors.csv"
    path.write_text("\n".join(lines) + "\n")
    wanted = list(csv.DictReader(lines))
    found = answer_cases(path)
    assert (found.problems, found.remarks) == ((), ())
    ours = list(csv.DictReader(cases_csv(found).splitlines()))
    assert len(ours) == len(wanted) == 515
    for row, want in zip(ours, wanted, strict=True):
        columns = [name for name in row if name in want]
        assert len(columns) == len(ANSWERS)  # all but fully_block_sparse, and case_id
        assert {n: row[n] for n in columns} == {n: want[n] for n in columns}


def test_what_may_be_left_out(cases):
    found = cases("input,window,q_tile,kv_tile\n9,3,4,2\n")
    assert found.rows[0]["case_id"] == "1"
    assert found.rows[0]["attended_pairs"] == 27


def test_wrong_rows_are_named_and_the_others_answered(cases):
    found = cases(
        "case_id,input,window,stride,dilation,causal,q_tile,kv_tile\n"
        "ok,9,3,1,1,0,4,2\n"
        "window,9,10,1,1,0,4,2\n"
        "stride,9,3,4,1,0,4,2\n"
        "dilation,9,3,1,4,0,4,2\n"
        "tile,9,3,1,1,0,0,2\n"
        "dims,9x9,3,1,1,0,4,2\n"
        "causal,9,3,1,1,2,4,2\n"
        "words,nine,3,1,1,0,4,2\n"
        "cells,9,3\n"
        "last,9,3,3,3,1,4,2\n"
    )
    assert [row["case_id"] for row in found.rows] == ["ok", "last"]
    lines = [problem.split(":")[1:3] for problem in found.problems]
    where = [(int(line), text.split()[0]) for line, text in lines]
    assert where[:5] == [
        (3, "window"),
        (4, "stride"),
        (5, "dilation"),
        (6, "q_tile"),
        (7, "window"),
    ]
    assert {line for line, _ in where} == {3, 4, 5, 6, 7, 8, 9, 10}
    assert all("wanted" in problem and "found" in problem for problem in found.problems)


def test_columns_that_are_not_known_are_ignored_with_a_remark(cases):
    found = cases("input,window,q_tile,kv_tile,colour\n9,3,4,2,red\n")
    assert len(found.rows) == 1
    assert "colour" in found.remarks[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty file"),
        ("input,window\n9,3\n", "q_tile, kv_tile"),
        ("input,window,q_tile,kv_tile,window\n9,3,4,2,3\n", "found it twice"),
        ('input,window,q_tile,kv_tile\n"9,3,4,2\n', "CSV"),
    ],
)
def test_a_file_that_is_no_table_of_problems(cases, text, says):
    with pytest.raises(CasesError, match=says):
        cases(text)
