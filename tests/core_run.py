"""A short run through the whole compiled core, for `valgrind`: no threads, no network.

Prints how many spans went through; exit code 1 if the accounting does not add up.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import pickle
import sys
from typing import Any

from fasttrace import Context, Span, Tracer
from fasttrace.config import Config
from fasttrace.propagation.http import HTTPPropagator

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20


def one_round(tracer: Tracer, number: int) -> None:
    """Use everything once."""
    with tracer.trace("root", service="web", resource=f"GET /{number}", span_type="web") as root:
        root.set_tag("text", f"value {number}" * 10)
        root.set_tag("unicode", "äöü 𝄞 \udc00" * number)
        root.set_tags(
            {"a": 1, "b": 2.5, "c": True, "d": None, "e": [1, {"f": 2}], "f": "x" * 30000}
        )
        root.set_metric("n", number)
        for index in range(20):
            root.set_tag(f"many{index}", index)
        headers: dict[str, str] = {}
        HTTPPropagator.inject(root.context, headers)
        with tracer.trace("child") as child:
            child.link_span(HTTPPropagator.extract(headers))
            child._add_event("event", {"key": "value", "number": number})
            child.context.set_baggage_item("user", str(number))
            child._on_finish_callbacks.append(lambda span: span.set_tag("late", "1"))
            try:
                with tracer.trace("failing"):
                    raise ValueError(number)
            except ValueError:
                pass
        tracer.start_span("loose", child_of=root).finish()
        tracer.start_span("abandoned", child_of=root)
        pickle.loads(pickle.dumps(root.context))

    @tracer.wrap("wrapped")
    def wrapped(value: Any) -> Any:
        return value

    wrapped(number)

    @tracer.wrap()
    async def coroutine() -> None:
        with tracer.trace("inside"):
            await asyncio.sleep(0)

    asyncio.run(coroutine())
    context = contextvars.copy_context()
    context.run(lambda: tracer.trace("in context").finish())
    tracer.context_provider.activate(Context(trace_id=2**127 + number, span_id=5))
    tracer.trace("remote").finish()
    tracer.context_provider.activate(None)
    span = Span("bare")
    span.set_tag("a", "b")
    span.finish()
    root.get_tags(), root.get_metrics(), repr(root), root.context.sampling_priority


def main() -> int:
    """Run in both wire versions; return the exit code."""
    finished = 0
    for version in ("v0.4", "v0.5"):
        config: dict[str, Any] = {"api_version": version, "payload_max_bytes": 200_000}
        tracer = Tracer(config=Config.from_env({}, service="core", env="test", **config))
        tracer._on_first_chunk = None
        for number in range(ROUNDS):
            one_round(tracer, number)
            if number % 7 == 0:
                for payload in tracer._swap():
                    b"".join(payload.buffers())
                    if number % 2 or not tracer._unswap(payload):
                        tracer._settle(payload, "sent")
        gc.collect()
        for payload in tracer._swap():
            tracer._settle(payload, "sent")
        stats = tracer.stats()
        finished += stats["finished"]
        if stats["finished"] != stats["sent"] + sum(stats["dropped"].values()):
            print(f"unaccounted: {stats}")
            return 1
    print(f"{finished} spans")
    return 0


if __name__ == "__main__":
    sys.exit(main())
