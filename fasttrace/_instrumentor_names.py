"""What OpenTelemetry instruments, and under which names: tables, nothing else.

An *instrumentor* is an entry point of the group `opentelemetry_instrumentor`, whose name is the key
here. It is started when the program has imported one of its modules, not before: what a program
does not use costs it nothing, and gevent can still patch what has not been imported.
"""

from __future__ import annotations

#: Instrumentor -> the modules it waits for, and its package after `opentelemetry-instrumentation-`.
#: Instrumentors that are not listed are started at once.
KNOWN: dict[str, tuple[tuple[str, ...], str]] = {
    "aio-pika": (("aio_pika",), "aio-pika"),
    "aiobotocore": (("aiobotocore",), "botocore"),
    "aiohttp-client": (("aiohttp",), "aiohttp-client"),
    "aiohttp-server": (("aiohttp.web",), "aiohttp-server"),
    "aiokafka": (("aiokafka",), "aiokafka"),
    "aiopg": (("aiopg",), "aiopg"),
    "asyncclick": (("asyncclick",), "asyncclick"),
    "asyncio": (("asyncio",), "asyncio"),
    "asyncpg": (("asyncpg",), "asyncpg"),
    "boto3": (("boto3",), "boto3sqs"),
    "botocore": (("botocore",), "botocore"),
    "cassandra": (("cassandra.cluster",), "cassandra"),
    "celery": (("celery",), "celery"),
    "click": (("click",), "click"),
    "confluent-kafka": (("confluent_kafka",), "confluent-kafka"),
    "django": (("django",), "django"),
    "elasticsearch": (("elasticsearch",), "elasticsearch"),
    "falcon": (("falcon",), "falcon"),
    "fastapi": (("fastapi",), "fastapi"),
    "flask": (("flask",), "flask"),
    "grpc-aio-client": (("grpc",), "grpc"),
    "grpc-aio-server": (("grpc",), "grpc"),
    "grpc-client": (("grpc",), "grpc"),
    "grpc-server": (("grpc",), "grpc"),
    "httpx": (("httpx",), "httpx"),
    "httpx2": (("httpx2",), "httpx"),
    "jinja2": (("jinja2",), "jinja2"),
    "kafka": (("kafka",), "kafka-python"),
    "logging": (("logging",), "logging"),
    "mysql": (("mysql.connector",), "mysql"),
    "mysqlclient": (("MySQLdb",), "mysqlclient"),
    "pika": (("pika",), "pika"),
    "psycopg": (("psycopg",), "psycopg"),
    "psycopg2": (("psycopg2",), "psycopg2"),
    "pymemcache": (("pymemcache",), "pymemcache"),
    "pymongo": (("pymongo",), "pymongo"),
    "pymssql": (("pymssql",), "pymssql"),
    "pymysql": (("pymysql",), "pymysql"),
    "pyramid": (("pyramid.config",), "pyramid"),
    "redis": (("redis",), "redis"),
    "remoulade": (("remoulade",), "remoulade"),
    "requests": (("requests",), "requests"),
    "sqlalchemy": (("sqlalchemy",), "sqlalchemy"),
    "sqlite3": (("sqlite3",), "sqlite3"),
    "starlette": (("starlette",), "starlette"),
    "structlog": (("structlog",), "structlog"),
    "system-metrics": (("psutil",), "system-metrics"),
    "threading": (("threading",), "threading"),
    "tornado": (("tornado.web", "tornado.httpclient"), "tornado"),
    "tortoiseorm": (("tortoise",), "tortoiseorm"),
    "urllib": (("urllib.request",), "urllib"),
    "urllib3": (("urllib3",), "urllib3"),
}

#: Started only if asked for by name: a command of click may be a server, whose whole life would
#: then be one trace that never ends.
OFF_BY_DEFAULT = frozenset(("asyncclick", "click"))

#: ddtrace 4.16's integrations whose name is another here -> their instrumentors.
OF_DDTRACE: dict[str, tuple[str, ...]] = {
    "aiohttp": ("aiohttp-client", "aiohttp-server"),
    "boto": ("boto3",),
    "futures": ("threading",),
    "grpc": ("grpc-client", "grpc-server", "grpc-aio-client", "grpc-aio-server"),
    "kafka": ("confluent-kafka", "kafka"),
    "mysqldb": ("mysqlclient",),
    "psycopg": ("psycopg", "psycopg2"),
}

#: ddtrace 4.16's integrations for which OpenTelemetry's project has no instrumentor. One from
#: elsewhere counts if its entry point has that name.
ONLY_DDTRACE = frozenset(
    """
    aiohttp-jinja2 aiomysql algoliasearch anthropic anyio aredis avro
    aws-durable-execution-sdk-python aws-lambda azure-cosmos azure-durable-functions
    azure-eventhubs azure-functions azure-servicebus bottle claude-agent-sdk consul coverage
    crewai ddtrace-api dogpile-cache dramatiq gevent google-adk google-cloud-pubsub google-genai
    graphql httplib kombu langchain langgraph litellm llama-index logbook loguru mako mariadb mcp
    mistralai mlflow molten openai openai-agents protobuf pydantic-ai pylibmc pynamodb pyodbc
    pytorch ray rediscluster rq sanic selenium snowflake subprocess trio unittest valkey vertexai
    vertica vllm yaaredis
    """.split()  # noqa: SIM905 # a page of quotes otherwise
)


def normalised(name: str) -> str:
    """Return a name in the form the tables have: lower case, hyphens."""
    return name.strip().lower().replace("_", "-")


def instrumentors_of(name: str) -> tuple[str, ...]:
    """Return the instrumentors that a name stands for, its own or ddtrace's."""
    name = normalised(name)
    return OF_DDTRACE.get(name, (name,))


def package_of(instrumentor: str) -> str:
    """Return the package an instrumentor of OpenTelemetry's project comes in; "" for others."""
    known = KNOWN.get(instrumentor)
    return "" if known is None else f"opentelemetry-instrumentation-{known[1]}"
