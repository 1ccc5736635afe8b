#!/bin/bash
# Holds a cluster for as long as its standard input is open, then removes everything that it made.
#
#   hold.sh [IMAGE.tar...]     with HOME_DIR and STATE_DIR as settings.sh says
#
# The cluster lives in namespaces of its own, below one process. When the holder's input ends (the holder's parent died,
# however), the namespaces end; when the holder is killed, the kernel kills them; what that leaves, the next holder removes.
#
# Standard output says what happened, a word a line: `locked` (it is our turn), what node.sh says, `removed`.
# Standard input takes what node.sh takes.
set -uo pipefail
FOLDER=$(cd "$(dirname "$0")" && pwd)
. "$FOLDER/settings.sh"

# Ends by the end of its input, not by a Ctrl-C meant for the tests. Handled rather than ignored: what is ignored stays
# ignored in all that is started from here, pods included.
trap : INT TERM HUP

remove_leftovers() {
  ip link delete "$OUTSIDE_LINK" 2>/dev/null  # its routes go with it
  remove_cgroups
  if [ -d "$RUN/log" ]; then rm -rf "$LAST_LOGS"; mv "$RUN/log" "$LAST_LOGS"; fi
  rm -rf "$RUN"
}

# The kernel lets go of a control group some time after its last process died.
remove_cgroups() {
  local root left _
  for _ in $(seq 100); do
    left=
    for root in $(cgroup_roots); do
      [ -d "$root/$CGROUP" ] || continue
      left=yes
      find "$root/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -KILL 2>/dev/null
      find "$root/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    [ -z "$left" ] && return
    sleep 0.05
  done
  echo "control groups named $CGROUP could not be removed" >&2
}

network_of() { readlink "/proc/$1/ns/net"; }

# A pair of links is the only way in and out: what runs inside has a route to this machine and nowhere else.
connect() {
  until [ "$(network_of "$1")" != "$(network_of $$)" ]; do
    kill -0 "$1" 2>/dev/null || return 1
    sleep 0.01
  done
  ip link add "$OUTSIDE_LINK" type veth peer name "$INSIDE_LINK" netns "$1" &&
    ip address add "$OUTSIDE_IP/30" dev "$OUTSIDE_LINK" &&
    ip link set "$OUTSIDE_LINK" up &&
    ip route add "$POD_CIDR" via "$NODE_IP" &&
    ip route add "$SERVICE_CIDR" via "$NODE_IP"
}

# Names and addresses are the machine's, and so is the lock. It ends with this process, after everything is removed.
exec 9>/run/lock/lamplighter-e2e.lock
flock --nonblock 9 || { echo "waiting for the cluster of another process to end" >&2; flock 9; }
echo locked

remove_leftovers
mkdir -p "$RUN/log" "$IMAGE_STORE"
export HOME_DIR STATE_DIR
# A job in the background would get no standard input, unless it is said.
setpriv --pdeathsig KILL -- unshare --net --mount --pid --uts --ipc --fork --kill-child=KILL --mount-proc \
  "$FOLDER/node.sh" "$@" <&0 3>&1 >"$RUN/log/node.log" 2>&1 9>&- &
namespaces=$!
connect "$namespaces" || { echo "the network could not be made, see $LAST_LOGS" >&2; kill -KILL "$namespaces"; }
while kill -0 "$namespaces" 2>/dev/null; do wait "$namespaces" 2>/dev/null; done
remove_leftovers
echo removed
