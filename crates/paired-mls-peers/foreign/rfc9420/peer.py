"""A member of a group on the Python package rfc9420. It reads requests and writes answers: one JSON object a
line, bytes in hexadecimal. `../../src/foreign/mod.rs` is the other side.

What this package cannot do is refused here, with the reason, and not tried: see `../README.md`.
"""

import json
import sys
import time
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rfc9420 import DefaultCryptoProvider
from rfc9420.backends.crypto.default_rand import DefaultRandProvider
from rfc9420.group.mls_group.processing import MLSGroup
from rfc9420.messages.data_structures import Commit, Credential, Signature
from rfc9420.messages.key_packages import KeyPackage, LeafNode
from rfc9420.messages.messages import ContentType, MLSMessage, MLSPlaintext, WireFormat

SUITES = (1,)
HOUR, DAY = 60 * 60, 24 * 60 * 60


def capabilities(suite: int) -> bytes:
    """mls10, this suite, no extensions, no proposals, basic credentials."""
    number = suite.to_bytes(2)
    return b"\x02\x00\x01" + b"\x02" + number + b"\x00" + b"\x00" + b"\x02\x00\x01"


class Member:
    def __init__(self, suite: int, framing: str, identity: str) -> None:
        if suite not in SUITES:
            raise ValueError(f"suite {suite} is not offered")
        if framing != "public":
            raise ValueError("rfc9420 frames handshake messages as PublicMessage only")
        self.suite = suite
        self.crypto = DefaultCryptoProvider(suite)
        self.identity = identity.encode()
        self.signing = Ed25519PrivateKey.generate()
        self.group: MLSGroup | None = None

    def public_key(self) -> bytes:
        return self.signing.public_key().public_bytes_raw()

    def private_key(self) -> bytes:
        return self.signing.private_bytes_raw()

    def sign(self, label: bytes, content: bytes) -> Signature:
        return Signature(self.crypto.sign_with_label(self.private_key(), label, content))

    def key_package(self) -> dict:
        self.init_key, init_public = self.crypto.generate_key_pair()
        self.leaf_key, leaf_public = self.crypto.generate_key_pair()
        now = int(time.time())
        leaf = LeafNode(
            encryption_key=leaf_public,
            signature_key=self.public_key(),
            capabilities=capabilities(self.suite),
            credential=Credential(identity=self.identity, public_key=b""),
            lifetime_not_before=now - HOUR,
            lifetime_not_after=now + 84 * DAY,
        )
        leaf = replace(leaf, signature=self.sign(b"LeafNodeTBS", leaf.tbs_serialize()))
        # Its default cipher suite is suite 1.
        package = KeyPackage(init_key=init_public, leaf_node=leaf)
        signature = self.sign(b"KeyPackageTBS", package.tbs_serialize())
        self.package = replace(package, signature=signature)
        return {"message": MLSMessage.from_key_package(self.package).serialize().hex()}

    def join(self, message: str) -> dict:
        welcome = parsed(message, WireFormat.WELCOME)
        self.group = MLSGroup.from_welcome(
            welcome,
            self.init_key,
            self.crypto,
            DefaultRandProvider(),
            key_package=self.package,
            encryption_private_key=self.leaf_key,
        )
        return {}

    def process(self, message: str) -> dict:
        decoded = MLSMessage.deserialize(bytes.fromhex(message))
        content = decoded.get_parsed_content()
        if decoded.wire_format == WireFormat.PRIVATE_MESSAGE:
            _, heard = self.group.unprotect(content)
            return {"heard": "application", "message": heard.hex()}
        framed = content.tbs.framed_content
        if framed.content_type != ContentType.COMMIT:
            raise ValueError("rfc9420 follows commits without proposals only")
        if Commit.deserialize(framed.content).proposals:
            raise ValueError("rfc9420 follows commits without proposals only")
        self.group.process_commit(MLSPlaintext(content), framed.sender.sender)
        return {"heard": "commit"}

    def send(self, message: str) -> dict:
        sent = self.group.protect(bytes.fromhex(message), self.private_key())
        return {"message": MLSMessage.from_private_message(sent).serialize().hex()}

    def status(self) -> dict:
        if self.group is None:
            return {"epoch": 0, "epoch_authenticator": ""}
        authenticator = self.group.get_epoch_authenticator()
        return {"epoch": self.group.get_epoch(), "epoch_authenticator": authenticator.hex()}


def parsed(message: str, wire_format: WireFormat):
    decoded = MLSMessage.deserialize(bytes.fromhex(message))
    if decoded.wire_format != wire_format:
        raise ValueError(f"this is no {wire_format.name}")
    return decoded.get_parsed_content()


ACTIONS = ("key_package", "join", "process", "send", "status")


def main() -> None:
    member = None
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            action = asked.pop("do")
            if action == "new":
                member, done = Member(**asked), {}
            elif action in ACTIONS:
                done = getattr(member, action)(**asked)
            else:
                raise ValueError(f"rfc9420 is not asked to {action}")
            answer = {"done": done}
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side is told
            answer = {"refused": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
