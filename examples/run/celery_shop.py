"""Tasks of Celery: one orders, and has another bake. Nothing here traces.

fasttrace-run celery -A celery_shop worker
fasttrace-run celery -A celery_shop call celery_shop.order --args '["bread"]'

The broker is a directory, so that no other server is needed; SHOP_DIRECTORY says which.
"""

import os
import sqlite3
from pathlib import Path

from celery import Celery

directory = Path(os.environ.get("SHOP_DIRECTORY", "."))
for name in ("queue", "control", "results"):
    (directory / name).mkdir(exist_ok=True)
app = Celery("celery_shop", broker="filesystem://", backend=f"file://{directory}/results")
app.conf.broker_transport_options = {
    "data_folder_in": str(directory / "queue"),
    "data_folder_out": str(directory / "queue"),
    "control_folder": str(directory / "control"),
    "polling_interval": 0.05,
}
app.conf.broker_connection_retry_on_startup = True


@app.task
def order(item: str) -> int:
    """Note the order and pass it on; return its number."""
    with sqlite3.connect(directory / "orders") as orders:
        cursor = orders.cursor()
        cursor.execute("CREATE TABLE IF NOT EXISTS orders (item TEXT)")
        cursor.execute("INSERT INTO orders VALUES (?)", (item,))
    bake.delay(item)
    return cursor.lastrowid or 0


@app.task
def bake(item: str) -> str:
    """Bake it, unless it is a stone."""
    if item == "stone":
        raise ValueError(f"a {item} cannot be baked")
    print("baked", item)
    return f"warm {item}"
