"""Passes: the paper's classes from text, and random cascades against sweeps carried out."""

import itertools
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_cascades import WINDOWS, cascades, sizes_of

from einfall.einsum_cascades.einsum import Access, Apply, Cascade, Einsum, Index, Rank
from einfall.einsum_cascades.language import parse
from einfall.einsum_cascades.library import load, names
from einfall.einsum_cascades.passes import (
    PassError,
    analyze_passes,
    carried,
    fusable,
    fusion_conflict,
    levels,
    pass_of,
    rank_passes,
    taxonomy,
    visits,
)

# FuseMax (MICRO 2024), table 1 and section 3: classes of attention; and section 2 on deferral.
CLASSES = {
    "attention_3pass": "3-pass",
    "attention_3pass_deferred": "2-pass",
    "attention_2pass": "2-pass",
    "attention_1pass": "1-pass",
}


@pytest.mark.parametrize(("name", "expected"), CLASSES.items())
def test_classes_of_the_paper_follow_from_the_text(name, expected):
    assert taxonomy(load(name)) == expected
    assert f"{analyze_passes(load(name))['M'].passes}-pass" == expected


def test_passes_of_each_einsum_of_the_3_pass_cascade():
    """The column "pass on M" of the paper's unfused cascade."""
    found = analyze_passes(load("attention_3pass"))["M"]
    assert dict(found.level) == {"QK": 1, "GM": 1, "SN": 2, "SD": 2, "A": 3, "AV": 3}


def test_passes_of_each_einsum_of_the_2_pass_cascade():
    found = analyze_passes(load("attention_2pass"))["M"]
    assert dict(found.level) == {"BQK": 1, "LM": 1, "SLN": 1, "SLD": 1, "A": 2, "AV": 2}


def test_the_chain_says_why():
    assert analyze_passes(load("attention_3pass"))["M"].why == (
        "pass 2: SN reads GM, which needs all of m of QK; "
        "pass 3: A reads SD, which needs all of m of SN"
    )
    assert analyze_passes(load("attention_2pass"))["M"].why == (
        "pass 2: A reads PLM, which needs GM, which needs all of m of LM"
    )
    one = analyze_passes(load("attention_1pass"))["M"]
    assert one.chain == ()
    assert one.why == "pass 1: nothing has to see all of m before it is read again"


def test_two_rewrites_of_the_paper_save_a_pass():
    """Y = sum A·B, Z = sum Y·A: two passes over K; deferring Y or iterating makes it one."""
    head = "cascade toy\nranks K keys\ninput A[k], B[k]\noutput Z\n"
    plain = "Y[] = A[k] * B[k]\nZ[] = Y[] * A[k]"
    deferred = "Y[] = A[k] * B[k]\nX[] = sum_k A[k]\nZ[] = Y[] * X[]"
    iterated = """
        init RY[0] = 0
        init RZ[0] = 0
        RY[k+1] = RY[k] + A[k] * B[k]
        RZ[k+1] = RZ[k] * RY[k+1] / RY[k] + RY[k+1] * A[k]
        Z[] = RZ[K] * 1
    """
    assert [taxonomy(parse(head + text)) for text in (plain, deferred, iterated)] == [
        "2-pass",
        "1-pass",
        "1-pass",
    ]


def test_the_last_value_of_a_running_one_is_complete():
    cascade = parse("""
        cascade normalised
        ranks K keys
        input A[k]
        init R[0] = 0
        R[k+1] = R[k] + A[k]
        Z[k] = A[k] / R[K]
    """)
    found = analyze_passes(cascade)["K"]
    assert found.passes == 2
    assert found.why == "pass 2: Z reads R, which needs all of k of A"


def test_a_summary_of_the_tiles_does_not_make_a_pass():
    """Page summaries that come as an input are read before the keys, not by a pass over them."""
    cascade = parse(
        """
        cascade gated
        ranks M keys
        split M -> M1, M0
        input K[m], V[m]
        LM[m1] = max_m0 K[m1,m0]
        GM[] = max_m1 LM[m1]
        PLM[m1] = exp(LM[m1] - GM[])
        Z[m1] = PLM[m1] / GM[]
    """.replace(", V[m]", "")
    )
    found = analyze_passes(cascade)["M"]
    assert found.passes == 1
    assert dict(found.level) == {"LM": 1}
    assert levels(cascade, "M") == {"LM": 1, "GM": 1, "PLM": 1, "Z": 1}


def test_a_summary_of_the_second_pass_streams():
    """PLM needs GM of pass 1 and L2, a value of each tile in pass 2: Y need not wait for pass 3."""
    cascade = parse("""
        cascade second
        ranks M keys
        split M -> M1, M0
        input K[m]
        GM[] = max_{m1,m0} K[m1,m0]
        SN[m1,m0] = exp(K[m1,m0] - GM[])
        L2[m1] = sum_m0 SN[m1,m0]
        PLM[m1] = L2[m1] - GM[]
        Y[m1,m0] = SN[m1,m0] / PLM[m1]
    """)
    assert analyze_passes(cascade)["M"].passes == 2


def test_passes_over_a_grouped_rank():
    """Softmax over heads: a value over g streams along h, a sum over h does not."""
    cascade = parse("""
        cascade groups
        ranks H heads, G kv_heads
        group H -> G
        input X[h], W[g]
        U[g] = exp(W[g])
        Y[h] = X[h] * U[g]
        S[] = sum_h Y[h]
        T[] = sum_g U[g]
        Z[h] = Y[h] / S[] + T[]
    """)
    found = analyze_passes(cascade)
    assert found["H"].passes == found["G"].passes == 2
    assert dict(found["H"].level) == {"Y": 1, "S": 1, "Z": 2}
    assert dict(found["G"].level) == {"U": 1, "Y": 1, "S": 1, "T": 1, "Z": 2}
    assert visits(cascade, "H")["U"] == (((1, 0), ("U", "T", "Y")),)


def test_a_value_over_queries_that_is_read_over_keys_is_complete():
    """Self-attention on a computed input: no query is done before all tokens have been read."""
    text = """
        cascade self
        ranks P queries, M queries
        input X[p]
        Y[p] = exp(X[p])
        K[m] = Y[m] * 2
        Z[p] = sum_m Y[p] * K[m]
    """
    cascade = parse(text)
    found = analyze_passes(cascade)
    assert (found["P"].passes, found["M"].passes) == (2, 1)
    assert found["P"].why == "pass 2: Z reads K, which needs all of p of Y"
    assert visits(cascade, "P")["Y"] == (((1, 0), ("Y",)), ((2, 0), ("Z", "K")))
    without = visits(parse(text.replace("Y[p] *", "X[p] *")), "P")["Y"]
    assert without == (((1, 0), ("Y",)), ((1, 1), ("K",)))


def test_a_direct_read_along_another_rank_is_complete_too():
    cascade = parse("""
        cascade self
        ranks P queries, M queries
        input X[p], W[m]
        Y[p] = exp(X[p])
        Z[p] = X[p] * Y[m] * W[m]
    """)
    assert analyze_passes(cascade)["P"].why == "pass 2: Z needs all of p of Y"


def test_the_chain_goes_through_running_values():
    """R is a running value of pass 2 that B, a summary after pass 1, reads before it is defined."""
    cascade = parse("""
        cascade t
        ranks M keys
        split M -> M1, M0
        input K[m]
        init R[0] = 0
        LM[m1] = max_m0 K[m1,m0]
        GM[] = max_m1 LM[m1]
        PLM[m1] = exp(LM[m1] - GM[])
        B[m1] = PLM[m1] * R[m1]
        A[m1,m0] = K[m1,m0] * B[m1]
        S[m1] = sum_m0 A[m1,m0]
        R[m1+1] = R[m1] + S[m1]
        Z[m1,m0] = A[m1,m0] / R[M1]
    """)
    assert analyze_passes(cascade)["M"].why == (
        "pass 2: A reads B, which needs GM, which needs all of m of LM; "
        "pass 3: Z reads R, which needs all of m of S"
    )


def test_passes_over_a_rank_are_those_within_one_step_of_another():
    """A normalisation in each step of an iteration: two passes a step, however many steps."""
    cascade = parse("""
        cascade power
        ranks I steps, N tokens
        input X[n]
        init V[0,n] = X[n]
        S[i] = sum_n V[i,n]
        V[i+1,n] = V[i,n] / S[i]
        Y[n] = V[I,n] * 1
    """)
    found = analyze_passes(cascade)
    assert (found["N"].passes, found["I"].passes) == (2, 1)
    assert carried(cascade, cascade.by_name["S"].operands[0]) == "I"
    assert carried(cascade, cascade.by_name["Y"].operands[0]) is None


def test_the_class_without_a_sequence_is_the_most_passes_over_any_rank():
    text = """
        cascade norm
        ranks N rows, D inner
        input X[n,d]
        MU[n] = mean_d X[n,d]
        Y[n,d] = X[n,d] - MU[n]
    """
    assert taxonomy(parse(text)) == "2-pass"
    assert taxonomy(parse(text.replace("rows", "tokens"))) == "1-pass"


def test_passes_over_the_inner_part_are_looks_at_one_tile():
    """In each tile of the 1-pass cascade the maximum comes before the exponential."""
    found = rank_passes(load("attention_1pass"), "M0")
    assert found.why == "pass 2: SLN reads RM, which needs LM, which needs all of m0 of BQK"


def test_a_part_and_its_whole_rank_are_one():
    cascade = parse("""
        cascade gathered
        ranks M keys
        split M -> M1, M0
        input K[m]
        W[m] = exp(K[m1,m0])
        Z[m1,m0] = W[m1,m0] * 2
    """)
    assert [rank_passes(cascade, rank).passes for rank in ("M", "M0")] == [1, 1]
    assert visits(cascade, "M0")["W"] == (((1, 0), ("W", "Z")),)


def test_a_tile_loop_of_the_1_pass_cascade_holds_all_but_the_last_division():
    cascade = load("attention_1pass")
    loop = [e.name for e in cascade.einsums if e.name != "AV"]
    assert fusable(cascade, loop, "M")
    assert fusion_conflict(cascade, [*loop, "AV"], "M") == "AV reads RNV, which needs all of m"


def test_passes_do_not_fuse():
    cascade = load("attention_3pass")
    assert fusable(cascade, ["SN", "SD"], "M")
    assert fusion_conflict(cascade, ["GM", "SN"], "M") == "SN reads GM, which needs all of m"
    assert fusable(cascade, [e.name for e in cascade.einsums], "P")


def test_what_stands_between_has_to_be_in_the_loop_too():
    conflict = fusion_conflict(load("attention_1pass"), ["BQK", "SLN"], "M")
    assert conflict == "SLN reads RM, and RM reads LM, and LM, which reads BQK, is not in the loop"


def test_a_running_value_may_not_be_left_out_of_the_loop():
    """RD, between SLD and SPD of the next step, is defined after SPD."""
    conflict = fusion_conflict(load("attention_1pass"), ["SLD", "SPD"], "M")
    assert conflict == "SPD reads RD, and RD, which reads SLD, is not in the loop"


def test_pass_of_counts_einsums_that_do_not_traverse_the_rank():
    cascade = load("attention_2pass")
    assert [pass_of(cascade, name, "M") for name in ("GM", "PLM", "A")] == [1, 1, 2]
    assert pass_of(load("encoder_layer"), "MU1", "H") == 0


def test_unknown_names_are_refused():
    cascade = load("matmul")
    with pytest.raises(PassError, match=r"wanted its Einsums \(Y\), found Z"):
        pass_of(cascade, "Z", "D")
    with pytest.raises(PassError, match="wanted one of its ranks, found 'Q'"):
        rank_passes(cascade, "Q")


def test_a_value_that_needs_its_own_end_is_refused():
    """The language refuses it too; here it is built by hand."""
    here, there, end = Index("K"), Index("K", offset=1), Index("K", end=True)
    step = Apply("add", (Access("R", (here,)), Access("R", (end,))))
    cascade = Cascade(
        name="loop",
        ranks=(Rank("K", "keys"),),
        inputs=(),
        outputs=("R",),
        einsums=(Einsum(Access("R", (there,)), step),),
    )
    with pytest.raises(PassError, match="cascade loop: R need all of k of themselves"):
        analyze_passes(cascade)


def check_chain(cascade):
    for rank, found in analyze_passes(cascade).items():
        assert [link.number for link in found.chain] == list(range(2, found.passes + 1))
        for link in found.chain:
            assert found.level[link.reader] == link.number
            assert link.reads in {a.tensor for a in cascade.by_name[link.reader].operands}
            makers = {link.completed_by, link.needs} & set(cascade.by_name)
            assert not all(fusable(cascade, [maker, link.reader], rank) for maker in makers)
            maker = cascade.by_name[link.completed_by]
            assert link.needs in {a.tensor for a in maker.operands}
            assert pass_of(cascade, link.completed_by, rank) == link.number - 1


@pytest.mark.parametrize("name", names())
def test_every_further_pass_of_the_library_has_a_reason(name):
    check_chain(load(name))


@settings(max_examples=100, deadline=None)
@given(cascades())
def test_every_further_pass_has_a_reason(cascade):
    check_chain(cascade)


class Sweeps:
    """A cascade carried out element by element in sweeps over one rank.

    One sweep visits the tiles of the rank in order. In each tile every point of an Einsum that
    traverses the rank is done if its operands are there; a value that does not move along the rank
    must be there since before the sweep. Points of summaries are done as soon as they can.
    """

    def __init__(self, cascade, rank, sizes):
        self.cascade, self.rank, self.sizes = cascade, rank, sizes
        self.left = Counter()
        self.finished = {}
        self.last = Counter()
        self.points = [p for e in cascade.einsums for p in self.points_of(e)]
        for point in self.points:
            self.left[point["writes"]] += 1

    def points_of(self, einsum):
        ranks = self.cascade.iteration_ranks(einsum)
        for values in itertools.product(*(range(self.sizes[r]) for r in ranks)):
            at = dict(zip(ranks, values, strict=True))
            if "M1" in at and "M0" in at:
                at["M"] = at["M1"] * self.sizes["M0"] + at["M0"]
                if at["M"] >= self.sizes["M"]:
                    continue
            elif "M" in at and "M1" in self.sizes:
                at["M1"], at["M0"] = divmod(at["M"], self.sizes["M0"])
            if "H" in at and "G" in self.sizes:
                at["G"] = at["H"] * self.sizes["G"] // self.sizes["H"]
            reads = [self.read(einsum, a, at) for a in einsum.operands]
            yield {
                "einsum": einsum.name,
                "at": at,
                "tile": at[self.tile()] if self.rank in at else None,
                "loop": at.get(self.tile()),
                "reads": [r for r in reads if r is not None],
                "writes": self.element(einsum.output, at),
            }

    def tile(self):
        outer = {"M": "M1", "H": "G"}.get(self.rank, self.rank)
        return outer if outer in self.sizes else self.rank

    def moving(self):
        return {self.rank, self.tile()} | ({"H"} if self.rank == "G" else set())

    def element(self, access, at):
        """Name and coordinates of an element, m1,m0 and m being the same."""
        where = {}
        for index in access.indices:
            last = self.sizes[index.rank] if index.end else at[index.rank] + index.offset
            where[index.rank] = last
        if "M1" in where and "M0" in where:
            where["M"] = where.pop("M1") * self.sizes["M0"] + where.pop("M0")
        return access.tensor, tuple(sorted(where.items()))

    def read(self, einsum, access, at):
        """An element read and whether it moves along the rank; None if it is at hand anyway."""
        producer = self.cascade.by_name.get(access.tensor)
        if producer is None:
            return None
        for written, index in zip(producer.output.indices, access.indices, strict=True):
            before = written.offset and index.varies and not index.offset
            if before and (written.rank not in self.moving() or at[index.rank] == 0):
                return None
        moves = any(i.varies and i.rank in self.moving() for i in access.indices)
        return self.element(access, at), moves

    def tiles(self):
        return range(self.sizes[self.tile()])

    def is_due(self, point, tile):
        return point["tile"] in (None, tile)

    def ready(self, point, sweep, between):
        return all(
            element in self.finished and (moves or between or self.finished[element] < sweep)
            for element, moves in point["reads"]
        )

    def do(self, tile, sweep, between=False):
        """Do every point of a tile (and of no tile) that is ready, until no more is."""
        progress = True
        while progress:
            progress = False
            waiting = []
            for point in self.points:
                if not (self.is_due(point, tile) and self.ready(point, sweep, between)):
                    waiting.append(point)
                    continue
                progress = True
                self.left[point["writes"]] -= 1
                if not self.left[point["writes"]]:
                    self.finished[point["writes"]] = sweep
                if point["tile"] is not None:
                    self.last[point["einsum"]] = sweep
            self.points = waiting

    def run(self):
        """The last sweep in which each Einsum that traverses the rank did a point."""
        self.do(None, 0, between=True)
        sweep = 0
        while self.points:
            sweep += 1
            assert sweep < 20, "no progress"
            for tile in self.tiles():
                self.do(tile, sweep)
            self.do(None, sweep, between=True)
        return dict(self.last)

    def one_loop(self, names):
        """Whether the named Einsums get done in one loop over the tiles, the others before it."""
        inside = [p for p in self.points if p["einsum"] in names]
        self.points = [p for p in self.points if p["einsum"] not in names]
        for tile in [*range(self.sizes[self.tile()])] * len(self.cascade.einsums):
            self.do(tile, 0, between=True)
        self.points = [p for p in inside]
        for tile in range(self.sizes[self.tile()]):
            later = [p for p in self.points if p["loop"] != tile]
            self.points = [p | {"tile": None} for p in self.points if p["loop"] == tile]
            self.do(None, 1)
            self.points += later
        return not self.points


class SlidingSweeps(Sweeps):
    """Sweeps in which the places of a window follow the map as soon as what lies under it is there.

    Map and places are swept together, except where an Einsum pairs them.
    """

    def __init__(self, cascade, rank, sizes):
        (self.window,) = cascade.windows
        ends = {self.window.rank, self.window.output}
        paired = any(ends <= set(cascade.iteration_ranks(e)) for e in cascade.einsums)
        self.tied = ends if rank in ends and not paired else {rank}
        super().__init__(cascade, rank, sizes)

    def moving(self):
        return super().moving() | self.tied

    def points_of(self, einsum):
        ranks = self.tied.intersection(self.cascade.iteration_ranks(einsum))
        for point in super().points_of(einsum):
            tile = next((point["at"][rank] for rank in ranks), point["tile"])
            yield point | {"tile": tile} if len(self.tied) > 1 else point

    def element(self, access, at):
        window = self.window
        for index in access.indices:
            if index.kernel:
                kernel, size = self.sizes[window.kernel], self.sizes[window.rank]
                before = {"same": kernel // 2, "full": kernel - 1}.get(window.mode, 0)
                at = at | {window.rank: at[window.output] + at[window.kernel] - before}
                if window.mode == "circular":
                    at[window.rank] %= size
        plain = [Index(window.rank) if i.kernel else i for i in access.indices]
        return super().element(Access(access.tensor, tuple(plain)), at)

    def read(self, einsum, access, at):
        found = super().read(einsum, access, at)
        outside = found and not 0 <= dict(found[0][1]).get(self.window.rank, 0) < self.sizes["I"]
        return None if outside else found

    def tiles(self):
        return range(max(self.sizes[rank] for rank in {self.tile(), *self.tied}))

    def is_due(self, point, tile):
        return point["tile"] is None or (tile is not None and point["tile"] <= tile)


def swept(cascade, rank):
    kind = SlidingSweeps if cascade.windows else Sweeps
    return kind(cascade, rank, sizes_of(cascade)).run()


@settings(max_examples=300, deadline=None)
@given(cascades() | cascades(windows=WINDOWS))
def test_passes_are_the_sweeps_that_it_takes(cascade):
    for rank, found in analyze_passes(cascade).items():
        sweeps = swept(cascade, rank)
        assert dict(found.level) == sweeps, rank
        assert found.passes == max(sweeps.values(), default=0)


@settings(max_examples=300, deadline=None)
@given(cascades(), st.data())
def test_einsums_are_fusable_if_one_loop_computes_them(cascade, data):
    rank = data.draw(st.sampled_from([r.symbol for r in cascade.ranks]))
    simulated = Sweeps(cascade, rank, sizes_of(cascade))
    loops = sorted({p["einsum"] for p in simulated.points if p["loop"] is not None})
    names = data.draw(st.lists(st.sampled_from(loops), unique=True)) if loops else []
    conflict = fusion_conflict(cascade, names, rank)
    assert fusable(cascade, names, rank) == (conflict is None) == simulated.one_loop(names), (
        conflict
    )


class Schedules:
    """All ways to put the Einsums of a small cascade into a sequence of loops over one rank."""

    def __init__(self, cascade, rank):
        self.cascade, self.rank = cascade, rank
        moving = {rank} | {s.outer for s in cascade.splits if s.rank == rank}
        moving |= {g.outer for g in cascade.groups if g.rank == rank}
        moving |= {g.rank for g in cascade.groups if g.outer == rank}
        self.moving = moving
        self.loops = {e.name: bool(moving & {*cascade.iteration_ranks(e)}) for e in cascade.einsums}
        spans = [{rank}, *({s.outer, s.inner} for s in cascade.splits if s.rank == rank)]
        spans += [{g.rank} for g in cascade.groups if g.outer == rank]
        self.traverses = {
            e.name: any(w <= {*cascade.iteration_ranks(e)} for w in spans) for e in cascade.einsums
        }

    def edges(self):
        """(maker, reader, loops that must lie between): 1 if the reader waits for the last tile."""
        order = {e.name: i for i, e in enumerate(self.cascade.einsums)}
        for reader in self.cascade.einsums:
            for access in reader.operands:
                if access.tensor not in order:
                    continue
                maker = self.cascade.by_name[access.tensor]
                before = order[access.tensor] >= order[reader.name]
                steps = zip(maker.output.indices, access.indices, strict=True)
                earlier = any(w.offset and i.varies and not i.offset for w, i in steps)
                if earlier and not set(maker.iterative_ranks) <= self.moving:
                    continue
                assert earlier or not before
                wait = self.loops[reader.name] and not self.moving & set(access.ranks)
                yield maker.name, reader.name, int(wait)

    def all(self, passes):
        """Every valid schedule with so few passes, as the loop of each Einsum."""
        names = list(self.loops)
        edges = list(self.edges())

        def extend(at):
            if len(at) == len(names):
                yield at
                return
            name = names[len(at)]
            for slot in range(int(self.loops[name]), len(names) + 1):
                new = at | {name: slot}
                used = {new[n] for n in new if self.traverses[n]}
                known = ((a, b, w) for a, b, w in edges if a in new and b in new)
                if len(used) <= passes and all(new[a] + w <= new[b] for a, b, w in known):
                    yield from extend(new)

        return extend({})

    def users(self, tensor):
        """The Einsums that make or read a tensor along the rank."""
        touched = {
            e.name: [e.output.ranks] * (e.name == tensor)
            + [a.ranks for a in e.operands if a.tensor == tensor]
            for e in self.cascade.einsums
        }
        return {n for n, accesses in touched.items() if any(self.moving & {*r} for r in accesses)}


@settings(max_examples=150, deadline=None)
@given(cascades(max_einsums=4), st.data())
def test_visits_are_the_fewest_over_all_schedules_with_the_fewest_passes(cascade, data):
    assume(len(cascade.einsums) <= 6)
    rank = data.draw(st.sampled_from([r.symbol for r in cascade.ranks]))
    schedules = Schedules(cascade, rank)
    every = list(schedules.all(analyze_passes(cascade)[rank].passes))
    assert every, "the passes that were found are too few"
    for tensor, found in visits(cascade, rank).items():
        users = schedules.users(tensor)
        assert users == {name for _, names in found for name in names}
        fewest = min(len({at[name] for name in users}) for at in every)
        assert len(found) == fewest, (tensor, found)
