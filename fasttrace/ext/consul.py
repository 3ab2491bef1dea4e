"""Names and tags of Consul calls."""

APP = "consul"
SERVICE = "consul"
CMD = "consul.command"
KEY = "consul.key"
