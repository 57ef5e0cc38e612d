"""The service under test: a process and a database of its own."""

import json
import os
import subprocess
from pathlib import Path

import pytest

# The rates are no part of this test: with them, most answers were "too many requests".
CONFIG = """
[serve]
listen = "127.0.0.1:0"
database = "{database}"
[limits]
requests-per-second = 1000000
request-burst = 1000000
claims = 1000000
"""


class Service:
    def __init__(self, folder):
        program = Path(os.environ.get("PMLS", "target/release/pmls")).resolve()
        if not program.exists():
            pytest.exit(f"there is no {program}: build it, or name it by PMLS", 2)
        database = os.environ.get("DATABASE", f"sqlite://{folder}/service.db")
        config = folder / "config.toml"
        config.write_text(CONFIG.format(database=database))
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [program, "serve", "--config", config, "--until-stdin-ends", "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        self.url = json.loads(self.process.stdout.readline())["url"]

    def written(self):
        self.log.seek(0)
        return self.log.read()


def pytest_configure(config):
    """It is there before the tests are collected: they are made of its OpenAPI document."""
    import tempfile

    folder = tempfile.TemporaryDirectory()
    config.folder, config.service = folder, Service(Path(folder.name))
    os.environ["SERVICE"] = config.service.url


def pytest_unconfigure(config):
    config.service.process.stdin.close()
    config.service.process.wait(30)


@pytest.fixture
def service(pytestconfig):
    return pytestconfig.service
