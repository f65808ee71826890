"""Connections, most of them short: traffic.py serve | traffic.py ask ADDRESS."""

import socket
import sys
import time

PORT = 8000


def serve() -> None:
    """Answers; of every tenth connection it keeps an answer that nobody reads."""
    kept: list[socket.socket] = []
    listener = socket.create_server(("", PORT), backlog=50)
    while True:
        connection, _ = listener.accept()
        question = connection.recv(100)
        connection.sendall(question * 100)
        if question.endswith(b"0"):
            kept.append(connection)
        else:
            connection.close()


def ask(address: str) -> None:
    kept: list[socket.socket] = []
    number = 0
    while True:
        number += 1
        try:
            connection = socket.create_connection((address, PORT), timeout=5)
            connection.sendall(b"question %d" % number)
        except OSError:
            time.sleep(1)
            continue
        if number % 10 == 0 and len(kept) < 50:
            kept.append(connection)
        else:
            connection.recv(5000)
            connection.close()
        time.sleep(0.05)


if sys.argv[1] == "serve":
    serve()
else:
    ask(sys.argv[2])
