#!/usr/bin/env python3
"""Checks every test vector against the schema, and the schema against vectors that are wrong.

    pip install jsonschema
    python3 vectors/schema/check.py
"""

import json
import sys
from collections import Counter
from pathlib import Path

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parent


def branches(schema):
    """A validator for each kind of vector: its errors name the field, those of a `oneOf` do not."""
    return {
        branch["title"]: Draft202012Validator({**branch, "$defs": schema["$defs"]})
        for branch in schema["oneOf"]
    }


def spoilt(vector):
    """The vector with one thing wrong, in as many ways as it has fields."""
    for field in vector:
        if field != "kind":
            yield f"without {field}", {name: value for name, value in vector.items() if name != field}
        yield f"with another type of {field}", {**vector, field: None}
    yield "with a field that nobody knows", {**vector, "unknown": ""}
    expected = vector.get("expected", {})
    for field in expected:
        rest = {name: value for name, value in expected.items() if name != field}
        yield f"without expected.{field}", {**vector, "expected": rest}


def main():
    schema = json.loads((FOLDER / "vector.json").read_text())
    Draft202012Validator.check_schema(schema)
    whole, kinds = Draft202012Validator(schema), branches(schema)
    seen, wrong = Counter(), []
    for path in sorted(FOLDER.parent.glob("**/*.json")):
        if path.parent == FOLDER:
            continue
        name, vector = path.relative_to(FOLDER.parent), json.loads(path.read_text())
        kind = kinds.get(vector.get("kind"))
        if kind is None:
            wrong.append(f"{name}: the schema has no kind {vector.get('kind')}")
            continue
        seen[vector["kind"]] += 1
        for error in kind.iter_errors(vector):
            wrong.append(f"{name}: {error.json_path}: {error.message[:200]}")
        if not whole.is_valid(vector):
            wrong.append(f"{name}: it is of no kind, or of several")
        for how, other in spoilt(vector):
            if kind.is_valid(other):
                wrong.append(f"{name}: the schema takes it {how}")
    wrong += [f"the schema has the kind {kind}, and no vector is of it" for kind in kinds if not seen[kind]]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{sum(seen.values())} vectors of {len(kinds)} kinds agree with the schema")


if __name__ == "__main__":
    main()
