// SPDX-License-Identifier: Apache-2.0
// The status page, for people with a browser: page.html, one file that the build turns into an
// array (embed.py). With JavaScript it follows the stream of changes and asks our own API for the
// rest. Without, it shows the tables that `show` writes into it: every service, or one with the
// words of `why`. It changes nothing unless its reader has the token, or came over the Unix socket.
//
// What the network says is text to it, never markup: html.h here, textContent in the script. Its
// Content-Security-Policy allows the script and the style of the file by their hashes, and
// connections to this agent only.
#pragma once

#include <optional>
#include <string_view>

#include "base/http/server.h"

namespace outrider::doors {
class Api;
}

namespace outrider::doors::page {

/// Rows and instances that the tables without JavaScript have; the commands list all of them.
inline constexpr std::size_t kStaticServicesMax = 1'000;
inline constexpr std::size_t kStaticInstancesMax = 256;

/// Whether the client prefers a page for people over JSON, as browsers do.
bool is_wanted(const http::ServerRequest& request);
/// "hello" of "GET /hello", where the API has no such path; for programs, only if an instance of
/// that name is known.
std::optional<std::string_view> service_asked_for(Api& api, const http::ServerRequest& request);
/// Answers with the state of what is called `name`: the page for browsers, the explanation in JSON
/// for programs that ask for it, a few lines of text for the rest (curl).
void answer_for(Api& api, const http::ServerRequest& request, std::string_view name,
                http::Exchange exchange);
/// Answers with the page, opened at `service` if that is not empty.
void show(Api& api, const http::ServerRequest& request, std::string_view service,
          http::Exchange exchange);

}  // namespace outrider::doors::page
