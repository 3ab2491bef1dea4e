"""Tags of the far end of a network connection."""

TARGET_HOST = "out.host"
TARGET_PORT = "network.destination.port"
TARGET_IP = "network.destination.ip"
SERVER_ADDRESS = "server.address"
PEER_HOSTNAME = "peer.hostname"
BYTES_OUT = "net.out.bytes"
TARGET_NAME = "network.destination.name"
