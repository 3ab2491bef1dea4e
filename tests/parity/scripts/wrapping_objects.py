"""tracer.wrap on methods, partials, callable objects and built-in functions."""

import asyncio
import functools

from ddtrace.trace import tracer


def _active():
    return getattr(tracer.current_span(), "name", None)


class Shop:
    """Methods of every kind."""

    @tracer.wrap()
    def method(self, value):
        """A method."""
        return (type(self).__name__, value, _active())

    @classmethod
    @tracer.wrap()
    def class_method(cls, value):
        """wrap below classmethod."""
        return (cls.__name__, value, _active())

    @staticmethod
    @tracer.wrap()
    def static_method(value):
        """wrap below staticmethod."""
        return (value, _active())

    @property
    @tracer.wrap("shop.property")
    def wrapped_property(self):
        """wrap below property."""
        return _active()


class Child(Shop):
    """Inherits."""

    @tracer.wrap()
    def method(self, value):
        """Calls the parent's method."""
        return super().method(value)


def case_methods(say):
    """Methods, class methods, static methods, properties.

    covers: 4.6.methods
    """
    shop = Shop()
    say("method", shop.method(1))
    say("unbound", Shop.method(shop, 2))
    say("class method", Shop.class_method(3))
    say("class method of instance", shop.class_method(4))
    say("static method", Shop.static_method(5))
    say("static method of instance", shop.static_method(6))
    say("property", shop.wrapped_property)
    say("inherited", Child().method(7))
    say("inherited class method", Child.class_method(8))


def case_over_classmethod(say):
    """wrap applied to a bound method and to partials.

    covers: 4.6.methods
    """
    shop = Shop()
    bound = tracer.wrap("bound")(shop.method)
    say("bound", bound(1))
    say("bound class method", tracer.wrap("bound-class")(Shop.class_method)(2))


def case_partial_named(say):
    """A functools.partial with a given name.

    covers: 4.6.methods
    """
    wrapped = tracer.wrap("partial")(functools.partial(sorted, reverse=True))
    say("sorted", wrapped([1, 3, 2]))
    with tracer.trace("parent"):
        say("again", wrapped([2, 5]))


def case_partial_coroutine(say):
    """A functools.partial of a coroutine function.

    covers: 4.6.methods 4.6.coroutine
    oracle: 4.16
    """

    async def work(a, b):
        await asyncio.sleep(0)
        return (a, b, _active())

    say("result", asyncio.run(tracer.wrap("partial")(functools.partial(work, 1))(2)))


def case_unnamed_objects(say):
    """Objects without a name of their own, wrapped without a name.

    covers: 4.6.methods 4.6.name
    """

    class Callable:
        """Has __call__."""

        def __call__(self, value):
            return value

    say.outcome("partial", lambda: tracer.wrap()(functools.partial(abs))(-3))
    say.outcome("object", lambda: tracer.wrap()(Callable())(3))


def case_over_descriptors(say):
    """wrap above classmethod and staticmethod.

    covers: 4.6.methods
    """

    def work():
        class Above:
            """Decorated from outside."""

            @tracer.wrap("above.class")
            @classmethod
            def class_method(cls, value):
                return (cls.__name__, value, _active())

            @tracer.wrap("above.static")
            @staticmethod
            def static_method(value):
                return (value, _active())

        say.outcome("static", lambda: Above.static_method(2))
        say.outcome("class", lambda: Above.class_method(1))

    say.raises("define", work)


def case_partial_of_wrapped(say):
    """A partial of a wrapped function.

    covers: 4.6.methods
    """

    @tracer.wrap()
    def plain(a, b=2):
        return (a, b, _active())

    say("partial", functools.partial(plain, 1, b=5)())


def case_callable_object(say):
    """A callable object with a given name.

    covers: 4.6.methods
    """

    class Callable:
        """Has __call__."""

        def __call__(self, value):
            return (value, _active())

    say.outcome("object", lambda: tracer.wrap("object")(Callable())(3))


def case_builtin(say):
    """A built-in function.

    covers: 4.6.methods
    """
    say.outcome("len", lambda: tracer.wrap()(len)([1, 2]))
