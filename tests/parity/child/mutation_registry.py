"""Where mutations register, and how they get into the process under test."""

import fnmatch

MARKER = "parity.marker"
PAYLOAD = {}  # name -> (function of a chunk giving chunks, globs of cases)
BEHAVIOUR = {}  # name -> (function of the library's name, globs of cases)


def payload(*cases):
    """Register a function that takes a chunk (list of span maps) and gives a list of chunks."""

    def register(function):
        PAYLOAD[function.__name__] = (function, cases)
        return function

    return register


def spans(*cases):
    """Register a function that changes one span map, given the chunk and the position."""

    def register(function):
        def change(chunk):
            for index, span in enumerate(chunk):
                function(span, chunk, index)
            return [chunk]

        PAYLOAD[function.__name__] = (change, cases)
        return function

    return register


def behaviour(*cases):
    """Register a function that breaks the library."""

    def register(function):
        BEHAVIOUR[function.__name__] = (function, cases)
        return function

    return register


def names():
    """All mutations."""
    return [*PAYLOAD, *BEHAVIOUR]


def wants(name, case):
    """Whether *case* is run with the mutation."""
    return any(fnmatch.fnmatchcase(case, glob) for glob in {**PAYLOAD, **BEHAVIOUR}[name][1])


def install(name, library):
    """Break the library; called before it is first used."""
    if name in BEHAVIOUR:
        BEHAVIOUR[name][0](library)
    else:
        _patch_exporter(PAYLOAD[name][0])


class _Altered:
    """Stands in for a payload, with other chunks."""

    def __init__(self, original, chunks):
        import msgpack

        self._body = msgpack.packb(chunks, unicode_errors="surrogateescape")
        self.api_version = original.api_version
        self.trace_count = len(chunks)
        self.span_count = sum(map(len, chunks))
        self.nbytes = len(self._body)

    def buffers(self):
        return [self._body]


def _patch_exporter(function):
    import msgpack

    from fasttrace.agent import AgentExporter

    export = AgentExporter.export

    def altered(self, original, trace_count, *args, **kwargs):
        if original.api_version != "v0.4":
            return export(self, original, trace_count, *args, **kwargs)
        body = b"".join(bytes(part) for part in original.buffers())
        chunks = []
        for chunk in msgpack.unpackb(body, unicode_errors="surrogateescape"):
            chunks += [chunk] if chunk[0]["name"] == MARKER else function(chunk)
        other = _Altered(original, chunks)
        return export(self, other, other.trace_count, *args, **kwargs)

    AgentExporter.export = altered
