#!/bin/bash
# pki.sh FOLDER: the keys and kubeconfigs of a cluster that only this machine can reach.
#
# One authority; one key pair for each part that serves or asks; long-lived, for they are made with the installation.
set -euo pipefail
STATE_DIR=/nonexistent HOME_DIR=/nonexistent
. "$(dirname "$0")/settings.sh"
umask 077
mkdir -p "$1"
cd "$1"
DAYS=3650

# Spark 3's client reads other keys than RSA only with a library that Spark doesn't ship; the admin's is for spark-submit.
make_key() {
  if [ "$1" = admin ]; then openssl genrsa -out "$1.key" 2048; else openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; fi
} 2>/dev/null

# make_pair NAME SUBJECT USAGE [ALTERNATIVE NAMES]
make_pair() {
  make_key "$1"
  {
    echo "basicConstraints=CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=$3"
    if [ -n "${4:-}" ]; then echo "subjectAltName=$4"; fi
  } >"$1.extensions"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.request"
  openssl x509 -req -in "$1.request" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days $DAYS \
    -extfile "$1.extensions" -out "$1.crt" 2>/dev/null
  rm "$1.extensions" "$1.request"
}

# make_kubeconfig NAME SERVER: NAME is the key pair to show.
make_kubeconfig() {
  cat >"$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "$2", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
END
}

make_key ca
openssl req -x509 -new -key ca.key -sha256 -days $DAYS -subj /CN=lamplighter-e2e -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature

SERVICE=kubernetes.default.svc
make_pair api-server /CN=kube-apiserver serverAuth \
  "DNS:kubernetes,DNS:kubernetes.default,DNS:$SERVICE,DNS:$SERVICE.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$KUBERNETES_SERVICE_IP,IP:$NODE_IP"
# The kubelet serves logs and asks the API server with the same pair.
make_pair kubelet "/O=system:nodes/CN=system:node:$NODE" serverAuth,clientAuth "DNS:$NODE,IP:$NODE_IP"
make_pair kubelet-client /O=system:masters/CN=kube-apiserver clientAuth
make_pair controller-manager /CN=system:kube-controller-manager clientAuth
make_pair scheduler /CN=system:kube-scheduler clientAuth
# The name server is part of the harness: it reads what it likes, without a role to make first.
make_pair coredns /O=system:masters/CN=coredns clientAuth
make_pair admin /O=system:masters/CN=admin clientAuth

openssl genrsa -out service-accounts.key 2048 2>/dev/null
openssl rsa -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null

for part in kubelet controller-manager scheduler coredns; do make_kubeconfig $part https://127.0.0.1:443; done
make_kubeconfig admin "https://$NODE_IP:443"
