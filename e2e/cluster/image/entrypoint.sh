#!/bin/bash
# Starts what Spark on Kubernetes asks a container for: its first argument is `driver` or `executor`, and the rest of
# what an executor needs is in SPARK_… variables. Anything else runs as it is given.
set -e

# Hadoop wants a name for whoever runs it, and a pod may run as anybody.
if ! getent passwd "$(id -u)" >/dev/null && [ -w /etc/passwd ]; then
  echo "$(id -u):x:$(id -u):$(id -g):${SPARK_USER_NAME:-anonymous}:$SPARK_HOME:/bin/false" >>/etc/passwd
fi

run_driver() {
  exec /usr/bin/tini -s -- "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
    --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
    --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" "$@"
}

run_executor() {
  local options=() name part path=${SPARK_CONF_DIR:-$SPARK_HOME/conf}
  # SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1 and so on: one option each, blanks and all.
  while read -r name; do options+=("${!name}"); done < <(compgen -e SPARK_JAVA_OPT_ | sort -t_ -k4 -n)
  for part in "$HADOOP_CONF_DIR" "$SPARK_CLASSPATH" "$SPARK_HOME/jars/*" "$SPARK_EXTRA_CLASSPATH" "$SPARK_DIST_CLASSPATH" "$PWD"; do
    path+=${part:+:$part}
  done
  exec /usr/bin/tini -s -- "$JAVA_HOME/bin/java" "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
    -classpath "$path" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
}

role=${1:-}
case $role in
  driver | executor) shift && "run_$role" "$@" ;;
  *) exec /usr/bin/tini -s -- "$@" ;;
esac
