"""gRPC: calls of all four shapes, errors, concurrent calls, with blocking code and in a loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcAioInstrumentorServer,
    GrpcInstrumentorClient,
    GrpcInstrumentorServer,
)

SERVICE = "shop.Kitchen"


def main(tracer: trace.Tracer) -> Any:
    """Serve and call."""
    for instrumentor in (
        GrpcInstrumentorClient,
        GrpcInstrumentorServer,
        GrpcAioInstrumentorClient,
        GrpcAioInstrumentorServer,
    ):
        instrumentor().instrument()
    return [blocking(tracer), asyncio.run(in_loop(tracer))]


def handlers(methods: dict[str, Any]) -> Any:
    """Return the handlers of messages that are plain bytes."""
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Cook": grpc.unary_unary_rpc_method_handler(methods["cook"]),
            "Slices": grpc.unary_stream_rpc_method_handler(methods["slices"]),
            "Order": grpc.stream_unary_rpc_method_handler(methods["order"]),
            "Talk": grpc.stream_stream_rpc_method_handler(methods["talk"]),
        },
    )


def blocking(tracer: trace.Tracer) -> Any:
    """Serve and call from threads."""

    def cook(request: bytes, context: Any) -> bytes:
        with tracer.start_as_current_span("heat"):
            if request == b"burn":
                raise ValueError("burnt")
            if request == b"refuse":
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "closed")
            return request.upper()

    def slices(request: bytes, context: Any) -> Any:
        for i in range(3):
            with tracer.start_as_current_span(f"slice {i}"):
                pass
            yield request + str(i).encode()

    def order(requests: Any, context: Any) -> bytes:
        return b"+".join(requests)

    def talk(requests: Any, context: Any) -> Any:
        for request in requests:
            yield request.upper()

    handling = ThreadPoolExecutor(4)
    server = grpc.server(handling)
    server.add_generic_rpc_handlers(
        (handlers({"cook": cook, "slices": slices, "order": order, "talk": talk}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    notes: list[Any] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(f"/{SERVICE}/Cook")
        notes.append(call(b"alone").decode())
        with tracer.start_as_current_span("client"):
            notes.append(call(b"rye").decode())
            for failing in (b"burn", b"refuse"):
                try:
                    call(failing)
                except grpc.RpcError as error:
                    notes.append(error.code().name)
            notes.append([x.decode() for x in channel.unary_stream(f"/{SERVICE}/Slices")(b"s")])
            notes.append(channel.stream_unary(f"/{SERVICE}/Order")(iter([b"a", b"b"])).decode())
            talking = channel.stream_stream(f"/{SERVICE}/Talk")(iter([b"a", b"b"]))
            notes.append([x.decode() for x in talking])
            try:
                channel.unary_unary(f"/{SERVICE}/Missing")(b"")
            except grpc.RpcError as error:
                notes.append(error.code().name)

        def elsewhere(i: int) -> str:
            with tracer.start_as_current_span(f"thread {i}"):
                return call(str(i).encode()).decode()

        with ThreadPoolExecutor(4) as pool:
            notes.append(list(pool.map(elsewhere, range(4))))
    server.stop(30).wait()
    handling.shutdown()  # the spans of calls that were answered have ended
    return notes


async def in_loop(tracer: trace.Tracer) -> Any:
    """Serve and call from coroutines."""

    async def cook(request: bytes, context: Any) -> bytes:
        with tracer.start_as_current_span("heat in a task"):
            if request == b"burn":
                raise ValueError("burnt")
            if request == b"refuse":
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "closed")
            return request.upper()

    async def slices(request: bytes, context: Any) -> Any:
        for i in range(3):
            yield request + str(i).encode()

    async def order(requests: Any, context: Any) -> bytes:
        return b"+".join([request async for request in requests])

    async def talk(requests: Any, context: Any) -> Any:
        async for request in requests:
            yield request.upper()

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (handlers({"cook": cook, "slices": slices, "order": order, "talk": talk}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    notes: list[Any] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(f"/{SERVICE}/Cook")

        async def one(i: int) -> str:
            with tracer.start_as_current_span(f"task {i}"):
                return (await call(str(i).encode())).decode()

        with tracer.start_as_current_span("client in a loop"):
            notes.append((await call(b"rye")).decode())
            for failing in (b"burn", b"refuse"):
                try:
                    await call(failing)
                except grpc.aio.AioRpcError as error:
                    notes.append(error.code().name)
            streamed = channel.unary_stream(f"/{SERVICE}/Slices")(b"s")
            notes.append([x.decode() async for x in streamed])
            notes.append(
                (await channel.stream_unary(f"/{SERVICE}/Order")(iter([b"a", b"b"]))).decode()
            )
            talking = channel.stream_stream(f"/{SERVICE}/Talk")(iter([b"a", b"b"]))
            notes.append([x.decode() async for x in talking])
            notes.append(await asyncio.gather(*(one(i) for i in range(3))))
    await server.stop(30)
    return notes
