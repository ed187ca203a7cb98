"""A stand-in for the model hub on this machine: real HTTP, one repository of real files."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_CHUNK = 2**14


@dataclass
class StandInHub:
    """What the tests set, and what they may ask.

    Attributes:
        repo: Name of the only repository.
        folder: Its files.
        hold_after: Bytes of weights after which the hub holds the rest back, for a line that hangs.
        drop_after: The same for a line that breaks, once.
        corrupt: Send weights with the last byte changed.
        claim: Sizes to list instead of the real ones.
        ignore_ranges: Answer a request for the rest of a file with all of it.
        requests: How often it was asked for anything.
        sent: Bytes sent of each file so far.
        holding: Set as soon as something is held back.
        release: Ends the holding.
    """

    repo: str
    folder: Path
    hold_after: int | None = None
    drop_after: int | None = None
    corrupt: bool = False
    claim: dict[str, int] = field(default_factory=dict)
    ignore_ranges: bool = False
    requests: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Content by path within the repository."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def list_tree(self) -> list[dict[str, Any]]:
        """The answer of ``/api/models/{repo}/tree/{revision}``."""
        return [self._list_file(path, content) for path, content in self.files.items()]

    def _list_file(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.claim.get(path, len(content))
        entry = {"type": "file", "path": path, "size": size, "oid": _git_hash(content)}
        if is_large(path):
            entry["lfs"] = {"oid": _sha256(content), "size": size, "pointerSize": 134}
        return entry

    def etag(self, path: str) -> str:
        """What names the content: as on the hub, another hash for large files."""
        content = self.files[path]
        return _sha256(content) if is_large(path) else _git_hash(content)


def is_large(path: str) -> bool:
    """Whether the hub keeps the file in its large file storage."""
    return path.endswith((".safetensors", ".bin"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up: that is what the tests make it do."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandInHub  # set by the subclass of each server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def _answer(self) -> None:
        self.hub.requests += 1
        path = self.path.split("?")[0]
        repo = re.escape(self.hub.repo)
        found = re.fullmatch(rf"/{repo}/resolve/{COMMIT}/(.+)", path)
        if re.fullmatch(rf"/api/models/{repo}/tree/{COMMIT}", path):
            self._send(HTTPStatus.OK, json.dumps(self.hub.list_tree()).encode())
        elif found and found[1] in self.hub.files:
            self._send_file(found[1])
        else:
            self._send(HTTPStatus.NOT_FOUND, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send_file(self, name: str) -> None:
        content = self.hub.files[name]
        if self.hub.corrupt and is_large(name):
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"ETag": f'"{self.hub.etag(name)}"', "X-Repo-Commit": COMMIT}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and not self.hub.ignore_ranges else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        status = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        self._send(status, content[start:], headers, name)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, name: str = ""
    ) -> None:
        self.send_response(status)
        for header, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self._send_body(body, name)

    def _send_body(self, body: bytes, name: str) -> None:
        hub = self.hub
        for start in range(0, len(body), _CHUNK):
            if is_large(name) and hub.drop_after is not None and hub.sent[name] >= hub.drop_after:
                hub.drop_after = None
                self.close_connection = True  # in the middle of what the headers promised
                return
            if is_large(name) and hub.hold_after is not None and hub.sent[name] >= hub.hold_after:
                self.wfile.flush()
                hub.holding.set()
                hub.release.wait()
            try:
                self.wfile.write(body[start : start + _CHUNK])
            except ConnectionError:  # the client was stopped or killed
                self.close_connection = True
                return
            hub.sent[name] += len(body[start : start + _CHUNK])


@contextmanager
def run_hub(folder: Path, repo: str = "someone/tiny") -> Iterator[StandInHub]:
    """Serve ``folder`` as the repository ``repo`` on a free port."""
    hub = StandInHub(repo, folder)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hub
        finally:
            hub.release.set()
            server.shutdown()
            thread.join()


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Point this process's hub client, which reads its environment only once, elsewhere."""
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    constants = "huggingface_hub.constants"
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", url)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(f"{constants}.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(f"{constants}.HF_HUB_OFFLINE", False)


def make_checkpoint(folder: Path) -> Path:
    """Write a tiny language model with genuine classes, and a pickle that must stay away."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<eos>", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=1,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"never asked for")
    return folder
