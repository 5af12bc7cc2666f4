"""The data flow of a cascade as a networkx graph, and layers to draw it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einfall.einsum_cascades.passes import carried, levels, whole_ranks

if TYPE_CHECKING:
    import networkx as nx

    from einfall.einsum_cascades.einsum import Cascade


def graph(cascade: Cascade) -> nx.DiGraph:
    """Tensors as nodes, and an edge from each operand to the tensor that is made from it.

    Attributes of a node:
        kind: "input", "output", "state" (a running value that is no output) or "intermediate".
        ranks: Symbols of its ranks.
        passes: For each whole rank the earliest pass in which, or right after which, it is made;
            0 where it needs nothing of the rank, and for inputs.

    Attributes of an edge:
        accesses: The coordinates read, such as "RM[b,h,m1,p]"; several where it is read twice.
        carried: Whether a value of the step before is read.
        back: Whether the edge runs against the order of the cascade, as a running value read
            before its definition does. Without its back edges the graph has no cycle.

    >>> from einfall.einsum_cascades.library import load
    >>> graph(load("attention_1pass")).edges["RD", "SPD"]["back"]
    True
    """
    import networkx as nx

    order = {e.name: i for i, e in enumerate(cascade.einsums)}
    by_rank = {rank: levels(cascade, rank) for rank in whole_ranks(cascade)}
    drawn = nx.DiGraph(name=cascade.name)
    for tensor, ranks in cascade.tensor_ranks.items():
        passes = {rank: level.get(tensor, 0) for rank, level in by_rank.items()}
        drawn.add_node(tensor, kind=_kind(cascade, tensor), ranks=ranks, passes=passes)
    for einsum in cascade.einsums:
        for access in dict.fromkeys(einsum.operands):
            back = order.get(access.tensor, -1) >= order[einsum.name]
            step = carried(cascade, access) is not None
            if not drawn.has_edge(access.tensor, einsum.name):
                drawn.add_edge(access.tensor, einsum.name, accesses=(), carried=False, back=back)
            edge = drawn.edges[access.tensor, einsum.name]
            edge["accesses"] += (str(access),)
            edge["carried"] |= step
    return drawn


def layers(cascade: Cascade) -> tuple[tuple[str, ...], ...]:
    """Tensors in layers, each after all that it is made from, back edges aside.

    An input stands in the layer just before its first reader, so that V is drawn beside the
    softmax and not at the top. Within a layer the order is that of the cascade.

    >>> from einfall.einsum_cascades.library import load
    >>> layers(load("attention_3pass"))[:3]
    (('Q', 'K'), ('QK',), ('GM',))
    """
    import networkx as nx

    drawn = graph(cascade)
    drawn.remove_edges_from([(a, b) for a, b, back in drawn.edges.data("back") if back])
    depth = {t: n for n, layer in enumerate(nx.topological_generations(drawn)) for t in layer}
    inputs = [t for t, kind in drawn.nodes.data("kind") if kind == "input"]
    depth |= {t: min((depth[r] for r in drawn[t]), default=1) - 1 for t in inputs}
    return tuple(
        tuple(t for t in drawn if depth[t] == n) for n in range(max(depth.values(), default=-1) + 1)
    )


def positions(cascade: Cascade) -> dict[str, tuple[float, float]]:
    """A place for each tensor: its layer runs down from y = 0, and x is centred on 0."""
    return {
        tensor: (i - (len(layer) - 1) / 2, float(-n))
        for n, layer in enumerate(layers(cascade))
        for i, tensor in enumerate(layer)
    }


def _kind(cascade: Cascade, tensor: str) -> str:
    """What a tensor is for the world outside the cascade."""
    if tensor not in cascade.by_name:
        return "input"
    if tensor in cascade.outputs:
        return "output"
    return "state" if cascade.by_name[tensor].iterative_ranks else "intermediate"
