"""Names for Azure Event Hubs producers and consumers."""

CLOUD = "azure"
SERVICE = "eventhubs"
SEND = "send"
CREATE = "create"
RECEIVE = "receive"
