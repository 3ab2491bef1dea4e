"""A script that works in threads. Nothing here traces.

DD_TRACE_METHODS=bakery:bake_all fasttrace-run threads.py
"""

import bakery

if __name__ == "__main__":
    print(f"{bakery.bake_all(['bread', 'rolls', 'cake'])} pieces")
