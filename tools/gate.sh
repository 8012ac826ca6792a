#!/usr/bin/env bash
# Every check of this project in turn, with the time each took; stops at the first that fails.
# tools/gate.sh [--lint-only] [arguments for pytest]
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.dev/venv/bin
summary=

now() { "$bin/python" -I -S -c 'import time; print(time.time())'; }
step() { # name, command ...
  local name=$1 began seconds status=0
  shift
  printf '\n== %s\n' "$name"
  began=$(now)
  "$@" || status=$?
  seconds=$("$bin/python" -I -S -c "import time; print(f'{time.time() - $began:.1f}')")
  summary+=$(printf '%-14s %6s s  %s' "$name" "$seconds" "$([ $status = 0 ] && echo ok || echo FAILED)")$'\n'
  if [ $status != 0 ]; then
    printf '\n%s' "$summary" >&2
    exit $status
  fi
}

step 'ruff check' "$bin/ruff" check .
step 'ruff format' "$bin/ruff" format --check .
step 'mypy' "$bin/mypy"
step 'lint-imports' "$bin/lint-imports"
if [ "${1:-}" != --lint-only ]; then
  rm -f .dev/figures.txt
  # Tests start our own commands again and again; each start would compile modules for a quarter of a second.
  export PYTHONDONTWRITEBYTECODE=
  # in the groups and the order of tests/support/scheduling.py
  step 'pytest' "$bin/pytest" -n "${TEST_PROCESSES:-3}" --dist loadscope --no-loadscope-reorder "$@"
  [ ! -f .dev/figures.txt ] || { printf '\n== figures that tests have noted\n'; cat .dev/figures.txt; }
fi
printf '\n%s' "$summary"
