"""Edits one service through the port of Jones's server, from several threads at once, until standard input ends.

    jones_editors.py SERVERS PASSWORD SERVICE THREADS ENV...

Prints what each thread has written last, as a line of JSON: {"ENV": {"KEY": VALUE}}.
"""

import json
import random
import sys
import threading

from kazoo.exceptions import BadVersionError

from jones_server import Jones, connect


def edit(jones, number, envs, done, written):
    value = 0
    while not done.is_set():
        env, value = random.choice(envs), value + 1
        conf, version = jones.get_config(env)
        conf[f"jones{number}"] = value
        try:
            jones.set_config(env, conf, version)
        except BadVersionError:
            continue
        written.setdefault(env, {})[f"jones{number}"] = value


def main(servers, password, service, threads, *envs):
    client = connect(servers, password)
    done, results, running = threading.Event(), [], []
    for number in range(int(threads)):
        results.append({})
        arguments = (Jones(client, service), number, envs, done, results[-1])
        running.append(threading.Thread(target=edit, args=arguments))
    for thread in running:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    done.set()
    for thread in running:
        thread.join()
    merged = {}
    for written in results:
        for env, values in written.items():
            merged.setdefault(env, {}).update(values)
    print(json.dumps(merged), flush=True)
    client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
