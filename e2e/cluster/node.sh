#!/bin/bash
# Process 1 of the cluster's namespaces: starts every part of Kubernetes, and ends with its standard input.
#
#   node.sh [IMAGE.tar...]     started by hold.sh
#
# Standard input takes a command a line: `stop-api-server` (killed, as in an accident), `start-api-server`.
# Descriptor 3 says what happened, a word a line: `started`, `imported`, `api-server-stopped`, `api-server-started`;
# `import-failed` when an image could not be had.
set -uo pipefail
FOLDER=$(cd "$(dirname "$0")" && pwd)
. "$FOLDER/settings.sh"
LOG=$RUN/log
cd "$RUN" || exit 1

say() { echo "$1" >&3; }

# start NAME COMMAND...: a part of the cluster, in the background, its output in a log of its own.
start() {
  local name=$1
  shift
  "$@" >>"$LOG/$name.log" 2>&1 </dev/null 3>&- &
}

# wait_until SECONDS COMMAND...: succeeds as soon as the command does.
wait_until() {
  local attempts=$(($1 * 50))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ $((attempts -= 1)) -gt 0 ] || return 1
    sleep 0.02
  done
}

# The kubelet, containerd, runc and the network plug-ins keep state in fixed places; here that lands in $RUN.
isolate_files() {
  mount --make-rshared /
  mount -t tmpfs none /run && mkdir -p /run/netns
  mkdir -p var-upper var-work
  mount -t overlay overlay -o "lowerdir=/var,upperdir=$RUN/var-upper,workdir=$RUN/var-work" /var
  # Pulls ask the cluster's own name server, which knows no outside: an unknown image fails at once, and nothing leaves.
  echo "nameserver $DNS_IP" >node-resolv.conf
  mount --bind node-resolv.conf "$(readlink -f /etc/resolv.conf)"
  mkdir -p kubelet containerd etcd cni cni-state pod-logs
  : >pod-resolv.conf
}

make_cgroups() {
  local root file
  for root in $(cgroup_roots); do
    mkdir -p "$root/$CGROUP"
    # Version 1: a cpuset is empty until it is filled. Version 2: controllers reach children once they are handed down.
    for file in cpuset.cpus cpuset.mems; do
      [ -e "$root/$file" ] && [ -e "$root/cgroup.clone_children" ] && cat "$root/$file" >"$root/$CGROUP/$file"
    done
    if [ -e "$root/cgroup.subtree_control" ] && [ -s "$root/cgroup.controllers" ]; then
      for file in $(<"$root/cgroup.controllers"); do
        echo "+$file" >"$root/cgroup.subtree_control"
        echo "+$file" >"$root/$CGROUP/cgroup.subtree_control"
      done 2>/dev/null
    fi
  done
}

# Two service addresses matter, the API server's and the name server's: they are simply local, and there is no kube-proxy.
bring_up_network() {
  hostname "$NODE"
  ip link set lo up
  ip address add "$KUBERNETES_SERVICE_IP/32" dev lo
  ip address add "$DNS_IP/32" dev lo
  sysctl -qw net.ipv4.ip_forward=1
  wait_until 10 ip link show "$INSIDE_LINK" || return 1
  ip address add "$NODE_IP/30" dev "$INSIDE_LINK"
  ip link set "$INSIDE_LINK" up
}

write_configuration() {
  local template
  for template in "$FOLDER"/configuration/*; do
    eval "cat <<END
$(cat "$template")
END" >"${template##*/}"
  done
  mv bridge.conflist cni/
}

start_etcd() {
  start etcd etcd --data-dir "$RUN/etcd" --log-level warn --unsafe-no-fsync \
    --heartbeat-interval=20 --election-timeout=200 --quota-backend-bytes 4294967296 --snapshot-count 10000 \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster default=http://127.0.0.1:2380
}

start_api_server() {
  start api-server kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
    --bind-address=0.0.0.0 --secure-port=443 --advertise-address="$NODE_IP" \
    --tls-cert-file="$PKI/api-server.crt" --tls-private-key-file="$PKI/api-server.key" --client-ca-file="$PKI/ca.crt" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI/service-accounts.pub" --service-account-signing-key-file="$PKI/service-accounts.key" \
    --service-cluster-ip-range="$SERVICE_CIDR" \
    --kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$PKI/ca.crt" \
    --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
    --requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --shutdown-delay-duration=0s
  api_server=$!
}

is_api_server_ready() {
  curl --silent --fail --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" https://127.0.0.1/readyz
}

# Without their rates of requests, the controller manager makes service accounts, and the scheduler binds pods, late.
start_controllers() {
  local config=$PKI/controller-manager.kubeconfig
  start controller-manager kube-controller-manager --kubeconfig="$config" \
    --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" \
    --leader-elect=false --kube-api-qps=500 --kube-api-burst=1000 --use-service-account-credentials=true \
    --service-account-private-key-file="$PKI/service-accounts.key" --root-ca-file="$PKI/ca.crt" \
    --controllers='*,-node-ipam-controller,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller' \
    --flex-volume-plugin-dir="$RUN/kubelet/volume-plugins"
  config=$PKI/scheduler.kubeconfig
  start scheduler kube-scheduler --config=scheduler.yaml \
    --authentication-kubeconfig="$config" --authorization-kubeconfig="$config"
}

start_kubelet() {
  start kubelet kubelet --config=kubelet.yaml --kubeconfig="$PKI/kubelet.kubeconfig" --root-dir="$RUN/kubelet" \
    --cert-dir="$RUN/kubelet/pki" --hostname-override="$NODE" --node-ip="$NODE_IP"
}

runtime() { ctr --address "$RUN/containerd.sock" --namespace k8s.io "$@"; }

# The store of images remembers the containers of clusters that were killed.
forget_containers() {
  local containers
  mapfile -t containers < <(runtime containers list --quiet)
  [ ${#containers[@]} = 0 ] || runtime containers delete "${containers[@]}" >>"$LOG/import.log" 2>&1
}

# import ARCHIVE: into containerd's store, which outlives the cluster; an archive that is there already is left out.
import() {
  local stamp
  stamp=$IMAGE_STORE/imported-$(stat --format '%n-%s-%Y' "$1" | tr / _)
  [ -e "$stamp" ] || { runtime images import "$1" && touch "$stamp"; } >>"$LOG/import.log" 2>&1
}

import_all() {
  local archive
  for archive in "$@"; do import "$archive" || { say import-failed; return; }; done
  say imported
}

isolate_files
make_cgroups
write_configuration
start_etcd
rm -rf "$IMAGE_STORE"/io.containerd.grpc.v1.cri/{containers,sandboxes}
start containerd containerd --config containerd.toml
# The node's address must exist before the API server looks for it.
bring_up_network || exit 1
start_api_server
{
  wait_until 10 runtime version
  forget_containers
  import_all "$HOME_DIR/busybox.tar" "$@"
} &
# The controllers give up, rather than wait, when there is no API server.
wait_until 60 is_api_server_ready
start_controllers
start_kubelet
start coredns coredns -conf Corefile
say started

while read -r command; do
  case $command in
    stop-api-server) kill -KILL "$api_server"; wait "$api_server" 2>/dev/null; say api-server-stopped ;;
    start-api-server) start_api_server; say api-server-started ;;
    *) echo "unknown command: $command" >&2 ;;
  esac
done
