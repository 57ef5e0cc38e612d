#!/usr/bin/env python3
"""Writes the seeds of the corpora from the vectors: one file for each, named after its vector."""

import json
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"


def seeds(vector):
    kind = vector["kind"]
    if kind == "pairing-message" and vector["expected"]["outcome"] == "accepted":
        yield "pairing", vector["message"]
    elif kind == "pairing-signal" and vector["expected"]["outcome"] == "accepted":
        yield "pairing", vector["extension_data"]
    elif kind == "signature-keys":
        yield "pairing", vector["field"]
    elif kind == "tape-record":
        yield "records", "".join(vector["record"])
    elif kind == "notify":
        yield "notify", vector["kem_output"] + vector["ciphertext"]
        yield "wire", vector["info"]
    elif kind == "leaf-notify" and vector["expected"]["outcome"] == "accepted":
        yield "notify", vector["message"]
        yield "wire", vector["message"]
    elif kind == "leaf-replay" and vector["suite"] == 1:
        yield "wire", vector["key_package"]["message"]
        yield "wire", vector["group_info"]
        for step in vector["log"]:
            if "commit" in step:
                yield "wire", step["commit"]


def main():
    for path in sorted(VECTORS.rglob("*.json")):
        vector = json.loads(path.read_text())
        for number, (target, content) in enumerate(seeds(vector)):
            folder = HERE / "corpus" / target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{path.stem}-{number}").write_bytes(bytes.fromhex(content))


if __name__ == "__main__":
    main()
