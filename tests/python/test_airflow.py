"""Airflow's Livy provider, as its users have it from PyPI, against a gateway with a real Spark.

No Airflow server or database is involved: the connection comes from the environment, and operators are executed with
the little of a task's context that they use.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import processes_in, wait_until_gone

# Airflow reads its environment when it is imported, and writes to its home.
_HOME = tempfile.TemporaryDirectory(prefix="lamplighter-airflow-")
os.environ["AIRFLOW_HOME"] = _HOME.name
os.environ["AIRFLOW_CONN_LIVY_DEFAULT"] = os.environ.get("LAMPLIGHTER_URL", "")

from airflow.providers.apache.livy.hooks.livy import BatchState, LivyHook  # noqa: E402
from airflow.providers.apache.livy.operators.livy import LivyOperator  # noqa: E402
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred  # noqa: E402

Job = Callable[[str], str]

#: In whole seconds, as the operator wants it.
POLLING_INTERVAL = 1


@pytest.fixture
def hook(url: str) -> LivyHook:
    return LivyHook()


@pytest.fixture
def context() -> dict[str, Any]:
    """What the operator asks of a running task: a place for results, and one for what outlives the worker."""
    results: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    task = SimpleNamespace(stats_tags={}, xcom_push=lambda key, value: results.update({key: value}))
    return {
        "ti": task,
        "task_state_store": SimpleNamespace(get=stored.get, set=stored.__setitem__),
        "results": results,
        "stored": stored,
    }


def operator(**arguments: Any) -> LivyOperator:
    return LivyOperator(task_id="spark", **{"polling_interval": POLLING_INTERVAL, **arguments})


def whole_log(hook: LivyHook, batch: int) -> list[str]:
    lines: list[str] = []
    while page := hook.get_batch_logs(batch, len(lines), 100)["log"]:
        lines += page
    return lines


def batches(hook: LivyHook) -> int:
    return hook.run_method(endpoint="/batches").json()["total"]


def test_an_operator_runs_a_batch_to_its_end_and_dumps_its_log(
    hook: LivyHook, job: Job, context: dict[str, Any], spark_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = operator(
        file=job("succeed.py"), args=["a b", 7, 1.5], conf={"spark.example.key": "yes"}, name="airflow succeeds"
    )
    batch = spark.execute(context)

    assert hook.get_batch_state(batch) == BatchState.SUCCESS
    log = whole_log(hook, batch)
    assert "arguments: ['a b', '7', '1.5']" in log
    assert "conf: yes" in log
    assert any(line.startswith(f"spark: {spark_version}") for line in log)
    assert context["stored"] == {"livy_batch_id": batch}
    assert context["results"] == {"app_id": hook.get_batch(batch)["appId"]}

    pages: list[dict] = []
    get_page = LivyHook.get_batch_logs

    def recording(*arguments: Any) -> dict:
        pages.append(get_page(*arguments))
        return pages[-1]

    monkeypatch.setattr(LivyHook, "get_batch_logs", recording)
    hook.dump_batch_logs(batch)
    assert [line for page in pages for line in page["log"]] == log
    assert {page["total"] for page in pages} == {len(log)}


def test_a_program_that_fails_fails_the_task(hook: LivyHook, job: Job, context: dict[str, Any]) -> None:
    with pytest.raises(AirflowException, match="did not succeed"):
        operator(file=job("fail.py")).execute(context)

    batch = context["stored"]["livy_batch_id"]
    assert hook.get_batch_state(batch) == BatchState.DEAD
    assert any("ValueError: no such flight" in line for line in whole_log(hook, batch))


def test_a_killed_task_ends_every_process(hook: LivyHook, job: Job, context: dict[str, Any], tmp_path: Path) -> None:
    spark = operator(file=job("wait.py"), args=[str(tmp_path / "processes")], polling_interval=0)
    batch = spark.execute(context)
    processes = processes_in(tmp_path / "processes")
    assert hook.get_batch_state(batch) == BatchState.RUNNING

    spark.on_kill()
    wait_until_gone(processes)
    with pytest.raises(AirflowException, match="Unable to fetch batch"):
        hook.get_batch(batch)


def test_deleting_through_the_hook_answers_in_json(hook: LivyHook, job: Job, tmp_path: Path) -> None:
    batch = hook.post_batch(file=job("wait.py"), args=[str(tmp_path / "processes")])
    processes = processes_in(tmp_path / "processes")
    assert hook.delete_batch(batch) == {"msg": "deleted"}
    wait_until_gone(processes)


def test_a_restarted_worker_finds_its_batch_again(hook: LivyHook, job: Job, context: dict[str, Any]) -> None:
    batch = hook.post_batch(file=job("succeed.py"))
    context["stored"]["livy_batch_id"] = batch
    before = batches(hook)

    operator(file=job("succeed.py")).execute(context)
    assert hook.get_batch_state(batch) == BatchState.SUCCESS
    assert batches(hook) == before


def test_a_deferred_task_is_told_of_the_end(hook: LivyHook, job: Job, context: dict[str, Any]) -> None:
    spark = operator(file=job("succeed.py"), args=["deferred"], deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        spark.execute(context)

    async def first_event() -> Any:
        return await anext(aiter(deferred.value.trigger.run()))

    event = asyncio.run(first_event()).payload
    assert event["status"] == "success"
    batch = spark.execute_complete(context, event)
    assert hook.get_batch_state(batch) == BatchState.SUCCESS


def test_what_the_gateway_refuses_is_told(hook: LivyHook) -> None:
    with pytest.raises(AirflowException, match="Could not submit batch. Status code: 400"):
        hook.post_batch(file="relative/path.py")
