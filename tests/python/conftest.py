"""What the client tests share: the gateway under test, the jobs that it runs, and waiting.

The gateway is started by whoever runs the tests, which tell it apart by these variables:

``LAMPLIGHTER_URL``            where it is, such as ``http://127.0.0.1:8998``; without it every test is skipped
``LAMPLIGHTER_JOBS``           the folder of the job files as the gateway sees it; ``jobs`` beside this file unless set
``LAMPLIGHTER_SPARK_VERSION``  what the version of its Spark begins with, such as ``3.5``; any unless set
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

#: Spark needs seconds to start, and a busy machine many of them.
TIMEOUT_SECONDS = 120


@pytest.fixture(scope="session")
def url() -> str:
    if "LAMPLIGHTER_URL" not in os.environ:
        pytest.skip("LAMPLIGHTER_URL is not set: there is no gateway to test")
    return os.environ["LAMPLIGHTER_URL"].rstrip("/")


@pytest.fixture(scope="session")
def job() -> Callable[[str], str]:
    """Gives the path of a job file by its name."""
    folder = Path(os.environ.get("LAMPLIGHTER_JOBS") or Path(__file__).parent / "jobs")
    return lambda name: str(folder.resolve() / name)


@pytest.fixture(scope="session")
def spark_version() -> str:
    return os.environ.get("LAMPLIGHTER_SPARK_VERSION", "")


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Waits until the condition is met, and fails when it never is."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT_SECONDS} s for {what}"
        time.sleep(0.05)


def processes_in(file: Path) -> list[int]:
    """The ids of the processes of ``jobs/wait.py``, once they run."""
    wait_for("the job to run", file.exists)
    return [int(word) for word in file.read_text().split()]


def is_running(process: int) -> bool:
    """Whether a process is there and does something: one that waits to be reaped is over."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(processes: list[int]) -> None:
    wait_for(f"processes {processes} to end", lambda: not any(map(is_running, processes)))
