"""Signed requests to every path of the service, made of its OpenAPI document.

Half of them name things that exist and hold messages that the service can read, with one part changed or none;
the other half is what the document allows, and what it does not. No answer may be a failure of the service
or one that the document does not describe; the service goes on; what it acknowledged is in the log.
"""

import base64
import collections
import hashlib
import os
import random
import re
import socket
import struct
from urllib.parse import urlsplit

import requests
import schemathesis
from device import APPLICATION, COMMIT, PROPOSAL, Device, base64url, envelope, private_message, session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

URL = os.environ["SERVICE"]
EXAMPLES = int(os.environ.get("EXAMPLES", "200"))
# Hypothesis seeds that of the module anew for each example.
RANDOM = random.Random(os.environ.get("SEED", "1"))
ANSWERS = collections.Counter()
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

for media_type in ["message/mls", "application/octet-stream", "application/vnd.paired-mls.pairing"]:
    schemathesis.openapi.media_type(media_type, strategy=st.binary(max_size=4096))

schema = schemathesis.openapi.from_url(f"{URL}/v1/openapi.json")


class World:
    """Two accounts and a group of the first one."""

    def __init__(self):
        self.alice, self.bob = Device(), Device()
        self.as_alice, self.as_bob = session(self.alice), session(self.bob)
        for device, http in [(self.alice, self.as_alice), (self.bob, self.as_bob)]:
            answer = http.post(f"{URL}/v1/devices", json=device.registration())
            assert answer.status_code == 201, answer.text
        self.group = new_group(self.alice)
        self.path = f"/v1/groups/{base64url(self.group)}"
        answer = self.as_alice.post(f"{URL}/v1/groups", json={"group": base64url(self.group)})
        assert answer.status_code == 201, answer.text
        self.acknowledged = {}

    def epoch(self):
        return self.as_alice.get(URL + self.path).json()["epoch"]

    def commit(self):
        commit = private_message(self.group, self.epoch(), COMMIT)
        cover = envelope(private_message(self.group, self.epoch(), COMMIT))
        return {"commit": base64url(commit), "account_envelope": base64url(cover)}

    def mls(self):
        return private_message(self.group, self.epoch(), RANDOM.choice([APPLICATION, PROPOSAL]))


def new_group(device):
    """An id that says who creates the group."""
    nonce = os.urandom(16)
    made_by = hashlib.sha256(b"Paired MLS group\0" + device.user_bytes + nonce)
    return nonce + made_by.digest()[:16]


world = World()


def real(case):
    """Puts what exists into a case."""
    ids = {
        "device": RANDOM.choice([world.alice.id, world.bob.id]),
        "user": RANDOM.choice([world.alice.user, world.bob.user]),
        "group": base64url(world.group),
    }
    for name in case.path_parameters or {}:
        if name in ids:
            case.path_parameters[name] = ids[name]
    case.query = {name: value for name, value in (case.query or {}).items() if RANDOM.random() < 0.5}
    operation = (case.method.upper(), case.operation.path)
    valid = {
        ("POST", "/v1/groups/{group}/commits"): world.commit,
        ("POST", "/v1/groups/{group}/messages"): world.mls,
        ("POST", "/v1/devices/{device}/mailbox"): lambda: envelope(world.mls()),
        ("POST", "/v1/groups"): lambda: {"group": base64url(new_group(world.alice))},
        ("POST", "/v1/devices"): world.alice.registration,
    }.get(operation)
    if not valid:
        return
    body = valid()
    if isinstance(body, dict) and isinstance(case.body, dict):
        kept = {name: value for name, value in case.body.items() if RANDOM.random() < 0.3}
        case.body = body | kept
    elif isinstance(body, dict):
        case.body = body
    else:
        at = RANDOM.randrange(len(body) + 1)
        changed = body[:at] + os.urandom(1) + body[at + 1 :]
        case.body = RANDOM.choice([body, changed, body[:at]])


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW, database=None)
def test_every_path(case):
    # Alice's key goes when she revokes her device: only Bob tries.
    revokes = case.method.upper() == "DELETE" and case.operation.path == "/v1/devices/{device}"
    if not revokes and RANDOM.random() < 0.5:
        real(case)
    http = world.as_bob if revokes else RANDOM.choice([world.as_alice, world.as_alice, world.as_bob])
    answer = case.call(session=http, base_url=URL)
    ANSWERS[case.method.upper(), case.operation.path, answer.status_code] += 1
    assert answer.status_code < 500, (answer.status_code, answer.text)
    case.validate_response(answer, excluded_checks=EXCLUDED)
    if answer.status_code == 201 and case.operation.path.endswith(("/commits", "/messages")):
        sent = case.body if isinstance(case.body, bytes) else decoded(case.body["commit"])
        if case.path_parameters["group"] == base64url(world.group):
            world.acknowledged[answer.json()["position"]] = sent


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# What the document allows may still be refused: a signature, a right, a state.
EXCLUDED = [
    check
    for check in schemathesis.checks.load_all_checks() or schemathesis.checks.CHECKS.get_all()
    if check.__name__
    in (
        "positive_data_acceptance",
        "negative_data_rejection",
        "ignored_auth",
        "missing_required_header",
        "unsupported_method",
        "use_after_free",
        "ensure_resource_availability",
    )
]


def socket_of(path):
    """A WebSocket, opened by a signed request."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = requests.Request("GET", URL + path).prepare()
    world.alice.sign(request)
    where = urlsplit(URL)
    opened = socket.create_connection((where.hostname, where.port), 5)
    fields = {
        "Host": where.netloc,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    } | dict(request.headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    opened.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    answer = opened.recv(4096)
    accepted = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert answer.startswith(b"HTTP/1.1 101"), answer
    assert base64.b64encode(accepted) in answer
    return opened


def frame(first, payload, mask):
    """A frame of RFC 6455 section 5.2, masked as a client's has to be."""
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    else:
        length = bytes([0xFE]) + struct.pack(">H", len(payload))
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([first]) + length + mask + masked


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW, database=None)
@given(
    st.sampled_from(["/v1/mailbox/socket", "socket"]),
    st.lists(
        st.one_of(
            st.builds(frame, st.integers(0, 255), st.binary(max_size=2000), st.binary(min_size=4, max_size=4)),
            st.binary(max_size=200),
        ),
        max_size=8,
    ),
)
def test_sockets(path, frames):
    opened = socket_of(path if path.startswith("/") else f"{world.path}/{path}")
    opened.settimeout(0.05)
    try:
        for each in frames:
            opened.sendall(each)
        while opened.recv(65536):
            pass
    except OSError:
        pass
    finally:
        opened.close()
    assert requests.get(f"{URL}/health/ready", timeout=5).status_code == 204


def test_the_service_lives_and_has_what_it_acknowledged(service):
    assert service.process.poll() is None
    assert requests.get(f"{URL}/health/ready", timeout=5).status_code == 204
    found, after = {}, 0
    while True:
        page = world.as_alice.get(f"{URL}{world.path}/messages?after={after}").json()
        found |= {entry["position"]: decoded(entry["message"]) for entry in page["entries"]}
        if not page["entries"]:
            break
        after = page["entries"][-1]["position"]
    lost = {at for at, sent in world.acknowledged.items() if found.get(at) != sent}
    assert world.acknowledged and not lost, (len(world.acknowledged), lost)
    for (method, path, status), times in sorted(ANSWERS.items()):
        print(f"{method:6} {path:40} {status} {times:6}")
    written = service.written()
    assert not re.search(r"panicked|ERROR", written), written[-4000:]
