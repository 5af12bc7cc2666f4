"""What the Trace Event Format asks of a trace that is made of complete events and names."""

import json


def check_trace(trace):
    """Every event has what its phase needs, in order, and every row has a name of its own.

    Source: "Trace Event Format", the Chromium project: "JSON Object Format", "Complete Events",
    "Metadata Events".
    """
    trace = json.loads(json.dumps(trace, allow_nan=False))
    assert trace["displayTimeUnit"] in ("ms", "ns")
    found = trace["traceEvents"]
    assert {event["ph"] for event in found} <= {"X", "M"}
    for event in found:
        assert isinstance(event["name"], str)
        assert event["name"]
        assert all(isinstance(event[key], int) for key in ("pid", "tid"))
        assert isinstance(event["args"], dict)
    spans = [event for event in found if event["ph"] == "X"]
    assert all(isinstance(event["cat"], str) for event in spans)
    assert all(event["ts"] >= 0 and event["dur"] >= 0 for event in spans)
    assert [event["ts"] for event in spans] == sorted(event["ts"] for event in spans)
    processes = [e["pid"] for e in found if e["name"] == "process_name"]
    threads = [(e["pid"], e["tid"]) for e in found if e["name"] == "thread_name"]
    assert len(set(processes)) == len(processes)
    assert len({tid for _, tid in threads}) == len(threads)  # no two processes share a number
    assert {event["pid"] for event in spans} <= set(processes)
    assert {(event["pid"], event["tid"]) for event in spans} == set(threads)
