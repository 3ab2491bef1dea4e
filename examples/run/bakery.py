"""What `threads.py` has done: some in a pool of threads, some in a thread of its own."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor


def bake(item: str) -> int:
    """Look up, in SQL, how many pieces that makes."""
    oven = sqlite3.connect(":memory:")
    try:
        (pieces,) = oven.cursor().execute("SELECT length(?)", (item,)).fetchone()
        return int(pieces)
    finally:
        oven.close()


def bake_all(items: list[str]) -> int:
    """Bake the first in a thread, the others in a pool; return how many pieces there are."""
    baked: list[int] = []
    first = threading.Thread(target=lambda: baked.append(bake(items[0])))
    first.start()
    first.join()
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(bake, items[1:]), *baked)
