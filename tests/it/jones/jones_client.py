"""A client of Jones, as the package 0.5.4 of PyPI and as version 1.0 behave.

    jones_client.py SERVERS SERVICE HOST 0.5.4|1.0

Prints each configuration that the client would use, as a line of JSON, and each error as a line `error: ...`. With
several hosts, separated by commas, each line begins with the host. It ends with its standard input.
"""

import json
import sys

from kazoo.client import KazooClient


def arrows(data):
    """0.5.4: reads lines only, and no final line end."""
    return dict(line.split(" -> ") for line in data.split("\n")) if data else {}


def from_json(data):
    """1.0: reads JSON only."""
    return json.loads(data) if data else {}


class Client:
    """Neither version stops the watch on the former node when the host is mapped to another one."""

    def __init__(self, client, service, host, parse, prefix):
        self.client, self.service, self.host, self.parse = client, service, host, parse
        self.prefix = prefix
        client.DataWatch(f"/services/{service}/nodemaps", self.nodemaps_changed)

    def nodemaps_changed(self, data, stat):
        if stat is None:
            self.say("error: EnvironmentNotFoundException")
            return
        try:
            hosts = self.parse(data.decode())
        except ValueError as why:
            self.say(f"error: {type(why).__name__}: {why}")
            return
        path = hosts.get(self.host, f"/services/{self.service}/conf")
        self.client.DataWatch(path, self.config_changed)

    def config_changed(self, data, stat):
        try:
            self.say(json.dumps(json.loads(data.decode()), sort_keys=True))
        except (AttributeError, ValueError) as why:
            self.say(f"error: {type(why).__name__}: {why}")

    def say(self, line):
        print(self.prefix + line, flush=True)


def main(servers, service, host, version):
    client = KazooClient(hosts=servers)
    client.start()
    hosts = host.split(",")
    for host in hosts:
        prefix = f"{host} " if len(hosts) > 1 else ""
        Client(client, service, host, {"0.5.4": arrows, "1.0": from_json}[version], prefix)
    sys.stdin.read()
    client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
