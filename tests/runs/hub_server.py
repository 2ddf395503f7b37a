"""A Hugging Face hub for tests: the few requests of its HTTP interface that uploading and downloading a run make."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0" * 40


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, dict[str, bytes]]
    """Repository -> path -> content."""
    requests: list[str]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, values: Any, status: int = 200, **headers: str) -> None:
        body = values if isinstance(values, bytes) else json.dumps(values).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        self.requests.append(f"POST {path}")
        body = self.body()
        if path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values.get('organization') or 'me'}/{values['name']}"
            self.files.setdefault(name, {})
            self.answer({"url": f"http://{self.headers['Host']}/{name}", "name": name, "id": "1"})
        elif path.startswith("/api/models/") and "/preupload/" in path:
            listed = json.loads(body)["files"]
            self.answer(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in listed]}
            )
        elif path.startswith("/api/models/") and "/commit/" in path:
            name = path.removeprefix("/api/models/").split("/commit/")[0]
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[name][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.answer({"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{COMMIT}", "commitOid": COMMIT})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        else:
            self.answer({"error": "unknown"}, 404)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.requests.append(f"{self.command} {path}")
        if path == "/api/whoami-v2":
            self.answer({"name": "me"})
            return
        if path.startswith("/api/models/"):
            name, _, rest = path.removeprefix("/api/models/").partition("/revision/")
            name, _, tree = name.partition("/tree/")
            if name not in self.files:
                self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
                return
            listed = self.files[name]
            if tree:
                self.answer([_entry(file, content) for file, content in listed.items()])
            else:
                self.answer({"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in listed]})
            return
        name, _, rest = path.strip("/").partition("/resolve/")
        file = rest.partition("/")[2]
        content = self.files.get(name, {}).get(file)
        if content is None:
            self.answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            return
        etag = hashlib.sha1(content).hexdigest()
        self.answer(content, ETag=f'"{etag}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET  # noqa: N815 - the server calls it by this name


def _entry(file: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def hub_server() -> Iterator[tuple[str, dict[str, dict[str, bytes]], list[str]]]:
    """Give the address of a hub, its repositories with their files, and the requests it has had."""
    handler = type("Handler", (_Handler,), {"files": {}, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.files, handler.requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
