#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The npm package that carries the program: packed, installed in a clean folder without a network, run.
set -uo pipefail
. "$(dirname "$0")/steps.sh"
need npm node

build() { ./quickstart --npm >"$scratch/name" && test -s "$(cat "$scratch/name")"; }
step "./quickstart --npm builds it" build
[ $failed = 0 ] || finish
file=$PWD/$(cat "$scratch/name")
version=$(packaging/version)
app=$scratch/app
mkdir "$app"
echo '{"name": "app", "version": "1.0.0", "scripts": {"which": "outrider version"}}' >"$app/package.json"
export HOME=$scratch npm_config_update_notifier=false

installs() { cd "$app" && npm install --offline --ignore-scripts --no-audit --no-fund "$file"; }
step "npm installs it offline, with scripts forbidden" installs

runs() {
  cd "$app"
  npm run --silent which | grep -F "$version"
  npx --no-install outrider version | grep -F "$version"
  npx --no-install outrider-agent version | grep -F "$version"
  test -s node_modules/outrider-agent/share/man/man1/outrider.1
  test -s node_modules/outrider-agent/sbom.spdx.json
  test "$(node -p 'require("outrider-agent/package.json").version')" = "$version"
}
step "scripts of the package and npx run the program" runs

serves() {
  cd "$app"
  export XDG_RUNTIME_DIR=$scratch XDG_STATE_HOME=$scratch
  cat >server.js <<'END'
const server = require('http').createServer((request, response) => response.end('page'));
const {execFileSync} = require('child_process');
server.listen(process.env.PORT, () => {
  require('http').get(`http://127.0.0.1:${process.env.PORT}/`, (answer) => {
    // Which service this is, the agent of the package says.
    const said = execFileSync('node_modules/.bin/outrider', ['instances'], {encoding: 'utf8'});
    console.log(said.includes('hello') ? 'found hello' : said);
    process.exit(0);
  });
});
END
  npx --no-install outrider run --name hello --set 'dns.listen=[]' --set 'web.listen=[]' --set mdns.provider=off -- \
    node server.js | grep 'found hello'
}
step "npx outrider run registers a program of Node, and ends with it" serves
finish
