"""Clients that ask and then hang: most take nothing of their answer, some a little every second.

    python3 idle-clients.py HOST PORT PATH CLIENTS SLOW

Python, because Node cannot set what makes a loopback connection like one over a real line: a small receive buffer, and
Ethernet's segment size instead of loopback's 64 KB, by which the kernel on the other side sizes its send buffer. Prints
"ready" when each has the beginning of its answer, and ends with its standard input; then prints how many connections were
closed under its hands.
"""

import os
import socket
import sys
import threading

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
clients, slow = int(sys.argv[4]), int(sys.argv[5])
request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

sockets = []
for index in range(clients):
    each = socket.socket()
    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    # More connections than one address has ports for come from several.
    each.bind((f"127.0.0.{2 + index // 5000}", 0))
    each.connect((host, port))
    each.sendall(request)
    sockets.append(each)
for each in sockets:
    if not each.recv(64).startswith(b"HTTP/1.1 200"):
        sys.exit("an answer is not 200")
    each.setblocking(False)
print("ready", flush=True)

ending = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ending.set()), daemon=True).start()
closed = 0
while not ending.wait(1):
    for each in sockets[:slow]:
        try:
            closed += each.recv(2048) == b""
        except BlockingIOError:
            pass
        except OSError:
            closed += 1
for each in sockets[slow:]:
    try:
        # What is there is all right; the end is not.
        while each.recv(65536):
            pass
        closed += 1
    except BlockingIOError:
        pass
    except OSError:
        closed += 1
print(closed, flush=True)
os._exit(0)
