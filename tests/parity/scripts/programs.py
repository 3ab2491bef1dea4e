"""Random programs: sequences of calls drawn from a seed, the same under every library.

No single case here is about one fact; together they meet combinations that nobody wrote down.
"""

import asyncio
import contextvars
import random
import threading

from ddtrace.trace import Context, tracer

SERVICES = (None, None, None, "one", "two", "Mixed", "main-svc")
KEYS = (
    "a",
    "b",
    "http.status_code",
    "network.destination.port",
    "_dd.measured",
    "span.kind",
    "_dd.origin",
    "env",
    "x.y",
)
VALUES = ("text", "", 1, 0, -3, 2.5, True, False, 2**40, "200", None)
SPECIAL = ("manual.keep", "manual.drop")


class Program:
    """One program: the spans made so far and the calls still possible."""

    def __init__(self, say, seed):
        self.say = say
        self.random = random.Random(seed)
        self.spans = []
        self.number = 0
        weights = (
            (self.trace, 30),
            (self.start, 15),
            (self.finish_active, 20),
            (self.finish_any, 12),
            (self.tag, 12),
            (self.metric, 6),
            (self.special, 2),
            (self.rename, 5),
            (self.activate, 4),
            (self.error, 3),
            (self.baggage, 3),
            (self.look, 12),
        )
        self.functions = [function for function, weight in weights for _ in range(weight)]

    def run(self, steps):
        """Draw *steps* calls, then finish everything in a drawn order."""
        for _ in range(steps):
            self.random.choice(self.functions)()
        rest = list(self.spans)
        self.random.shuffle(rest)
        for span in rest:
            span.finish()
        self.look()

    def name(self):
        self.number += 1
        return f"span{self.number}"

    def pick(self):
        return self.random.choice(self.spans) if self.spans else None

    def trace(self):
        service = self.random.choice(SERVICES)
        resource = self.random.choice((None, None, "GET /"))
        span_type = self.random.choice((None, None, "web", "sql"))
        self.spans.append(
            tracer.trace(self.name(), service=service, resource=resource, span_type=span_type)
        )

    def start(self):
        kind = self.random.randrange(5)
        parent = self.pick()
        if kind == 0 or parent is None:
            child_of = None
        elif kind == 1:
            child_of = parent.context
        elif kind == 2:
            priority = self.random.choice((None, -1, 0, 1, 2))
            origin = self.random.choice((None, "rum"))
            child_of = Context(
                trace_id=1000 + self.number,
                span_id=77,
                sampling_priority=priority,
                dd_origin=origin,
            )
        else:
            child_of = parent
        service = self.random.choice(SERVICES)
        activate = self.random.random() < 0.4
        self.spans.append(
            tracer.start_span(self.name(), child_of=child_of, service=service, activate=activate)
        )

    def finish_active(self):
        span = tracer.current_span()
        if span is not None:
            span.finish()

    def finish_any(self):
        span = self.pick()
        if span is not None:
            span.finish()

    def tag(self):
        span = self.pick()
        if span is not None:
            span.set_tag(self.random.choice(KEYS), self.random.choice(VALUES[:-1]))

    def metric(self):
        span = self.pick()
        if span is not None:
            span.set_metric(
                self.random.choice(("m", "n", "a")), self.random.choice((0, 1, 2.5, -1, "3", "x"))
            )

    def special(self):
        span = self.pick()
        if span is not None:
            span.set_tag(self.random.choice(SPECIAL))

    def rename(self):
        span = self.pick()
        if span is not None and not span.finished:
            what = self.random.choice(("service", "resource", "span_type"))
            setattr(span, what, self.random.choice(("one", "two", "new")))

    def activate(self):
        kind = self.random.randrange(4)
        if kind == 0:
            tracer.context_provider.activate(None)
        elif kind == 1:
            trace_id = 2000 + self.number
            tracer.context_provider.activate(
                Context(trace_id=trace_id, span_id=88, sampling_priority=1)
            )
        elif self.spans:
            span = self.pick()
            tracer.context_provider.activate(span if kind == 2 else span.context)

    def error(self):
        span = self.pick()
        if span is not None:
            span.error = self.random.choice((0, 1))
            span.set_tag("error.message", "drawn")

    def baggage(self):
        span = self.pick()
        if span is not None:
            span.context.set_baggage_item(
                f"k{self.random.randrange(3)}", str(self.random.randrange(10))
            )
            self.say("baggage", sorted(span.context.get_all_baggage_items().items()))

    def look(self):
        span, root = tracer.current_span(), tracer.current_root_span()
        context = tracer.current_trace_context()
        known = {s.span_id: s.name for s in self.spans}
        self.say("active", (getattr(span, "name", None), getattr(root, "name", None)))
        self.say(
            "context", known.get(context.span_id, context.span_id) if context is not None else None
        )
        picked = self.pick()
        if picked is not None:
            where = (
                picked.name,
                picked.service,
                known.get(picked.parent_id, picked.parent_id),
                picked.finished,
            )
            self.say("picked", (*where, picked.context.sampling_priority, picked.context.dd_origin))


class ConcurrentProgram(Program):
    """The same calls, spread over tasks, threads and copied contexts that take turns."""

    def __init__(self, say, seed):
        super().__init__(say, seed)
        self.tasks = []
        self.contexts = []

    def step(self):
        """One drawn call, here, in a copied context or in a thread that is waited for."""
        call = self.random.choice(self.functions)
        where = self.random.randrange(12)
        if where == 0:
            self.contexts.append(contextvars.copy_context())
        elif where == 1 and self.contexts:
            self.random.choice(self.contexts).run(call)
        elif where == 2:
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
        else:
            call()

    async def work(self, depth):
        """Some steps, with other tasks running in between."""
        for _ in range(self.random.randrange(3, 12)):
            self.step()
            if self.random.random() < 0.3:
                await asyncio.sleep(0)
            if depth < 3 and self.random.random() < 0.15:
                task = asyncio.create_task(self.work(depth + 1))
                self.tasks.append(task)
                if self.random.random() < 0.3:
                    await task
            if self.random.random() < 0.05:
                asyncio.get_running_loop().call_soon(self.step)

    async def main(self):
        """Run all tasks, then finish what is open."""
        await self.work(0)
        while self.tasks:
            await self.tasks.pop()
        await asyncio.sleep(0)
        rest = list(self.spans)
        self.random.shuffle(rest)
        for span in rest:
            span.finish()
        self.look()


def _programs(say, first, count, steps):
    for seed in range(first, first + count):
        Program(say, seed).run(steps)
        tracer.context_provider.activate(None)
        tracer.flush()


def case_short(say):
    """Programs of ten calls.

    covers: 4.3.trace 4.4.any-order
    """
    _programs(say, 0, 100, 10)


def case_medium(say):
    """Programs of forty calls.

    covers: 4.3.trace 4.4.any-order 4.3.active-walk
    """
    _programs(say, 1000, 60, 40)


def case_long(say):
    """Programs of four hundred calls.

    covers: 4.3.trace 4.4.any-order 4.4.late-child
    """
    _programs(say, 2000, 8, 400)


def case_partial(say):
    """Programs with partial flushes.

    covers: 4.7.partial.min 4.7.partial.chunk-tags
    oracle: 4.16
    env: DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=3
    """
    _programs(say, 3000, 60, 40)


def case_configured(say):
    """Programs with service, env, version, tags and a mapping.

    covers: 2.1.version.same-service 2.1.every.base-service 2.1.mapping
    env: DD_SERVICE=main-svc DD_ENV=prod DD_VERSION=1.2 DD_TAGS=team:core,n:5 DD_SERVICE_MAPPING=two:three
    """
    _programs(say, 4000, 60, 40)


def case_v05(say):
    """Programs in the v0.5 encoding.

    covers: 4.7.chunk-order
    env: DD_TRACE_API_VERSION=v0.5
    """
    _programs(say, 5000, 40, 40)


def case_concurrent(say):
    """Programs spread over tasks, threads and copied contexts.

    covers: 4.3.contextvar.tasks 4.3.contextvar.threads 4.3.active-walk 4.3.thread-join
    """
    for seed in range(6000, 6080):
        asyncio.run(ConcurrentProgram(say, seed).main())
        tracer.context_provider.activate(None)
        tracer.flush()
