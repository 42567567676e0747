#!/usr/bin/env python3
"""Records what another tool of the same command line says to our scenes.

usage: record.py ETCD_PORT PROGRAM SCENE...

Plays each scene (README.md) against the etcd on that port of this host and writes what happened into the file. For the
scenes in `original/` the program is Patroni's own patronictl; start an etcd of your own for it.
"""

import base64
import http.server
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import urllib.request

RECORDED = ("!", "", ">", "=", "\\")

MASKS = [
    (r"10:10:00(\.\d+)?\+00:00", r"10:10:00\1{zone}"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - ", "{log} - "),
    (r"version \d+\.\d+\.\d+$", "version {version}"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{5}(?!\d)", "{time}"),
    (r"e\.g\. \d{4}-\d\d-\d\dT\d\d:\d\d", "e.g. {soon}"),
    (r"\b202[0-9]-\d\d-\d\d \d\d:\d\d:\d\d\b(?![.+])", "{clock}"),
]


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Etcd:
    def __init__(self, port):
        self.port = port

    def call(self, call, **body):
        body = json.dumps({key: encoded(value) for key, value in body.items()}).encode()
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v3/kv/{call}", body))

    def get(self, key):
        found = self.call("range", key=key).get("kvs")
        return base64.b64decode(found[0].get("value", "")).decode() if found else "(none)"


class Members:
    """The members' REST API: says what the scene tells it to."""

    def __init__(self):
        self.replies, self.heard = {}, []
        members = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                credentials = self.headers.get("authorization") if self.command != "GET" else None
                words = [self.command, self.path, body, credentials and f"({credentials})"]
                members.heard.append(" ".join(word for word in words if word) + "\n")
                status, text = members.replies.get((self.command, self.path), (404, "not scripted"))
                if status:
                    self.send_response_only(status)
                    self.send_header("Content-Type", "text/html")
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Stage:
    def __init__(self, etcd, program, name):
        self.etcd, self.program, self.name = etcd, program, name
        self.members = Members()
        self.directory = tempfile.mkdtemp()
        self.config = ["scope: demo", f"namespace: /{name}/", "etcd3:", f"  host: 127.0.0.1:{etcd.port}"]
        self.env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        etcd.call("deleterange", key=f"/{name}/", range_end=f"/{name}0")

    def key(self, name):
        return f"/{self.name}/demo/{name}"

    def filled(self, text):
        text = text.replace("{port}", str(self.members.port)).replace("{dir}", self.directory)
        return text.replace("{etcd}", str(self.etcd.port))

    def masked(self, text):
        text = text.replace(self.directory, "{dir}").replace(str(self.members.port), "{port}")
        for pattern, word in MASKS:
            text = re.sub(pattern, word, text, flags=re.M)
        return text

    def gutter(self, mark, text):
        if not text:
            return []
        text = self.masked(text)
        lines = [f"{mark} {line}" if line else mark.strip() for line in text.removesuffix("\n").split("\n")]
        return lines if text.endswith("\n") else lines + ["\\"]

    def write(self, name, lines):
        path = pathlib.Path(self.directory, name)
        path.write_text("".join(self.filled(line) + "\n" for line in lines))
        path.chmod(0o755)

    def perform(self, word, rest, belonging):
        """What is to be recorded below the line."""
        if word == "config" and rest == "noscope":
            self.config.pop(0)
        elif word == "config":
            self.config.append(rest)
        elif word == "env":
            name, _, value = self.filled(rest).partition("=")
            self.env[name] = value
        elif word == "file":
            self.write(rest, [line[2:] for line in belonging])
        elif word == "key":
            name, _, value = rest.partition(" ")
            self.etcd.call("put", key=self.key(name), value=self.filled(value))
        elif word == "delete":
            self.etcd.call("deleterange", key=self.key(rest))
        elif word == "reply":
            method, path, status, *text = rest.split(" ", 3)
            self.members.replies[method, path] = (int(status), self.filled("".join(text)))
        elif word == "get":
            return self.gutter(" ", self.etcd.get(self.key(rest)) + "\n")
        elif word == "$":
            return self.run(shlex.split(self.filled(rest)), "".join(line[2:] + "\n" for line in belonging))
        elif word != "#":
            raise SystemExit(f"{self.name}: no instruction: {word}")
        return []

    def run(self, words, answers):
        self.write("ctl.yml", self.config)
        words = words[1:] if words[:1] == ["raw"] else ["-c", "ctl.yml", *words]
        self.members.heard.clear()
        ended = subprocess.run(shlex.split(self.program) + words, input=answers, capture_output=True, text=True,
                               env=self.env, cwd=self.directory, timeout=60)
        if "Traceback (most recent call last)" in ended.stderr:
            raise SystemExit(f"{self.name}: {words}: a stack trace is no golden answer:\n{ended.stderr}")
        recorded = self.gutter(">", "".join(self.members.heard))
        recorded += self.gutter(" ", ended.stdout) + self.gutter("!", ended.stderr)
        return recorded + ([f"= {ended.returncode}"] if ended.returncode else [])


def play(etcd, program, path):
    stage = Stage(etcd, program, path.stem)
    lines = path.read_text().split("\n")[:-1]
    played = []
    while lines:
        line = lines.pop(0)
        word, _, rest = line.partition(" ")
        if word in RECORDED:
            continue
        mark = {"file": "  ", "$": "<"}.get(word)
        belonging = []
        while mark and lines and lines[0].startswith(mark):
            belonging.append(lines.pop(0))
        played += [line, *belonging, *stage.perform(word, rest, belonging)]
    path.write_text("".join(line + "\n" for line in played))


for scene in sys.argv[3:]:
    play(Etcd(sys.argv[1]), sys.argv[2], pathlib.Path(scene))
