"""Names and tags of memcached commands."""

CMD = "memcached.command"
DBMS_NAME = "memcached"
SERVICE = "memcached"
QUERY = "memcached.query"
