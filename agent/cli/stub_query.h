// SPDX-License-Identifier: Apache-2.0
// One question to one DNS server, without the resolver of this host.
#pragma once

#include <string>
#include <vector>

#include "dns/stub_question.h"

namespace outrider::cli {

/// Over UDP, twice within two seconds.
std::optional<dns::StubReply> query(const Endpoint& server, const dns::Name& name,
                                    dns::RrType type);

/// Whether an agent answers there for all of these domains.
bool agent_answers(const Endpoint& server, const std::vector<std::string>& domains);
/// Whether the server resolves names of the world: it answers for the root.
bool resolves_other_names(const Endpoint& server);

}  // namespace outrider::cli
