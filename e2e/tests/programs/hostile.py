"""Tries what the code of a driver must not be able to do, and prints how each attempt was answered.

Its one argument is JSON: where the gateway is and what belongs to others. Each line that it prints is JSON, too:
the attempt's name, the status that it was answered with, and what was said.
"""

import copy
import json
import socket
import ssl
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from pyspark.sql import SparkSession

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
JSON = "application/json"
MERGE = "application/merge-patch+json"

others = json.loads(sys.argv[1])
token = open(f"{ACCOUNT}/token").read()
namespace = open(f"{ACCOUNT}/namespace").read()
trusted = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
driver = socket.gethostname()
application = driver[: -len("-driver")]
neighbour = others["neighbour"]
here = f"/api/v1/namespaces/{namespace}"


def send(url, method="GET", body=None, kind=JSON, bearer=None):
    headers = {"content-type": kind, **({"authorization": f"Bearer {bearer}"} if bearer else {})}
    request = Request(url, None if body is None else json.dumps(body).encode(), headers, method=method)
    try:
        with urlopen(request, timeout=20, context=trusted if url.startswith("https:") else None) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def cluster(path, method="GET", body=None, kind=JSON):
    return send(f"https://kubernetes.default.svc{path}", method, body, kind, token)


def told(name, answer):
    status, said = answer
    try:
        said = json.loads(said).get("message", said)
    except ValueError:
        pass
    print(json.dumps([name, status, said[:500]]), flush=True)


def executor(change=lambda pod: None):
    """Makes a pod as Spark makes an executor's, changed."""
    pod = copy.deepcopy(ordinary)
    change(pod)
    return cluster(f"{here}/pods", "POST", pod)


own = json.loads(cluster(f"{here}/pods/{driver}")[1])
image = own["spec"]["containers"][0]["image"]
ordinary = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": f"{application}-exec-901",
        "labels": {"spark-app-selector": application, "spark-role": "executor"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": driver, "uid": own["metadata"]["uid"]}],
    },
    "spec": {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "executor",
                "image": image,
                "args": ["sleep", "600"],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True,
                    "runAsUser": 185,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }
        ],
    },
}


def spec(**fields):
    return lambda pod: pod["spec"].update(fields)


def container(**fields):
    return lambda pod: pod["spec"]["containers"][0].update(fields)


def labels(**fields):
    return lambda pod: pod["metadata"]["labels"].update({key.replace("_", "-"): value for key, value in fields.items()})


def privileged(pod):
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["SYS_ADMIN"]}


def gateways(pod):
    pod["metadata"]["labels"].update({"app.kubernetes.io/managed-by": "lamplighter", "lamplighter.dev/application": "batch-0"})


foreign_variable = {"name": "X", "valueFrom": {"secretKeyRef": {"name": others["secret"], "key": "spark.properties"}}}
pods = {
    "a pod as an executor's": lambda pod: None,
    "a path of the node": spec(volumes=[{"name": "node", "hostPath": {"path": "/"}}]),
    "the node's network": spec(hostNetwork=True),
    "the node's processes": spec(hostPID=True),
    "privilege": privileged,
    "another service account": spec(serviceAccountName="spark"),
    "a token": spec(automountServiceAccountToken=True),
    "another image": container(image="lamplighter.test/busybox:1"),
    "a neighbour's Secret, mounted": spec(volumes=[{"name": "s", "secret": {"secretName": others["secret"]}}]),
    "a neighbour's Secret, as a variable": container(env=[foreign_variable]),
    "a neighbour's application": labels(spark_app_selector=neighbour[: -len("-driver")]),
    "a pod of the gateway's labels": gateways,
    "a pod of another name": lambda pod: pod["metadata"].update(name="innocent"),
    "a pod that stays": lambda pod: pod["metadata"].pop("ownerReferences"),
}
for name, change in pods.items():
    told(name, executor(change))

relabelled = {"metadata": {"labels": {"lamplighter.dev/application": "batch-0"}}}
taken = {"metadata": {"labels": {"spark-app-selector": application}}}
requests = {
    "all Secrets": (f"{here}/secrets",),
    "a neighbour's Secret": (f"{here}/secrets/{others['secret']}",),
    "a neighbour's log": (f"{here}/pods/{neighbour}/log",),
    "a command in a neighbour": (f"{here}/pods/{neighbour}/exec?command=id&stdout=1", "POST"),
    "a neighbour's end": (f"{here}/pods/{neighbour}", "DELETE"),
    "a neighbour's label": (f"{here}/pods/{neighbour}", "PATCH", taken, MERGE),
    "labels of the gateway": (f"{here}/pods/{driver}", "PATCH", relabelled, MERGE),
    "another account's token": (
        f"{here}/serviceaccounts/spark/token",
        "POST",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    ),
    "more rights": (
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
        "POST",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "more"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "drivers", "namespace": namespace}],
        },
    ),
    "a laxer namespace": (here, "PATCH", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}, MERGE),
    "another tenant's pods": (f"/api/v1/namespaces/{others['tenant']}/pods",),
    "the gateway's own records": (f"/api/v1/namespaces/{others['home']}/configmaps",),
}
for name, request in requests.items():
    told(name, cluster(*request))

listing = f"{others['gateway']}/api/v1/applications"
told("the gateway without a token", send(listing))
told("the gateway with a guessed token", send(listing, bearer="lamplighter_0000000000000000000000"))
told("the gateway with the driver's token", send(listing, bearer=token))
told("a job for somebody else", send(listing, "POST", {"resource": "local:///x.py"}, bearer=token))

spark = SparkSession.builder.getOrCreate()
found = spark.sparkContext.parallelize([ACCOUNT], 1).map(lambda path: __import__("os").path.exists(path)).collect()
told("a token in an executor", (200 if found == [True] else 404, str(found)))
spark.stop()
