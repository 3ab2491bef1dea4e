"""The agent of the soak test: `python soak_agent.py PORT FILE`. It is made to be killed.

Before it answers a request it appends the ids of the request's spans to FILE, 8 bytes each, in one
write: whatever it has acknowledged is there, wherever it was killed.
"""

from __future__ import annotations

import os
import sys
import time
from array import array

import msgpack
from fault_server import FaultServer, Peer, response


def main() -> None:
    """Serve until killed."""
    port, path = int(sys.argv[1]), sys.argv[2]
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def behave(peer: Peer) -> None:
        while True:
            request = peer.read()
            peer.server.requests.clear()
            chunks = msgpack.unpackb(request["body"])
            ids = array("Q", [span["span_id"] for chunk in chunks for span in chunk])
            os.write(file, ids.tobytes())
            peer.send(response(200, b'{"rate_by_service": {}}'))

    with FaultServer(behave, port=port):
        while True:
            time.sleep(60.0)


if __name__ == "__main__":
    main()
