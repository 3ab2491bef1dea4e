"""Names and tags of Elasticsearch requests."""

SERVICE = "elasticsearch"
APP = "elasticsearch"
URL = "elasticsearch.url"
METHOD = "elasticsearch.method"
TOOK = "elasticsearch.took"
PARAMS = "elasticsearch.params"
BODY = "elasticsearch.body"
