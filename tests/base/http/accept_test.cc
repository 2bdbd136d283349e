// SPDX-License-Identifier: Apache-2.0
#include "base/http/accept.h"

#include <doctest/doctest.h>

namespace outrider::http {
namespace {

TEST_CASE("browsers get a page, programs that prefer it JSON, others text") {
  CHECK(preferred_form("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8") ==
        Form::page);
  CHECK(preferred_form("application/json") == Form::json);
  CHECK(preferred_form("Application/JSON; charset=utf-8, text/html;q=0.9") == Form::json);
  CHECK(preferred_form("application/json;q=0.5, text/html;q=0.50") == Form::page);
  CHECK(preferred_form("application/json ; q=0.5, text/html ; Q=0.499") == Form::json);
  CHECK(preferred_form("application/json;q=0, text/html;q=0") == Form::text);
  CHECK(preferred_form("*/*") == Form::text);
  CHECK(preferred_form("") == Form::text);
  CHECK(preferred_form(";;,q=,,application/json;q=x") == Form::text);
}

TEST_CASE("blanks around a value are no part of it") {
  CHECK(without_blanks(" \t a b\t ") == "a b");
  CHECK(without_blanks("a") == "a");
  CHECK(without_blanks(" \t").empty());
  CHECK(without_blanks("").empty());
}

}  // namespace
}  // namespace outrider::http
