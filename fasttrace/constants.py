"""Tag names and sampling priorities for applications; no other module of fasttrace reads them.

Names and values are those of `ddtrace.constants`. Many names that were public in 2.21 have a
leading underscore in 4.16; both spellings work here, because both are found in application code.
"""

# Sampling priorities, values of Context.sampling_priority.
USER_REJECT = -1
AUTO_REJECT = 0
AUTO_KEEP = 1
USER_KEEP = 2

# Tags that take a decision when they are set; any value will do.
MANUAL_DROP_KEY = "manual.drop"
MANUAL_KEEP_KEY = "manual.keep"

# Tags that describe the service.
ENV_KEY = "env"
SERVICE_KEY = "service.name"
SERVICE_VERSION_KEY = "service.version"
VERSION_KEY = "version"

# Tags that describe one span.
ERROR_MSG = "error.message"
ERROR_STACK = "error.stack"
ERROR_TYPE = "error.type"
PID = "process_id"
SPAN_KIND = "span.kind"

# Tags the tracer writes itself.
ANALYTICS_SAMPLE_RATE_KEY = _ANALYTICS_SAMPLE_RATE_KEY = "_dd1.sr.eausr"
BASE_SERVICE_KEY = _BASE_SERVICE_KEY = "_dd.base_service"
HOSTNAME_KEY = _HOSTNAME_KEY = "_dd.hostname"
KEEP_SPANS_RATE_KEY = _KEEP_SPANS_RATE_KEY = "_dd.tracer_kr"
ORIGIN_KEY = _ORIGIN_KEY = "_dd.origin"
RUNTIME_FAMILY = _RUNTIME_FAMILY = "_dd.runtime_family"
SAMPLE_RATE_METRIC_KEY = _SAMPLE_RATE_METRIC_KEY = "_sample_rate"
SAMPLING_AGENT_DECISION = _SAMPLING_AGENT_DECISION = "_dd.agent_psr"
SAMPLING_LIMIT_DECISION = _SAMPLING_LIMIT_DECISION = "_dd.limit_psr"
SAMPLING_PRIORITY_KEY = _SAMPLING_PRIORITY_KEY = "_sampling_priority_v1"
SAMPLING_RULE_DECISION = _SAMPLING_RULE_DECISION = "_dd.rule_psr"
SPAN_MEASURED_KEY = _SPAN_MEASURED_KEY = "_dd.measured"
USER_ID_KEY = _USER_ID_KEY = "_dd.p.usr.id"
_SINGLE_SPAN_SAMPLING_MAX_PER_SEC = "_dd.span_sampling.max_per_second"
_SINGLE_SPAN_SAMPLING_MAX_PER_SEC_NO_LIMIT = -1
_SINGLE_SPAN_SAMPLING_MECHANISM = "_dd.span_sampling.mechanism"
_SINGLE_SPAN_SAMPLING_RATE = "_dd.span_sampling.rule_rate"
