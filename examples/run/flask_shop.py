"""A shop in Flask: SQL by sqlite3, and a request to itself by requests. Nothing here traces.

fasttrace-run gunicorn --workers 2 flask_shop:app
"""

import logging
import sqlite3

import requests
from flask import Flask, request

app = Flask(__name__)


@app.get("/order/<item>")
def order(item: str) -> str:
    """Ask the other worker whether there is any, and note the order."""
    stock = requests.get(f"{request.host_url}stock/{item}", timeout=10).text
    with sqlite3.connect(":memory:") as orders:
        cursor = orders.cursor()
        cursor.execute("CREATE TABLE orders (item TEXT)")
        cursor.execute("INSERT INTO orders VALUES (?)", (item,))
    logging.getLogger("shop").warning("ordered %s", item)
    return f"{item}: {stock} left\n"


@app.get("/stock/<item>")
def stock(item: str) -> str:
    """Say how many there are."""
    return str(len(item))
