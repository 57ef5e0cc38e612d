#!/usr/bin/env python3
"""Writes the test vectors of this directory, or checks them.

    python3 generate.py            write every file
    python3 generate.py --check    compare every file with what would be written

This is an implementation of its own: it shares no code with the Rust crates, and from outside of
Python's library it takes only the AEADs and the elliptic curves of `cryptography`
(`pip install cryptography`). Nothing in it is random and nothing is meant to be secure.
"""

import copy
import hashlib
import hmac
import json
import pathlib
import re
import sys

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent

EXTRACT_SALT = b"PMLS 02"
LABEL_PREFIX = b"PMLS 02 "
NOTIFY_VERSION = 3
RECORD_VERSION = 2
DEPTH = 64
POSITION_BITS = 48
LAST_POSITION = 2**POSITION_BITS - 1
FIRST_OPENING = 1


class Suite:
    """RFC 9420 section 17.1 and RFC 9180 section 7."""

    def __init__(self, number, curve, digest, aead, key_length):
        self.number, self.curve, self.digest = number, curve, digest
        self.aead, self.nk, self.nn = aead, key_length, 12
        self.nh = hashlib.new(digest).digest_size

    def kem_output(self, name):
        """A valid KEM public key, the same for the same name."""
        if self.curve is None:
            private = x25519.X25519PrivateKey.from_private_bytes(data(name, 32))
            return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        scalar = int.from_bytes(data(name, 16), "big") + 1
        public = ec.derive_private_key(scalar, self.curve).public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    # RFC 5869

    def extract(self, salt, secret):
        return hmac.new(salt, secret, self.digest).digest()

    def expand(self, secret, info, length):
        output, block, counter = b"", b"", 1
        while len(output) < length:
            block = hmac.new(secret, block + info + bytes([counter]), self.digest).digest()
            output, counter = output + block, counter + 1
        return output[:length]

    def expand_with_label(self, secret, label, context, length):
        """RFC 9420 section 5.1.2."""
        label = LABEL_PREFIX + label.encode()
        info = uint(length, 2) + vector(label) + vector(context)
        return self.expand(secret, info, length)


SUITES = {
    1: Suite(1, None, "sha256", AESGCM, 16),
    2: Suite(2, ec.SECP256R1(), "sha256", AESGCM, 16),
    3: Suite(3, None, "sha256", ChaCha20Poly1305, 32),
    5: Suite(5, ec.SECP521R1(), "sha512", AESGCM, 32),
    7: Suite(7, ec.SECP384R1(), "sha384", AESGCM, 32),
}


def data(name, length):
    """Bytes that look random and are always the same."""
    return hashlib.shake_256(b"paired-mls vector: " + name.encode()).digest(length)


def uint(value, size):
    return value.to_bytes(size, "big")


def vector(content):
    """`opaque content<V>` of RFC 9420 section 2.1.2."""
    n = len(content)
    if n < 1 << 6:
        return uint(n, 1) + content
    if n < 1 << 14:
        return uint(n | 1 << 14, 2) + content
    return uint(n | 2 << 30, 4) + content


def index_bytes(device, position):
    return uint(device, 2) + uint(position, 6)


class Tape:
    """One device's copy of a tape.

    A node of the tree is named by the bits of the way to it, so that the root is "" and a leaf the
    64 bits of its index.
    """

    def __init__(self, suite, root, context, devices, own):
        derive = lambda label: suite.expand_with_label(root, label, context, suite.nh)
        self.suite, self.devices, self.own, self.next = suite, sorted(devices), own, 0
        self.notify_secret, self.accept_secret = derive("notify"), derive("accept")
        self.nodes = {"": derive("tape")}
        self.in_flight = None
        self.lanes = None

    @classmethod
    def of_pairing(cls, suite, seed, pairing_id, devices, own):
        return cls(suite, suite.extract(EXTRACT_SALT, seed), pairing_id, devices, own)

    def children(self, node):
        """Replaces a stored node by its two children."""
        secret = self.nodes.pop(node)
        for bit in (0, 1):
            child = self.suite.expand_with_label(secret, "tree", bytes([bit]), self.suite.nh)
            self.nodes[node + str(bit)] = child

    def take(self, device, position):
        leaf = f"{device << POSITION_BITS | position:064b}"
        for depth in range(DEPTH):
            if leaf[:depth] in self.nodes:
                self.children(leaf[:depth])
        return self.nodes.pop(leaf)

    def draw(self):
        position, self.next = self.next, self.next + 1
        return position, self.take(self.own, position)

    def claim(self, device, position, binding):
        value = self.take(device, position)
        self.in_flight = (device, position, binding, value)
        return value

    def forget_before(self, device, position):
        first = device << POSITION_BITS
        self.forget("", first, first + position)

    def forget(self, node, first, end):
        below = DEPTH - len(node)
        node_first = int(node or "0", 2) << below
        node_end = node_first + (1 << below)
        if node_end <= first or end <= node_first:
            return
        if first <= node_first and node_end <= end:
            self.nodes = {name: s for name, s in self.nodes.items() if not name.startswith(node)}
            return
        if node in self.nodes:
            self.children(node)
        self.forget(node + "0", first, end)
        self.forget(node + "1", first, end)

    def group(self, group_id):
        """The tape of a group: no lane of it is open yet."""
        group = copy.deepcopy(self)
        derive = lambda secret: self.suite.expand_with_label(secret, "group", group_id, self.suite.nh)
        group.notify_secret = derive(self.notify_secret)
        group.accept_secret = derive(self.accept_secret)
        group.nodes, group.lanes, group.next = {}, {}, 0
        return group

    def open_lane(self, group, group_id, device, opening):
        """Opens a lane of a group's tape, with a value of this one, the pairing's."""
        value = self.take(device, opening)
        lane = f"{device:016b}"
        group.nodes = {name: s for name, s in group.nodes.items() if not name.startswith(lane)}
        group.nodes[lane] = self.suite.expand_with_label(value, "lane", group_id, self.suite.nh)
        group.lanes[device] = opening

    def path_secret(self, value, context, device, position):
        tape_context = (
            vector(context["group_id"])
            + uint(context["epoch"], 8)
            + vector(context["confirmed_transcript_hash"])
            + index_bytes(device, position)
        )
        return self.suite.expand_with_label(value, "path", tape_context, self.suite.nh)

    def record(self):
        """The stored form, in the pieces that it is concatenated of: a field or a node each."""
        nodes = [
            uint(int(name.ljust(DEPTH, "0"), 2), 8) + uint(len(name), 1) + vector(secret)
            for name, secret in sorted(self.nodes.items())
        ]
        length = len(b"".join(nodes))
        nodes_length = vector(b"".join(nodes))[: -length or None]
        in_flight = b"\x00"
        if self.in_flight:
            device, position, binding, value = self.in_flight
            in_flight = b"\x01" + index_bytes(device, position) + vector(binding) + vector(value)
        return [
            uint(RECORD_VERSION, 1),
            uint(self.suite.number, 2),
            uint(self.own, 2),
            vector(b"".join(uint(device, 2) for device in self.devices)),
            uint(self.next, 8),
            vector(self.notify_secret),
            vector(self.accept_secret),
            nodes_length,
            *nodes,
            in_flight,
            self.lanes_record(),
        ]

    def lanes_record(self):
        if self.lanes is None:
            return b"\x00"
        lanes = b"".join(uint(d, 2) + uint(o, 8) for d, o in sorted(self.lanes.items()))
        epoch, in_order = uint(0, 8), uint(1, 1)
        return b"\x01" + vector(lanes) + epoch + in_order

    def seal_notify(self, kem_output, info, plaintext):
        suite = self.suite
        derive = lambda label, n: suite.expand_with_label(self.notify_secret, label, kem_output, n)
        key, nonce = derive("notify key", suite.nk), derive("notify nonce", suite.nn)
        return suite.aead(key).encrypt(nonce, plaintext, info)


def notify_plaintext(suite, device, opening, position, level, version=NOTIFY_VERSION, padding=b""):
    header = uint(version, 1) + index_bytes(device, position) + uint(level, 1) + uint(opening, 6)
    return header + padding.rjust(suite.nh - len(header), b"\x00")


def encrypt_context(suite, group_id, epoch):
    """`EncryptContext("UpdatePathNode", GroupContext)`, RFC 9420 sections 5.1.3 and 8.1."""
    group_context = (
        uint(1, 2)
        + uint(suite.number, 2)
        + vector(group_id)
        + uint(epoch, 8)
        + vector(data(f"tree hash {epoch}", suite.nh))
        + vector(data("confirmed transcript hash", suite.nh))
        + vector(b"")
    )
    return vector(b"MLS 1.0 UpdatePathNode") + vector(group_context)


# The scenarios

ACTIVE, PASSIVE, THIRD, STRANGER = 1, 2, 258, 3
DEVICES = [ACTIVE, PASSIVE, THIRD]
GROUP_ID = b"a group"
FILES = {}


def write(name, kind, suite, description, expected, **inputs):
    head = {"kind": kind, "description": description, "suite": suite.number}
    FILES[f"{name}.json"] = {**head, **inputs, "expected": expected}


def accepted(**values):
    return {"outcome": "accepted", **values}


def refused(layer):
    return {"outcome": "refused", "layer": layer}


def pairing(suite, own, name="seed"):
    """A device's tape, and how a vector says it."""
    seed = data(f"{name} {suite.number}", suite.nh)
    pairing_id = data(f"pairing {suite.number}", 16)
    said = {"seed": seed, "pairing_id": pairing_id, "devices": DEVICES, "own_device": own}
    return Tape.of_pairing(suite, seed, pairing_id, DEVICES, own), said


def place(device, position):
    return {"device": device, "position": position}


def spot(device, opening, position):
    return {"device": device, "opening": opening, "position": position}


def for_epoch(epoch, attempt=0):
    """The position of a commit that creates an epoch."""
    return epoch << 16 | attempt


def tape_derivation(suite):
    tape, said = pairing(suite, PASSIVE)
    expected = accepted(
        notify_secret=tape.notify_secret, accept_secret=tape.accept_secret, tape_root=tape.nodes[""]
    )
    write(
        f"tape-suite-{suite.number}-derivation",
        "tape-derivation",
        suite,
        "From the seed to the three secrets of a pairing's tape.",
        expected,
        tape=said,
    )


def tape_values(suite):
    values = []
    for device in (ACTIVE, THIRD):
        for position in (0, 1, 2, 0x0102_0304_0506, LAST_POSITION - 1, LAST_POSITION):
            tape, said = pairing(suite, PASSIVE)
            values.append({**place(device, position), "value": tape.take(device, position)})

    tape, said = pairing(suite, PASSIVE)
    steps = []
    for _ in range(2):
        position, value = tape.draw()
        steps.append({"op": "draw", "position": position, "value": value})
    settled = {"op": "claim", **place(ACTIVE, 9), "binding": b"settled"}
    steps += [{**settled, "value": tape.claim(ACTIVE, 9, b"settled")}, {"op": "settle"}]
    tape.in_flight = None
    tape.forget_before(ACTIVE, 6)
    steps.append({"op": "forget-before", **place(ACTIVE, 6)})
    claimed = {"op": "claim", **place(ACTIVE, 7), "binding": b"in flight"}
    steps.append({**claimed, "value": tape.claim(ACTIVE, 7, b"in flight")})
    write(
        f"tape-suite-{suite.number}-values",
        "tape-values",
        suite,
        "Values of single indices, each of a fresh tape; then some steps on one tape, and the "
        "record of it with every stored node.",
        accepted(record=tape.record()),
        tape=said,
        values=values,
        steps=steps,
    )


def tape_path_secret(suite):
    tape, said = pairing(suite, PASSIVE)
    context = {
        "group_id": GROUP_ID,
        "epoch": 0x0102_0304_0506_0708,
        "confirmed_transcript_hash": data("confirmed transcript hash", suite.nh),
    }
    value = tape.take(ACTIVE, 3)
    write(
        f"tape-suite-{suite.number}-path-secret",
        "tape-path-secret",
        suite,
        "From the epoch that a commit creates, and an index, to path_secret[0].",
        accepted(path_secret=tape.path_secret(value, context, ACTIVE, 3)),
        tape=said,
        **place(ACTIVE, 3),
        context=context,
    )


def tape_group(suite):
    tape, said = pairing(suite, PASSIVE)
    group = tape.group(GROUP_ID)
    claims = []
    # A lane, another one, and the first one opened anew.
    for device, opening, position in (
        (ACTIVE, FIRST_OPENING, for_epoch(1)),
        (ACTIVE, FIRST_OPENING, for_epoch(7, 2)),
        (THIRD, 0x0102_0304_0506, for_epoch(8)),
        (ACTIVE, 1 << 24, for_epoch(9)),
    ):
        if group.lanes.get(device) != opening:
            tape.open_lane(group, GROUP_ID, device, opening)
        value = group.claim(device, position, b"a commit")
        claims.append({**spot(device, opening, position), "value": value})
    secrets = {"notify_secret": group.notify_secret, "accept_secret": group.accept_secret}
    write(
        f"tape-suite-{suite.number}-group",
        "tape-group",
        suite,
        "The tape of a group: its two secrets, values of lanes that are opened one by one, and the "
        "records of it and of the pairing's tape afterwards.",
        accepted(**secrets, record=group.record(), pairing_record=tape.record()),
        tape=said,
        group_id=GROUP_ID,
        claims=claims,
    )


def tape_refusals():
    suite = SUITES[1]
    _, said = pairing(suite, PASSIVE)
    claim = {"op": "claim", **place(ACTIVE, 4), "binding": b"a commit"}
    value = pairing(suite, PASSIVE)[0].take(ACTIVE, 4)

    def steps(name, description, layer, steps, last, **start):
        expected = refused(layer)
        name = f"tape-suite-1-{name}"
        start = start or {"tape": said}
        write(name, "tape-steps", suite, description, expected, **start, steps=steps, last=last)

    steps(
        "spent",
        "An index that was claimed and settled is claimed again by the same message.",
        "tape: spent",
        [{**claim, "value": value}, {"op": "settle"}],
        claim,
    )
    steps(
        "other-binding",
        "An index in flight is given again to its own message, and to no other.",
        "tape: spent",
        [{**claim, "value": value}, {**claim, "value": value}],
        {**claim, "binding": b"another commit"},
    )
    steps(
        "foreign-device",
        "An index in the lane of a device that is not of the pairing.",
        "tape: foreign device",
        [],
        {"op": "claim", **place(STRANGER, 0), "binding": b""},
    )
    tape, _ = pairing(suite, PASSIVE)
    tape.next = LAST_POSITION
    record = tape.record()
    last_value = tape.take(PASSIVE, LAST_POSITION)
    steps(
        "lane-exhausted",
        "The last position of the own lane is drawn, and after it there is none.",
        "tape: lane exhausted",
        [{"op": "draw", "position": LAST_POSITION, "value": last_value}],
        {"op": "draw"},
        record=record,
    )


def tape_records():
    suite = SUITES[1]

    def record(name, description, pieces, layer="tape record: malformed"):
        name = f"tape-suite-1-record-{name}"
        write(name, "tape-record", suite, description, refused(layer), record=pieces)

    def split(*nodes):
        tape, _ = pairing(suite, PASSIVE)
        tape.nodes = {name: data(f"node {name}", suite.nh) for name in nodes}
        return tape.record()

    tape, _ = pairing(suite, PASSIVE)
    whole = tape.record()
    record("truncated", "The last byte is missing.", whole[:-1])
    record("trailing-byte", "One byte follows.", [*whole, b"\x00"])
    version = "tape record: version"
    record("version", "The format of a later version.", [b"\x03", *whole[1:]], version)
    record("earlier-version", "The format before this one.", [b"\x01", *whole[1:-1]], version)
    record("overlapping-nodes", "A node is stored together with its own last leaf.",
           split("", "1" * DEPTH))
    lanes = tape.group(GROUP_ID)
    tape.open_lane(lanes, GROUP_ID, ACTIVE, FIRST_OPENING)
    lanes.nodes[f"{THIRD:016b}"] = data("a lane", suite.nh)
    record("closed-lane", "The tape of a group has a node in a lane that is not open.",
           lanes.record())
    halves = split("0", "1")
    halves[8], halves[9] = halves[9], halves[8]
    record("unordered-nodes", "The two halves of the tree are stored the wrong way round.", halves)
    devices = whole[3]
    record("long-length", "A length is encoded in two bytes where one is enough.",
           [*whole[:3], b"\x40" + devices, *whole[4:]])


def notify(suite, name, description, layer=None, *, device=ACTIVE, opening=5,
           position=for_epoch(9), plaintext=None, epoch=8, opened_in_epoch=8, seed="seed",
           kem_output=None, change=lambda ciphertext: ciphertext, taken=()):
    sender = pairing(suite, ACTIVE, seed)[0].group(GROUP_ID)
    receiver, said = pairing(suite, PASSIVE)
    level = 1
    kem_output = kem_output or suite.kem_output(f"kem output {suite.number} {name}")
    info = encrypt_context(suite, GROUP_ID, epoch)
    plaintext = plaintext or notify_plaintext(suite, device, opening, position, level)
    ciphertext = change(sender.seal_notify(kem_output, info, plaintext))
    if layer is None:
        group = receiver.group(GROUP_ID)
        receiver.open_lane(group, GROUP_ID, device, opening)
        value = group.take(device, position)
        expected = accepted(**spot(device, opening, position), level=level, value=value)
    else:
        expected = refused(layer)
    write(
        f"notify-suite-{suite.number}-{name}",
        "notify",
        suite,
        description,
        expected,
        tape=said,
        group_id=GROUP_ID,
        taken_before=list(taken),
        info=encrypt_context(suite, GROUP_ID, opened_in_epoch),
        kem_output=kem_output,
        ciphertext=ciphertext,
    )


def notifies():
    s = SUITES
    for suite in s.values():
        notify(suite, "accepted", "A Notify, and the tape value that it points to.")

    there = spot(ACTIVE, 5, for_epoch(9))
    last_byte = notify_plaintext(s[7], ACTIVE, 5, for_epoch(9), 1, padding=b"\x01")
    notify(s[1], "version", "A Notify of another version.", "notify: version",
           plaintext=notify_plaintext(s[1], ACTIVE, 5, for_epoch(9), 1, version=4))
    notify(s[7], "padding", "The last byte of the padding is not zero.", "notify: padding",
           plaintext=last_byte)
    notify(s[2], "foreign-device", "An index of a device that is not of the pairing.",
           "notify: foreign device", device=STRANGER)
    notify(s[3], "own-lane", "An index in the lane of the receiver.", "notify: own lane",
           device=PASSIVE)
    notify(s[5], "other-epoch", "Sealed in one epoch and replayed in the next.",
           "notify: not a notify", opened_in_epoch=9)
    notify(s[1], "other-pairing", "Sealed with the tape of another pairing.",
           "notify: not a notify", seed="another seed")
    notify(s[3], "changed-ciphertext", "One bit of the ciphertext is flipped.",
           "notify: not a notify", change=lambda c: c[:-1] + bytes([c[-1] ^ 1]))
    notify(s[1], "truncated-ciphertext", "The last byte of the ciphertext is missing.",
           "notify: length", change=lambda c: c[:-1])
    point = s[2].kem_output("compressed")
    notify(s[2], "kem-output-length", "The KEM output is a point in compressed form.",
           "notify: length", kem_output=bytes([2 | point[-1] & 1]) + point[1:33])
    notify(s[1], "replayed-index", "It opens, and its index was taken before.", "tape: spent",
           taken=[there])
    notify(s[1], "opening-spent", "It opens, and its lane was opened in another group.",
           "tape: opening spent", taken=[there, spot(ACTIVE, 6, for_epoch(9))])


def scenarios():
    for suite in SUITES.values():
        tape_derivation(suite)
        tape_values(suite)
        tape_path_secret(suite)
        tape_group(suite)
    tape_refusals()
    tape_records()
    notifies()


def text(content):
    """JSON with a line for each value, and one for a whole list of numbers."""
    lines = json.dumps(content, indent=2, default=bytes.hex) + "\n"
    numbers = re.compile(r"\[\s+(\d+(?:,\s+\d+)*)\s+\]")
    return numbers.sub(lambda found: "[" + " ".join(found[1].split()) + "]", lines)


def run(folder, files, usage):
    """Writes the files of a folder, or with --check compares them with what is there."""
    texts = {name: text(content) for name, content in files.items()}
    if sys.argv[1:] == []:
        for name, written in texts.items():
            (folder / name).write_text(written)
        print(f"{len(texts)} files written")
        return 0
    if sys.argv[1:] != ["--check"]:
        print(usage, file=sys.stderr)
        return 2
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    wrong = sorted(name for name in texts.keys() | found if texts.get(name) != found.get(name))
    for name in wrong:
        state = "differs" if name in texts and name in found else "missing"
        print(f"{name}: {state if name in texts else 'not a file of ours'}", file=sys.stderr)
    print(f"{len(texts)} files checked, {len(wrong)} wrong")
    return 1 if wrong else 0


def main():
    scenarios()
    return run(HERE, FILES, __doc__)


if __name__ == "__main__":
    sys.exit(main())
