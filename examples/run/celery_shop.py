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
for name in ("queue", "control"):
    (directory / name).mkdir(exist_ok=True)
app = Celery("celery_shop", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(directory / "queue"),
    "data_folder_out": str(directory / "queue"),
    "control_folder": str(directory / "control"),
    "polling_interval": 0.05,
}
app.conf.broker_connection_retry_on_startup = True


@app.task
def order(item: str) -> None:
    """Note the order and pass it on."""
    with sqlite3.connect(directory / "orders") as orders:
        cursor = orders.cursor()
        cursor.execute("CREATE TABLE IF NOT EXISTS orders (item TEXT)")
        cursor.execute("INSERT INTO orders VALUES (?)", (item,))
    bake.delay(item)


@app.task
def bake(item: str) -> None:
    """Bake it."""
    (directory / "baked").write_text(item)
