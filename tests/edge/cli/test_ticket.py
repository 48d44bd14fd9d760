"""ticket: against a small real HTTP server that answers by central's conventions, and misbehaves."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TICKET = {
    "code": "T-20261121-0007",
    "title": "gate-03: door_jam",
    "state": "assigned",
    "state_since": "2026-11-21T08:00:00+00:00",
    "priority": "P2",
    "asset": "gate-03",
    "lane": "E03",
    "assignee": "li",
    "version": 3,
}
EVENT = {
    "id": "1",
    "at": "2026-11-21T08:00:00+00:00",
    "actor": "system",
    "kind": "opened",
    "state": "new",
    "payload": {},
}


class Central(ThreadingHTTPServer):
    """Answers by its list of (status, headers, body), or by path; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, request: str, body: Any, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[request] = (status, headers, raw)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Central

    def do_GET(self) -> None:
        self._answer("GET", None)

    def do_POST(self) -> None:
        self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def _answer(self, method: str, body: Any) -> None:
        self.server.asked.append((method, self.path, dict(self.headers), body))
        status, headers, raw = self.server.answers.get(f"{method} {self.path}", (404, {}, b""))
        if status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def central(monkeypatch: pytest.MonkeyPatch) -> Iterator[Central]:
    with Central() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.01), name="central-double")
        thread.start()
        monkeypatch.setenv("GATEFLEET_CENTRAL", server.url + "/")
        monkeypatch.setenv("GATEFLEET_API_KEY", "gf_test")
        server.answer("GET /v1/tickets/T-20261121-0007", TICKET, ETag='"3"')
        server.answer("GET /v1/tickets/T-20261121-0007/events?limit=500", {"items": [EVENT], "next_cursor": None})
        yield server
        server.shutdown()
        thread.join(5)


def test_tickets_are_listed_page_by_page(run, central):
    first = {"items": [TICKET], "next_cursor": "abc"}
    central.answer("GET /v1/tickets?state=assigned&limit=100", first)
    central.answer(
        "GET /v1/tickets?state=assigned&limit=100&cursor=abc",
        {"items": [{**TICKET, "code": "T-2"}], "next_cursor": None},
    )
    shown = run("ticket", "list", "--state", "assigned", "--json")
    assert shown.code == 0
    assert [one["code"] for one in shown.json] == ["T-20261121-0007", "T-2"]
    assert central.asked[0][2]["Authorization"] == "Bearer gf_test"
    for_people = run("ticket", "list", "--state", "assigned")
    assert "gate-03: door_jam" in for_people.out


def test_a_central_that_pages_for_ever_is_cut_off(run, central):
    page = {"items": [{"code": str(n)} for n in range(100)], "next_cursor": "again"}
    central.answer("GET /v1/tickets?limit=100", page)
    central.answer("GET /v1/tickets?limit=100&cursor=again", page)
    shown = run("ticket", "list", "--json")
    assert len(shown.json) == 500


def test_one_ticket_is_shown_with_its_history(run, central):
    shown = run("ticket", "show", "T-20261121-0007", "--json")
    assert shown.json == {**TICKET, "events": [EVENT]}
    assert "opened" in run("ticket", "show", "T-20261121-0007").out


def test_a_ticket_is_taken_as_it_was_seen(run, central):
    central.answer("POST /v1/tickets/T-20261121-0007:assign", {**TICKET, "assignee": "me"})
    shown = run("ticket", "take", "T-20261121-0007", "--json")
    assert (shown.code, shown.json["assignee"]) == (0, "me")
    method, _path, headers, body = central.asked[-1]
    assert (method, headers["If-Match"], body) == ("POST", '"3"', {})
    assert len(headers["Idempotency-Key"]) >= 16


def test_a_ticket_is_resolved(run, central):
    central.answer("POST /v1/tickets/T-20261121-0007:resolve", {**TICKET, "state": "resolved"})
    shown = run("ticket", "resolve", "T-20261121-0007", "--as", "repair", "--note", "hinge greased", "--json")
    assert (shown.code, shown.json["state"]) == (0, "resolved")
    assert central.asked[-1][3] == {"resolution_code": "repair", "note": "hinge greased"}
    assert run("ticket", "resolve", "T-20261121-0007").code == 2


def test_a_problem_is_shown_as_an_error(run, central):
    problem = {
        "type": "/problems/stale",
        "title": "Stale",
        "detail": "somebody changed it",
        "errors": [{"pointer": "#/header/if-match", "detail": "is 4 now"}],
    }
    central.answer("POST /v1/tickets/T-20261121-0007:assign", problem, 412)
    shown = run("ticket", "take", "T-20261121-0007", "--json")
    assert shown.code == 1
    assert shown.json["error"]["code"] == "stale"
    assert shown.json["error"]["detail"] == "somebody changed it\n#/header/if-match: is 4 now"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b"<html>", "http_500"),
        (404, b"[]", "http_404"),
        (302, b"", "http_302"),
        (200, b"<html>", "message_invalid"),
        (200, b"[" * 100_000, "message_invalid"),
        (200, b"[]", "message_invalid"),
        (200, b'{"items": 5}', "message_invalid"),
        (200, b'"' + b"x" * (9 << 20) + b'"', "message_invalid"),
    ],
)
def test_what_is_no_answer_of_central_is_a_clear_error(run, central, status, body, code):
    central.answer("GET /v1/tickets?limit=100", body, status, Location="http://127.0.0.1:1/")
    shown = run("ticket", "list", "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, code)
    assert ("8388608 bytes" in shown.json["error"]["detail"]) == (len(body) > 8 << 20)


def test_central_out_of_reach_is_exit_status_4(run):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    shown = run("ticket", "list", "--central", url, "--json")
    assert (shown.code, shown.json["error"]["code"]) == (4, "central_unreachable")


def test_a_change_whose_answer_is_lost_is_not_repeated(run, central):
    central.answer("POST /v1/tickets/T-20261121-0007:assign", b"", 0)
    shown = run("ticket", "take", "T-20261121-0007", "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "outcome_unknown")
    assert [method for method, *_ in central.asked] == ["GET", "POST"]


def test_the_key_never_travels_in_the_clear(run, monkeypatch):
    monkeypatch.setenv("GATEFLEET_API_KEY", "gf_secret")
    shown = run("ticket", "list", "--central", "http://central.example", "--json")
    assert shown.code == 2
    assert "gf_secret" not in shown.out + shown.err
    assert run("ticket", "list").code == 2
    assert run("ticket", "list", "--central", "ftp://127.0.0.1").code == 2


def test_the_key_may_be_in_a_file(run, central, tmp_path):
    file = tmp_path / "key"
    file.write_text("gf_of_file\n", encoding="ascii")
    run("ticket", "show", "T-20261121-0007", "--key-file", str(file))
    assert central.asked[0][2]["Authorization"] == "Bearer gf_of_file"
    assert run("ticket", "list", "--key-file", str(tmp_path / "none")).code == 1
    file.write_bytes(b"gf\r\nEvil: 1")
    assert run("ticket", "list", "--key-file", str(file)).code == 1


def test_a_code_cannot_leave_its_place_in_the_path(run, central):
    run("ticket", "show", "../api-keys?x=1")
    assert central.asked[0][1] == "/v1/tickets/..%2Fapi-keys%3Fx%3D1"
