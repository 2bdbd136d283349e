# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: a CA in a folder, by openssl."""

from harness import run


class Authority:
    """The CA (certificate, key), and what it signs."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.ca = self._self_signed("ca", "/CN=Test CA", [])

    def _ssl(self, *words):
        run(["openssl", *map(str, words)])

    def _self_signed(self, name, subject, more):
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._ssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", key, "-out", cert, "-subj", subject, "-days", 2, *more)
        return cert, key

    def self_signed(self, name, san):
        return self._self_signed(name, f"/CN={name}", ["-addext", f"subjectAltName={san}"])

    def signed(self, name, san, days=2, subject=None):
        cert, key, ask = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        more = self.folder / f"{name}.ext"
        more.write_text(f"subjectAltName={san}\n")
        self._ssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", key, "-out", ask, "-subj", subject or f"/CN={name}")
        self._ssl("x509", "-req", "-in", ask, "-CA", self.ca[0], "-CAkey", self.ca[1],
                  "-CAcreateserial", "-out", cert, "-days", days, "-extfile", more)
        return cert, key
