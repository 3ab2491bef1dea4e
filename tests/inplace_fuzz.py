"""Context variables written in place, against a model: `python inplace_fuzz.py OPERATIONS [SEED]`.

A model of a context is a dict of numbers; a value is an object with a number, held by nothing but
contexts, tokens and iterators. Whatever is read anywhere has to have the model's number, however
contexts are nested, copied, iterated over while they change, collected, and carried into threads
and tasks. In the end no value may be left alive. Prints what was done; any difference is an
exception.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import sys
import threading
from collections.abc import Iterator
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any, ClassVar

from fasttrace import _span

VARIABLES = 1_200
CANDIDATES = 250_000
"""So many random hashes have some that are equal in the 32 bits that a context looks at."""
COLLIDING = 8
DEPTH = 6
THREADS = 4
TASKS = 50

Model = dict["ContextVar[Any]", int]


class Value:
    """Something in a context, told by its number; one in ten sets a variable when it ends."""

    __slots__ = ("number",)
    born, died = itertools.count(), itertools.count()

    def __init__(self, number: int) -> None:
        self.number = number
        next(Value.born)

    def __del__(self) -> None:
        next(Value.died)
        if self.number % 10 == 0:
            world = World.running.get(threading.get_ident())
            if world is not None:  # the one of this thread, whosever value it was
                world.write_at_end()


def folded(variable: ContextVar[Any]) -> int:
    """The 32 bits of its hash by which a context files a variable."""
    bits = hash(variable) & 0xFFFF_FFFF_FFFF_FFFF
    return (bits ^ bits >> 32) & 0xFFFF_FFFF


def make_variables(count: int) -> list[ContextVar[Any]]:
    """`count` variables; the first few have equal hashes or nearly so, which are filed deepest."""
    every: list[ContextVar[Any]] = [ContextVar(f"v{number}") for number in range(CANDIDATES)]
    every.sort(key=lambda variable: f"{folded(variable):032b}"[::-1])
    common = []  # how many of the bits that are looked at first two neighbours have in common
    for at in range(len(every) - 1):
        differing = folded(every[at]) ^ folded(every[at + 1])
        common.append((32 if not differing else (differing & -differing).bit_length() - 1, at))
    common.sort(reverse=True)
    chosen: dict[ContextVar[Any], None] = {}
    for _, at in common[:COLLIDING]:
        chosen.update(dict.fromkeys(every[at : at + 2]))
    for variable in random.sample(every, count):
        chosen[variable] = None
    return list(chosen)[:count]


class World:
    """One thread of execution: its stack of models, and what it keeps of contexts."""

    running: ClassVar[dict[int, World | None]] = {}

    def __init__(self, variables: list[ContextVar[Any]], seed: int) -> None:
        self.variables, self.random = variables, random.Random(seed)
        self.models: list[Model] = [{}]
        self.homes: list[Context | None] = [None]
        self.copies: list[tuple[Context, Model]] = []
        self.tokens: list[tuple[Token[Any], ContextVar[Any], Model, int | None]] = []
        self.iterators: list[tuple[Iterator[Any], Model]] = []
        self.number = seed * 1_000_000_000
        self.written = variables[0]
        self.done = self.in_place = self.sets = self.ends = 0
        self.ending = self.resetting = False
        self.writer = self.write_for_ever()

    # -- single operations -------------------------------------------------------------------------

    def value(self, model: Model, variable: ContextVar[Any]) -> Value:
        """A new value, noted in the model."""
        self.number += 1
        model[variable] = self.number
        return Value(self.number)

    def write(self, variable: ContextVar[Any]) -> None:
        """Write as the tracer does: in place if that can be, else the public way."""
        # Before the write: what the old value does at its end comes after it.
        value = self.value(self.models[-1], variable)
        self.written = variable
        self.sets += 1
        if _span.inplace_set(variable, value):
            self.in_place += 1
        else:
            variable.set(value)

    def write_at_end(self) -> None:
        """A value ends, in whatever context is current, and another variable is set."""
        if self.ending or self.resetting:
            # ContextVar.reset() goes on writing when the old value has ended: a fault of CPython
            # if the same variable was set meanwhile.
            return
        self.ending = True
        self.ends += 1
        # Often the one that was just written: the value that ends was its.
        self.write(self.random.choice((self.written, self.random.choice(self.variables))))
        self.ending = False

    def write_for_ever(self) -> Iterator[None]:
        """A generator that is resumed in another context each time."""
        while True:
            self.write(self.random.choice(self.variables))
            yield

    def read(self, variable: ContextVar[Any]) -> None:
        """Look at one variable."""
        found = variable.get(None)
        check(found, self.models[-1].get(variable))

    def set_with_token(self, variable: ContextVar[Any]) -> None:
        """Set the public way and keep the token."""
        model = self.models[-1]
        before = model.get(variable)
        # The old value lives on in the token, so that nothing ends here.
        token = variable.set(self.value(model, variable))
        old = token.old_value
        check(None if old is Token.MISSING else old, before)
        self.tokens.append((token, variable, model, before))

    def reset(self) -> None:
        """Give back a token: the latest of this context mostly, or any, which may be refused."""
        if not self.tokens:
            return
        at = len(self.tokens) - 1 if self.random.random() < 0.8 else self.some(self.tokens)
        token, variable, model, before = self.tokens.pop(at)
        self.resetting = True
        try:
            variable.reset(token)
        except ValueError:
            assert model is not self.models[-1], "a token was refused where it was made"
        else:
            assert model is self.models[-1], "a token was taken in another context"
            if before is None:
                model.pop(variable, None)
            else:
                model[variable] = before
        del token
        self.resetting = False

    def some(self, items: list[Any]) -> int:
        """A random index."""
        return self.random.randrange(len(items))

    def copy(self) -> None:
        """Copy the current context."""
        self.copies.append((copy_context(), dict(self.models[-1])))

    def forget(self) -> None:
        """Drop copies, iterators or tokens: what they shared is the context's own again."""
        for kept in (self.copies, self.iterators, self.tokens):
            del kept[self.random.randrange(len(kept) + 1) :]

    def iterate(self) -> None:
        """Begin to iterate over a context."""
        context, model = self.some_context()
        kind = self.random.choice([context.items, context.values, context.keys])
        self.iterators.append((zip(kind(), context.items(), strict=True), dict(model)))

    def some_context(self) -> tuple[Context, Model]:
        """The current context or one that was copied, with its model."""
        home = self.homes[-1]
        if home is not None and (not self.copies or self.random.random() < 0.5):
            return home, self.models[-1]
        if not self.copies:
            self.copy()
        return self.copies[self.some(self.copies)]

    def step(self) -> None:
        """Go on with an iteration; it shows what was there when it began."""
        if not self.iterators:
            return
        at = self.some(self.iterators)
        iterator, rest = self.iterators[at]
        for _ in range(self.random.randrange(1, 60)):
            try:
                shown, (variable, value) = next(iterator)
            except StopIteration:
                assert not rest, f"{len(rest)} variables were not shown"
                del self.iterators[at]
                return
            assert shown is variable or shown is value or shown == (variable, value)
            check(value, rest.pop(variable))

    def compare(self) -> None:
        """All of one context."""
        context, model = self.some_context()
        seen = {variable: value.number for variable, value in context.items()}
        assert seen == model, "a context differs from its model"
        assert len(context) == len(model)
        assert context == context.copy()

    def collect(self) -> None:
        """Let a cycle with a value go, and run the collector."""
        cycle: list[Any] = [Value(0)]
        cycle.append(cycle)
        del cycle
        gc.collect(0 if self.random.random() < 0.99 else 2)

    # -- whole stretches ---------------------------------------------------------------------------

    def run(self, operations: int) -> None:
        """Do so many operations in the current context."""
        chance, model = self.random, self.models[-1]
        thread = threading.get_ident()
        before = World.running.get(thread)
        World.running[thread] = self
        # Small contexts have one small node, large ones wide nodes above small ones.
        width = chance.choice((1, COLLIDING, 2 * COLLIDING, 40, 300, len(self.variables)))
        variable = self.variables[0]
        end = self.done + operations
        while self.done < end:
            self.done += 1
            dice = chance.random()
            if dice > 0.3:  # else the one of last time again, as a tracer does
                variable = self.variables[int(width * chance.random())]
            if dice < 0.62:
                self.write(variable)
            elif dice < 0.82:
                self.read(variable)
            elif dice < 0.90:
                self.set_with_token(variable)
            elif dice < 0.95:
                self.reset()
            elif dice < 0.963:
                self.step()
            elif dice < 0.968:
                self.copy()
            elif dice < 0.981:
                self.forget()
            elif dice < 0.985:
                next(self.writer)
            elif dice < 0.990:
                self.iterate()
            elif dice < 0.997:
                self.nest(chance.randrange(200))
            elif dice < 0.998:
                self.compare()
            elif dice < 0.9995:
                self.collect()
            else:
                self.elsewhere(chance.randrange(200))
            assert self.models[-1] is model
        World.running[thread] = before

    def nest(self, operations: int) -> None:
        """Run operations inside of another context: a copy, the same one twice refused, or new."""
        if len(self.models) > DEPTH:
            return
        if self.copies and self.random.random() < 0.9:
            context, model = self.copies[self.some(self.copies)]
            if any(model is entered for entered in self.models):
                return
        else:
            context, model = Context(), {}
        self.enter(context, model, operations)

    def enter(self, context: Context, model: Model, operations: int) -> None:
        """Run operations in this context."""
        self.models.append(model)
        self.homes.append(context)
        context.run(self.run, operations)
        del self.models[-1], self.homes[-1]

    def elsewhere(self, operations: int) -> None:
        """Go on in another thread, which begins in an empty context, or in one of ours."""
        models, homes = self.models, self.homes
        self.models, self.homes = [{}], [None]
        errors: list[BaseException] = []

        def work() -> None:
            try:
                self.run(operations // 2)
                self.nest(operations // 2)
            except BaseException as error:
                errors.append(error)

        # What is entered here cannot be entered there.
        kept = self.copies
        self.copies = [each for each in kept if not any(each[1] is model for model in models)]
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.models, self.homes = models, homes
        self.copies += [each for each in kept if any(each[1] is model for model in models)]
        if errors:
            raise errors[0]


def check(value: Value | None, number: int | None) -> None:
    """A value is the one that the model has."""
    found = None if value is None else value.number
    assert found == number, f"value {found} is there, and the model has {number}"


def run_apart(world: World, operations: int) -> None:
    """All operations of a world, in a context of its own that is gone afterwards."""
    context = Context()
    while world.done < operations:
        world.enter(context, world.models[0], min(1_000, operations - world.done))
        if world.random.random() < 0.1:
            world.models[0], context = {}, Context()
    world.copies, world.tokens, world.iterators = [], [], []
    world.writer.close()  # type: ignore[attr-defined]


def run_threads(worlds: list[World], operations: int) -> None:
    """Threads at once, which share the variables, and so each variable's cache."""
    errors: list[BaseException] = []

    def work(world: World) -> None:
        try:
            run_apart(world, operations)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(world,)) for world in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


async def run_tasks(world: World, operations: int) -> None:
    """Tasks in turns; each begins with a copy of what its parent had, and goes on by itself."""

    async def work(model: Model, share: int) -> None:
        for _ in range(share // 10):
            world.models, world.homes = [model], [None]
            world.run(10)
            await asyncio.sleep(0)

    while world.done < operations:
        # The loop copies this context for each task, and for each of its steps.
        first = world.models[0]
        tasks = [asyncio.create_task(work(dict(first), 400)) for _ in range(TASKS)]
        await asyncio.gather(*tasks)
        world.models, world.homes = [first], [None]
        world.run(20)


def main(operations: int, seed: int) -> None:
    """A quarter each in threads and in tasks, half of it in one thread."""
    random.seed(seed)
    assert _span.use_inplace_context(True) == "on", _span.inplace_context()
    variables = make_variables(VARIABLES)
    equal = len(variables) - len(set(map(folded, variables)))
    sys.setswitchinterval(1e-5)
    # The collector runs as an operation of its own. By itself it would, up to CPython 3.11, run in
    # the middle of ContextVar.set(), which then works on memory that a finaliser's set() freed.
    gc.disable()
    worlds = [World(variables, seed + number) for number in range(1, THREADS + 3)]
    run_apart(worlds[0], operations // 2)
    run_threads(worlds[1:-1], operations // 4 // THREADS)
    Context().run(asyncio.run, run_tasks(worlds[-1], operations // 4))
    run_apart(worlds[-1], 0)
    totals = {
        name: sum(getattr(world, name) for world in worlds)
        for name in ("done", "sets", "in_place", "ends")
    }
    del worlds
    gc.collect()
    alive = next(Value.born) - next(Value.died)
    print(f"{totals}, {equal} of {len(variables)} variables collide, {alive} values left")
    assert totals["in_place"] > totals["sets"] / 4, "hardly anything was written in place"
    assert equal, "no two variables have the same hash"
    assert totals["ends"]
    assert not alive, "values were lost"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 20))
