"""Chrome traces: the format, and rows on which events never cross."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from trace_format import check_trace

from einfall.report.trace import chrome_trace
from einfall.sim.events import Simulation, Span
from einfall.sim.pipeline import Timing


def simulation(spans):
    return Simulation(Timing((("p", 1.0),), {}), tuple(spans), 3)


def events(trace, phase):
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


def test_a_span_is_a_complete_event_in_microseconds():
    trace = chrome_trace({"t": simulation([Span("QK", "2d", 1.0, 3.0, (("m1", 4),))])})
    (event,) = events(trace, "X")
    assert event == {
        "name": "QK",
        "cat": "2d",
        "ph": "X",
        "ts": 1e6,
        "dur": 2e6,
        "pid": 1,
        "tid": 1,
        "args": {"m1": 4},
    }
    names = {e["args"]["name"] for e in events(trace, "M") if "name" in e["args"]}
    assert names == {"t", "2d"}


def test_what_a_memory_serves_at_once_has_rows_of_its_own():
    spans = [Span(f"load {i}", "dram", 0.0, 2.0, ()) for i in range(3)]
    spans.append(Span("load 3", "dram", 2.0, 3.0, ()))
    trace = chrome_trace({"t": simulation(spans)})
    assert [event["tid"] for event in events(trace, "X")] == [1, 2, 3, 1]
    rows = [e["args"]["name"] for e in events(trace, "M") if e["name"] == "thread_name"]
    assert rows == ["dram", "dram 2", "dram 3"]


times = st.floats(0, 1, allow_subnormal=False)
some_spans = st.lists(
    st.builds(
        lambda name, start, length: Span("x", name, start, start + length, ()),
        st.sampled_from(["dram", "2d"]),
        times,
        times,
    ),
    min_size=1,
)


@given(some_spans)
def test_no_events_of_a_row_cross_and_none_is_lost(spans):
    trace = chrome_trace({"t": simulation(spans)})
    found = events(trace, "X")
    assert len(found) == len(spans)
    for row in {event["tid"] for event in found}:
        inside = sorted((e["ts"], e["ts"] + e["dur"]) for e in found if e["tid"] == row)
        pairs = pairwise(inside)
        # Moments that differ by one part in 10^9 of the later span's end are the same.
        assert all(end <= start + 1.1e-9 * later for (_, end), (start, later) in pairs)


names = st.text("abc ,:", min_size=1, max_size=4)


@given(st.dictionaries(names, some_spans, min_size=1, max_size=3))
def test_every_trace_is_one_that_perfetto_opens(timelines):
    trace = chrome_trace({title: simulation(spans) for title, spans in timelines.items()})
    check_trace(trace)
    found = {
        e["pid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"
    }
    assert list(found.values()) == list(timelines)
    for pid, title in found.items():
        assert sum(e["pid"] == pid for e in events(trace, "X")) == len(timelines[title])
