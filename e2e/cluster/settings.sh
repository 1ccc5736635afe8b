# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share. Sourced, with two variables set by whoever starts them:
# HOME_DIR, what setup installed (programs, unpacked packages, keys), and STATE_DIR, what the cluster writes.
BIN=$HOME_DIR/bin
PACKAGES=$HOME_DIR/packages
PKI=$HOME_DIR/pki
# Thrown away when the cluster ends; the last logs and containerd's images stay.
RUN=$STATE_DIR/run
LAST_LOGS=$STATE_DIR/last-logs
IMAGE_STORE=$STATE_DIR/images

# One cluster at a time has these names and addresses, on the whole machine.
NODE=lamplighter-e2e
CGROUP=lamplighter-e2e
OUTSIDE_LINK=lamp-e2e-out INSIDE_LINK=lamp-e2e-in
# Neither loopback nor link-local: the API server refuses to advertise those.
OUTSIDE_IP=10.245.0.1 NODE_IP=10.245.0.2
POD_CIDR=10.244.0.0/20 POD_GATEWAY=10.244.0.1
SERVICE_CIDR=10.96.0.0/16 KUBERNETES_SERVICE_IP=10.96.0.1 DNS_IP=10.96.0.10

SANDBOX_IMAGE=lamplighter.test/busybox:1

export PATH=$BIN:$PACKAGES/usr/bin:$PACKAGES/usr/sbin:$PATH:/usr/sbin:/sbin

# The folders that stand for "/" in the hierarchies of control groups: one with version 2, one per controller before.
cgroup_roots() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    local folder
    for folder in /sys/fs/cgroup/*/; do [ -e "$folder/cgroup.procs" ] && echo "${folder%/}"; done
  fi
}
