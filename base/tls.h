// SPDX-License-Identifier: Apache-2.0
// How a client of ours uses TLS: whether at all, what it trusts, and who it says that it is.
#pragma once

#include <string>

namespace outrider {

struct TlsOptions {
  bool on = false;
  bool verify = true;
  std::string ca_file;              // authorities to trust; empty: the system's
  std::string server_name;          // for SNI and verification; empty: from the target
  std::string cert_file, key_file;  // of the client; empty key: in the certificate's file
  bool operator==(const TlsOptions&) const = default;

  bool names_files() const { return !ca_file.empty() || !cert_file.empty() || !key_file.empty(); }
};

}  // namespace outrider
