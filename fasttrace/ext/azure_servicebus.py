"""Names for Azure Service Bus producers and consumers."""

CLOUD = "azure"
SERVICE = "servicebus"
SEND = "send"
CREATE = "create"
RECEIVE = "receive"
