"""Contends for a lock with kazoo.

    kazoo_lock.py SERVERS PATH IDENTIFIER Lock|ReadLock|WriteLock once
    kazoo_lock.py SERVERS PATH IDENTIFIER Lock|ReadLock|WriteLock LOG SECONDS

`once` prints `held` when it has the lock, and releases it at a line `release`. At a line `contenders` it prints them. The
other form holds the lock for SECONDS again and again, and adds `begin NAME` and `end NAME` to the file LOG. A holder that
loses its session stops. Both end with their standard input. $CREDENTIAL is USER:PASSWORD.
"""

import json
import os
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.protocol.states import KazooState


def commands(lock):
    for line in sys.stdin:
        if line.strip() == "release":
            lock.release()
            print("released", flush=True)
        else:
            print(json.dumps(lock.contenders()), flush=True)
    os._exit(0)


def contend(client, make, log, seconds):
    lost = threading.Event()
    client.add_listener(lambda state: lost.set() if state == KazooState.LOST else None)
    file = os.open(log, os.O_APPEND | os.O_WRONLY | os.O_CREAT)
    number = 0
    while True:
        lost.clear()
        lock = make()
        try:
            lock.acquire()
        except KazooException:
            continue
        if not lost.is_set():
            number += 1
            name = f"k{os.getpid()}-{number}"
            os.write(file, f"begin {name} 0\n".encode())
            lost.wait(seconds)
            os.write(file, f"end {name} 0\n".encode())
        try:
            lock.release()
        except KazooException:
            pass


def main():
    servers, path, identifier, kind = sys.argv[1:5]
    credential = os.environ.get("CREDENTIAL")
    auth = [("digest", credential)] if credential else None
    client = KazooClient(hosts=servers, timeout=6.0, auth_data=auth, connection_retry={"max_tries": -1})
    client.start(timeout=60)
    make = lambda: getattr(client, kind)(path, identifier)
    if sys.argv[5] == "once":
        lock = make()
        threading.Thread(target=commands, args=[lock], daemon=True).start()
        lock.acquire()
        print("held", flush=True)
        threading.Event().wait()
    threading.Thread(target=contend, args=[client, make, sys.argv[5], float(sys.argv[6])], daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
