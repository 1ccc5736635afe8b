"""pylivy's batch client, as its users have it from PyPI, against a gateway with a real Spark."""

from collections.abc import Callable
from pathlib import Path

import pytest
from livy import LivyBatch
from livy.client import LivyClient
from livy.models import SessionState

from conftest import processes_in, wait_until_gone

Job = Callable[[str], str]


def whole_log(batch: LivyBatch) -> list[str]:
    """All lines, by pages: without a range a server gives the last hundred."""
    lines: list[str] = []
    while page := batch.log(from_=len(lines), size=100):
        lines += page
    return lines


ARGUMENTS = ["plain", "two words", "ünï", "", "--flag=$HOME"]


@pytest.fixture(scope="module")
def finished(url: str, job: Job) -> LivyBatch:
    """A batch that several tests look at: starting Spark takes most of the time here."""
    batch = LivyBatch.create(
        url, file=job("succeed.py"), args=ARGUMENTS, name="pylivy succeeds", spark_conf={"spark.example.key": "a b"}
    )
    assert batch.wait() == SessionState.SUCCESS
    return batch


def test_a_batch_succeeds_with_its_arguments_and_conf(finished: LivyBatch, spark_version: str) -> None:
    log = whole_log(finished)
    assert f"arguments: {ARGUMENTS}" in log
    assert "conf: a b" in log
    assert "sum: 499500" in log
    assert any(line.startswith(f"spark: {spark_version}") for line in log)


def test_a_log_is_read_in_pages(finished: LivyBatch) -> None:
    log = whole_log(finished)
    assert len(log) > 10
    assert finished.log(from_=3, size=4) == log[3:7]
    assert finished.log() == log[-100:]


def test_a_batch_is_listed(finished: LivyBatch) -> None:
    assert finished.batch_id in [listed.batch_id for listed in finished.client.list_batches()]


def test_a_program_that_fails_is_dead_and_says_why(url: str, job: Job) -> None:
    batch = LivyBatch.create(url, file=job("fail.py"))
    assert batch.wait() == SessionState.DEAD
    assert any("ValueError: no such flight" in line for line in whole_log(batch))


def test_killing_a_batch_ends_every_process(url: str, job: Job, tmp_path: Path) -> None:
    batch = LivyBatch.create(url, file=job("wait.py"), args=[str(tmp_path / "processes")])
    processes = processes_in(tmp_path / "processes")
    assert batch.state == SessionState.RUNNING

    batch.kill()
    wait_until_gone(processes)
    with pytest.raises(ValueError, match="not found"):
        _ = batch.state


def test_a_batch_that_never_was_is_not_found(url: str) -> None:
    client = LivyClient(url)
    assert client.get_batch(2**31 - 1) is None
    assert client.get_batch_log(2**31 - 1) is None
