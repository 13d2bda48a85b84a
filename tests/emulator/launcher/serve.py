"""A real AWS API server on this machine: moto, one request at a time, with corrections, faults on
demand and a record of every call. Started by the crate beside it; ends when its standard input does.

usage: serve.py [PORT]     (prints the port it got)
"""
import io
import json
import os
import socket
import sys
import threading
import time
from urllib.parse import parse_qs

os.environ.setdefault("MOTO_S3_CUSTOM_ENDPOINTS", "")
sys.setswitchinterval(0.001)

from moto.moto_api._internal import moto_api_backend  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from moto.sqs import models as sqs  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

import calls  # noqa: E402
import corrections  # noqa: E402
import events  # noqa: E402
import faults  # noqa: E402
import fleet  # noqa: E402
import fleet_calls  # noqa: E402
import seed  # noqa: E402

WAIT_SECONDS = 1.0
STEP_SECONDS = 0.1
moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Condition(threading.RLock())
recorded, recording, rules, roles = [], True, [], {}


def control(environ, start_response, body):
    """`/_emulator/…`: what tests ask of the server itself."""
    global recording, rules, roles
    path, query = environ["PATH_INFO"].removeprefix("/_emulator/"), parse_qs(environ.get("QUERY_STRING", ""))
    answer = {}
    with turn:
        if path == "calls":
            after = int(query.get("after", ["0"])[0])
            answer = {"calls": recorded[after:], "next": len(recorded)}
        elif path == "calls/clear":
            recorded.clear()
        elif path == "reset":
            recorded.clear()
            rules, roles, recording = [], {}, True
            moto_api_backend.reset()
            fleet.reset()
        elif path == "recording":
            recording = query.get("on", ["1"])[0] == "1"
        elif path == "faults" and environ["REQUEST_METHOD"] == "POST":
            rules = [faults.Rule(words) for words in json.loads(body or b"[]")]
        elif path == "roles":
            roles = json.loads(body or b"{}")
        elif path == "events":
            # Waits for the next one, for a while; who names none hears at once how many there were.
            number, deadline = int(query.get("after", [events.count])[0]), time.monotonic()
            deadline += WAIT_SECONDS if "after" in query else 0
            while events.count <= number and time.monotonic() < deadline:
                turn.wait(deadline - time.monotonic())
            answer = events.after(number)
        elif path == "fleet":
            if environ["REQUEST_METHOD"] == "POST":
                fleet.settings(json.loads(body or b"{}"))
                turn.notify_all()
            answer = fleet.told()
        elif path == "older":
            corrections.older(**json.loads(body))
        elif path == "seed":
            seed.put(**json.loads(body))
        elif path == "faults":
            answer = {"rules": [{**rule.words, "seen": rule.seen, "struck": rule.struck} for rule in rules]}
        elif path != "health":
            start_response("404 Not Found", [("Content-Length", "0")])
            return [b""]
    text = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


def handle(environ, body):
    """One request to moto, whole: status, headers, body."""
    seen = {}

    def start(status, headers, exc_info=None):
        seen["status"], seen["headers"] = status, headers

    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    answer = b"".join(moto(environ, start))
    return seen["status"], seen["headers"], answer


def receive(environ, body):
    """A long poll waits outside of the turn, and looks when something changed."""
    words = json.loads(body or b"{}")
    name = words.get("QueueUrl", "").rsplit("/", 1)[-1]
    account = words.get("QueueUrl", "").rsplit("/", 2)[-2] if "/" in words.get("QueueUrl", "") else "123456789012"
    region = environ.get("HTTP_AUTHORIZATION", "Credential=/x/us-east-1/").split("Credential=")[-1].split("/")[2]
    wait = float(words.get("WaitTimeSeconds", 0))
    words["WaitTimeSeconds"] = 0
    now, deadline = json.dumps(words).encode(), time.monotonic() + wait
    with turn:
        while True:
            if gone(environ):
                # Whoever asked is dead: what it got now would be lost to everybody for a while.
                return "200 OK", [("Content-Type", "application/x-amz-json-1.0")], b"{}"
            left = deadline - time.monotonic()
            try:
                ready = corrections.next_visible(name, sqs.sqs_backends[account][region])
            except Exception:
                ready = 0  # No such queue: let the service say so.
            if ready == 0 or left <= 0:
                answer = handle(dict(environ), now)
                if left <= 0 or b'"Messages"' in answer[2] or not answer[0].startswith("200"):
                    return answer
                ready = 0.01
            turn.wait(min(left, WAIT_SECONDS, ready if ready is not None else WAIT_SECONDS))


def gone(environ):
    """Whether the caller has closed its connection."""
    connection = environ["werkzeug.socket"]
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def fail(call, when):
    """The status that a rule wants seen, or None."""
    if call is None:
        return None
    for rule in rules:
        if rule.words.get("when", "before") == when and rule.strikes(call):
            if rule.words.get("delay_ms"):
                time.sleep(rule.words["delay_ms"] / 1000)
            if "status" in rule.words:
                return rule.words["status"]
    return None


def cut(environ, start_response):
    """The caller never hears."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start_response("500 Cut", [("Content-Length", "0")])
    return [b""]


def say(start_response, status, kind, body):
    start_response(f"{status} On Purpose", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def serve(environ, start_response):
    length = environ.get("CONTENT_LENGTH")
    chunked = environ.get("wsgi.input_terminated")
    body = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(int(length or 0))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    if environ["PATH_INFO"].startswith("/_emulator/"):
        return control(environ, start_response, body)
    call = calls.of(environ, body)
    if call and call[2] in ("SendMessage", "SendMessageBatch"):
        body = corrections.traced(environ.get("HTTP_X_AMZN_TRACE_ID"), body)
    refused = faults.refusal(call, roles) if call else None
    struck = refused[0] if refused else fail(call, "before")
    if struck is None:
        if call and call[2] == "ReceiveMessage":
            status, headers, answer = receive(environ, body)
        else:
            with turn:
                if call and call[1] in ("autoscaling", "ec2"):
                    fleet.step()
                status, headers, answer = handle(environ, body)
                turn.notify_all()
        struck = fail(call, "after")
    seen = struck if struck is not None else int(status.split()[0])
    if call and recording:
        caller, service, action, resource = call
        entry = {"at": time.time(), "caller": caller, "service": service, "action": action, "resource": resource,
                 "status": seen, "bytes": len(body), "class": calls.price_class(service, action)}
        if action == "ReceiveMessage" and struck is None:
            entry["empty"] = b'"Messages"' not in answer
        with turn:
            recorded.append(entry)
    if struck == 0:
        return cut(environ, start_response)
    if struck is not None:
        return say(start_response, *(refused or faults.answer(call, struck)))
    start_response(status, framed(environ, headers, answer))
    return [answer]


def framed(environ, headers, answer):
    """Headers with the length that frames the body. The answer to HEAD tells of a body it has not."""
    kept = [(k, v) for k, v in headers if k.lower() not in ("connection", "server", "date", "transfer-encoding")]
    if environ["REQUEST_METHOD"] == "HEAD" or status_without_body(answer, kept):
        return kept
    return [(k, v) for k, v in kept if k.lower() != "content-length"] + [("Content-Length", str(len(answer)))]


def status_without_body(answer, headers):
    return not answer and any(k.lower() == "content-length" and v == "0" for k, v in headers)


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: without this each answer waits for a delayed acknowledgement.
    disable_nagle_algorithm = True

    def log(self, type, message, *args):
        pass


def pass_time():
    """Groups go on by themselves."""
    while True:
        time.sleep(STEP_SECONDS)
        with turn:
            if fleet.step():
                turn.notify_all()


def main():
    corrections.apply()
    events.apply()
    fleet_calls.apply()
    server = make_server("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0, serve, threaded=True, request_handler=Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=pass_time, daemon=True).start()
    # Whoever started us holds the other end.
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
