"""A device of the service, written from docs/PROFILE.md section 16: its key, its requests, its messages."""

import base64
import hashlib
import os
import struct
import time
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SCHEME = "ed25519"
COVERED = '("@method" "@authority" "@path" "@query" "content-digest")'
APPLICATION, PROPOSAL, COMMIT = 1, 2, 3


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """An Ed25519 key, and the user whose device it is."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        digest = hashlib.sha256(b"Paired MLS device\0" + SCHEME.encode() + b"\0" + self.public)
        self.id = base64url(digest.digest())
        self.user_bytes = os.urandom(16)
        self.user = base64url(self.user_bytes)

    def sign(self, request):
        """Signs a prepared request: exactly the bytes that will be sent."""
        url = urlsplit(request.url)
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
            request.body = body
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        nonce = base64url(os.urandom(24))
        params = (
            f'{COVERED};created={int(time.time())};nonce="{nonce}"'
            f';keyid="{self.id}";tag="paired-mls"'
        )
        base = "\n".join(
            [
                f'"@method": {request.method}',
                f'"@authority": {url.netloc}',
                f'"@path": {url.path or "/"}',
                f'"@query": ?{url.query}',
                f'"content-digest": {digest}',
                f'"@signature-params": {params}',
            ]
        )
        signature = base64.b64encode(self.key.sign(base.encode("ascii", "strict"))).decode()
        request.headers["Content-Digest"] = digest
        request.headers["Signature-Input"] = f"pmls={params}"
        request.headers["Signature"] = f"pmls=:{signature}:"
        return request

    def registration(self):
        return {"user": self.user, "scheme": SCHEME, "signature_key": base64url(self.public)}


class Signed(requests.adapters.HTTPAdapter):
    """Signs each request. Of a stream it reads what comes within a moment."""

    MOMENT = 0.3

    def __init__(self, device):
        super().__init__()
        self.device = device

    def send(self, request, **options):
        self.device.sign(request)
        options.update(stream=True, timeout=(5, 30))
        response = super().send(request, **options)
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            # The socket below the answer: the stream has no end of its own.
            response.raw._fp.fp.raw._sock.settimeout(self.MOMENT)
            content = b""
            try:
                while len(content) < 1 << 20 and (part := response.raw.read1()):
                    content += part
            except (OSError, requests.packages.urllib3.exceptions.HTTPError):
                pass
            response._content = content
            response.close()
        return response


def session(device):
    made = requests.Session()
    made.mount("http://", Signed(device))
    return made


def variable(data):
    """`opaque<V>` of RFC 9420 section 2.1.2."""
    if len(data) < 1 << 6:
        return bytes([len(data)]) + data
    return struct.pack(">H", 0x4000 | len(data)) + data


def private_message(group, epoch, content_type):
    """`MLSMessage` with a `PrivateMessage` (RFC 9420 section 6.3), as the service sees one."""
    message = b"\0\1\0\2" + variable(group) + struct.pack(">Q", epoch) + bytes([content_type])
    return message + variable(b"") + variable(os.urandom(28)) + variable(os.urandom(200))


def envelope(content):
    """The padded form of everything in a mailbox."""
    padded = next(length for length in (1 << 10, 1 << 12, 1 << 14) if length >= len(content) + 4)
    return (struct.pack(">I", len(content)) + content).ljust(padded, b"\0")
