"""What Jones 1.0 writes to ZooKeeper, in its order: one transaction for each node, nothing in a multi.

    jones_server.py SERVERS PASSWORD call SERVICE METHOD ARGUMENTS...   one call; arguments are JSON where they parse
    jones_server.py SERVERS PASSWORD http                               Jones's HTTP routes; prints the port
"""

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError
from kazoo.security import ACL, Id, Permissions, make_digest_acl_credential


def credential(password):
    """The secret that Jones sends: already a digest, which ZooKeeper hashes once more."""
    return base64.b64encode(hashlib.sha1(f"Jones:{password}".encode()).digest()).decode()


def connect(servers, password="changeme"):
    secret = credential(password)
    owner = ACL(Permissions.ALL, Id("digest", make_digest_acl_credential("Jones", secret)))
    client = KazooClient(
        hosts=servers,
        auth_data=[("digest", f"Jones:{secret}")],
        default_acl=[ACL(Permissions.READ, Id("world", "anyone")), owner],
    )
    client.start()
    return client


class Jones:
    """One service. An environment is a path such as `parent/child1`; the empty one is the root environment."""

    def __init__(self, client, service):
        self.client = client
        self.root = f"/services/{service}"

    def path(self, kind, env):
        return "/".join([self.root, kind] + [name for name in env.split("/") if name])

    def view_page(self):
        """Opening any page creates these."""
        self.client.ensure_path(self.root)
        self.client.ensure_path(f"{self.root}/nodemaps")

    def create_service(self):
        self.view_page()
        self.create_config("", {})

    def create_config(self, env, conf):
        if not isinstance(conf, dict):
            raise ValueError("conf must be a mapping")
        self.client.ensure_path(f"{self.root}/views")
        self.client.create(self.path("conf", env), json.dumps(conf).encode())
        self.update_view(env)

    def set_config(self, env, conf, version=-1):
        if not isinstance(conf, dict):
            raise ValueError("conf must be a mapping")
        self.client.set(self.path("conf", env), json.dumps(conf).encode(), version)
        for env in self.walk(env):
            self.update_view(env)

    def get_config(self, env):
        data, stat = self.client.get(self.path("conf", env))
        return json.loads(data), stat.version

    def delete_config(self, env):
        self.client.delete(self.path("conf", env))
        self.client.delete(self.path("views", env))

    def delete_service(self):
        self.client.delete(self.root, recursive=True)

    def associations(self):
        data, stat = self.client.get(f"{self.root}/nodemaps")
        return json.loads(data) if data else {}, stat.version

    def associate(self, host, env):
        hosts, version = self.associations()
        hosts[host] = self.path("views", env)
        self.client.set(f"{self.root}/nodemaps", json.dumps(hosts).encode(), version)

    def delete_association(self, host):
        hosts, version = self.associations()
        del hosts[host]
        self.client.set(f"{self.root}/nodemaps", json.dumps(hosts).encode(), version)

    def walk(self, env):
        """An environment and all below it, parents first."""
        yield env
        for name in sorted(self.client.get_children(self.path("conf", env))):
            yield from self.walk(f"{env}/{name}".lstrip("/"))

    def update_view(self, env):
        """Writes the view, whether it changed or not. A new one is empty for one transaction."""
        view = {}
        names = [name for name in env.split("/") if name]
        for depth in range(len(names) + 1):
            view.update(self.get_config("/".join(names[:depth]))[0])
        self.client.ensure_path(self.path("views", env))
        self.client.set(self.path("views", env), json.dumps(view).encode())

    def show(self):
        envs = {env: self.get_config(env) for env in self.walk("")}
        views = {env: json.loads(self.client.get(self.path("views", env))[0] or b"null") for env in envs}
        return {"confs": envs, "views": views, "hosts": self.associations()[0]}


class Handler(BaseHTTPRequestHandler):
    """Jones's routes. Every error is a bare 500."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        try:
            body = json.dumps(self.route([unquote(part) for part in urlsplit(self.path).path.split("/") if part], form))
            status = 200
        except Exception as why:  # as Flask does
            body, status = f"{type(why).__name__}: {why}", 500
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def route(self, parts, form):
        client = self.server.client
        if not parts:
            for name in client.get_children("/services"):
                Jones(client, name).view_page()
            return sorted(client.get_children("/services"))
        service, rest = parts[1], parts[2:]
        jones = Jones(client, service)
        if rest[:1] == ["association"]:
            if self.command == "PUT":
                return jones.associate(rest[1], form["env"])
            if self.command == "DELETE":
                return jones.delete_association(rest[1])
            return jones.associations()[0][rest[1]]
        env = "/".join(rest)
        if self.command == "POST":
            return jones.create_config(env, {}) if env else jones.create_service()
        if self.command == "PUT":
            return jones.set_config(env, json.loads(form["data"]), int(form["version"]))
        if self.command == "DELETE":
            return jones.delete_config(env) if env else jones.delete_service()
        jones.view_page()
        return jones.get_config(env)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def argument(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def main(servers, password, mode, *arguments):
    client = connect(servers, password)
    try:
        client.ensure_path("/services")
    except NodeExistsError:
        pass
    if mode == "call":
        service, method, *arguments = arguments
        print(json.dumps(getattr(Jones(client, service), method)(*map(argument, arguments))))
        client.stop()
    else:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.client = client
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
