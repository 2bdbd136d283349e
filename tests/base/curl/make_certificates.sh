#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make_certificates.sh FOLDER: a CA, what it signs for 127.0.0.1 and app.test, and what is wrong.
set -eu
cd "$1"
curve='-newkey ec -pkeyopt ec_paramgen_curve:P-256'
authority() {
  # shellcheck disable=SC2086
  openssl req -x509 $curve -nodes -keyout "$1.key" -out "$1.pem" -subj "/CN=$1" -days 2
}
signed() { # NAME SAN DAYS
  echo "subjectAltName=$2" > "$1.ext"
  # shellcheck disable=SC2086
  openssl req -new $curve -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$1.pem" -days "$3" \
    -extfile "$1.ext"
}
authority ca
authority stranger
signed good DNS:app.test,IP:127.0.0.1 2
signed other DNS:other.test 2
signed expired DNS:app.test,IP:127.0.0.1 -1
signed client DNS:client.test 2
openssl ec -in client.key -aes128 -passout pass:secret -out locked.key
