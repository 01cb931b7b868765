"""A hub of models on loopback, as far as the hub's own library asks one for files: repositories are folders."""

import hashlib
import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class FakeHub:
    """Repositories by their names; ``asked`` keeps every request as (method, path).

    Args:
        url: where it listens.
        is_ill: whether it answers 503 to everything.
        altered: paths of files of which one byte is wrong on the way.
    """

    def __init__(self):
        self.url, self.is_ill = "", False
        self.asked: list[tuple[str, str]] = []
        self.altered: set[str] = set()
        self._branches: dict[str, dict[str, str]] = {}  # name -> revision -> commit
        self._folders: dict[tuple[str, str], Path] = {}  # (name, commit) -> folder

    def publish(self, name: str, folder: Path, branch: str = "main") -> str:
        """Make the folder what a branch of a repository is from now on; its commit."""
        told = "".join(f"{file} {file.stat().st_mtime_ns}" for file in sorted(folder.rglob("*")))
        commit = hashlib.sha1(f"{folder} {told}".encode(), usedforsecurity=False).hexdigest()
        self._branches.setdefault(name, {})[branch] = commit
        self._folders[name, commit] = folder
        return commit

    def files_given(self) -> set[str]:
        """Names, within their repository, of the files whose contents were asked for."""
        return {path.split("/", 5)[5] for method, path in self.asked if method == "GET" and "/resolve/" in path}

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request."""
        if self.is_ill:
            return 503, {}, b""
        is_info = path.startswith("/api/models/")
        # "", owner, name, revision|resolve, REVISION, file
        words = [unquote(word) for word in path.removeprefix("/api/models").split("/", 5)]
        name = "/".join(words[1:3])
        if name not in self._branches:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        asked = words[4] if len(words) > 4 else "main"
        commit = self._branches[name].get(asked, asked)
        if (name, commit) not in self._folders:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if is_info:
            return 200, {"Content-Type": "application/json"}, json.dumps({"id": name, "sha": commit}).encode()
        file = self._folders[name, commit] / words[5]
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        body = file.read_bytes()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}
        return 200, headers, bytes([body[0] ^ 1]) + body[1:] if words[5] in self.altered else body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: FakeHub, *more):
        self.hub = hub
        super().__init__(*more)

    def do_GET(self):
        self._answer(with_body=True)

    def do_HEAD(self):
        self._answer(with_body=False)

    def _answer(self, with_body: bool):
        self.hub.asked.append((self.command, self.path))
        status, headers, body = self.hub.answer(self.path)
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def fake_hub():
    """A hub that listens while the block runs."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub))
    server.daemon_threads = True
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
