"""How much a call does, counted: no clock, so that a busy machine changes nothing."""

import sys
from collections.abc import Callable

COUNTER = 4  # of sys.monitoring's numbers, one that no debugger, coverage or profiler has
_EVENTS = sys.monitoring.events
_COUNTED = _EVENTS.CALL | _EVENTS.JUMP | _EVENTS.PY_START | _EVENTS.PY_RESUME  # calls, turns of loops and of generators


def count_work(call: Callable[[], object]) -> int:
    """The calls, turns of loops and of generators that a call takes; what C does by itself counts once."""
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    sys.monitoring.use_tool_id(COUNTER, "work")
    try:
        for event in (_EVENTS.CALL, _EVENTS.JUMP, _EVENTS.PY_START, _EVENTS.PY_RESUME):
            sys.monitoring.register_callback(COUNTER, event, count)
        sys.monitoring.set_events(COUNTER, _COUNTED)
        call()
    finally:
        sys.monitoring.set_events(COUNTER, _EVENTS.NO_EVENTS)  # freed alone, it would count for the rest of the process
        sys.monitoring.free_tool_id(COUNTER)
    return counted
