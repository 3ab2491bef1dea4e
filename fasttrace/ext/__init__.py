"""Names of span types, span kinds and tags, so that application code need not spell them out.

The modules beside this one hold the tags of one technology each (`http`, `db`, `net`, ...).
Names and values are those of `ddtrace.ext`, 2.21 and 4.16 together. `import fasttrace` imports
none of this.
"""


class SpanTypes:
    """Values for `Span.span_type`, each a plain `str`; Datadog chooses icon and view by it."""

    AUTH = "auth"
    CACHE = "cache"
    CASSANDRA = "cassandra"
    COSMOS = "cosmosdb"
    ELASTICSEARCH = "elasticsearch"
    GRAPHQL = "graphql"
    GRPC = "grpc"
    HTTP = "http"
    LLM = "llm"
    MONGODB = "mongodb"
    RAY = "ray"
    REDIS = "redis"
    SERVERLESS = "serverless"
    SQL = "sql"
    SYSTEM = "system"
    TEMPLATE = "template"
    TEST = "test"
    VALKEY = "valkey"
    WEB = "web"
    WEBSOCKET = "websocket"
    WORKER = "worker"


class SpanKind:
    """Values for the tag `span.kind`, with the meaning OpenTelemetry gives them."""

    CLIENT = "client"
    """The span waits for the answer of a remote service."""
    SERVER = "server"
    """The span handles the request of a remote client."""
    PRODUCER = "producer"
    """The span hands a message to a broker and does not wait for its consumer."""
    CONSUMER = "consumer"
    """The span handles a message taken from a broker."""
    INTERNAL = "internal"
    """The span is work within one process."""


class SpanLinkKind:
    """Values for the attribute `link.kind` of a span link."""

    EXECUTED = "executed_by"
    RESUMING = "resuming"


EXIT_SPAN_TYPES = frozenset(
    {
        SpanTypes.CACHE,
        SpanTypes.CASSANDRA,
        SpanTypes.ELASTICSEARCH,
        SpanTypes.GRPC,
        SpanTypes.HTTP,
        SpanTypes.REDIS,
        SpanTypes.SQL,
        SpanTypes.WORKER,
    }
)
"""Types of spans that leave the process (in ddtrace up to 2.x)."""
