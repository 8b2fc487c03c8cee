#!/usr/bin/env bash
# What ./dev makes of the suites' results: a sum that misses a suite, or a CI that lets a skip through, would say "all is well".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../../dev"

bad=0
expect() {  # WHAT GOT WANTED
  [ "$2" = "$3" ] || { echo "FAIL $1: got \"$2\", wanted \"$3\""; bad=1; }
}
counted() {  # LOG_TEXT EXIT_STATUS: the sums
  (
    passed=0 failed=0 skipped=0
    count suite <(printf '%s\n' "$1") "$2" 2>/dev/null
    echo "$passed $failed $skipped"
  )
}
unlisted() {  # SKIP_LINE: how many the CI refuses
  (
    failed=0
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    mkdir -p "$folder/.ci" "$folder/build/logs"
    printf '# why\npeer\n' > "$folder/.ci/skips"
    printf '%s\n' "$1" > "$folder/build/logs/skips"
    cd "$folder"
    refuse_unlisted_skips 2>/dev/null
    echo "$failed"
  )
}

expect "a suite with its name" "$(counted 'golden: 12 passed, 3 failed, 4 skipped' 1)" "12 3 4"
expect "a suite without" "$(counted '2 passed, 0 failed, 1 skipped' 0)" "2 0 1"
expect "the last line counts" "$(counted $'note: 1 passed, 1 failed, 1 skipped\nx: 5 passed, 0 failed, 0 skipped' 0)" "5 0 0"
expect "a suite that broke off" "$(counted 'Traceback' 1)" "0 1 0"
expect "an exit status that no failure explains" "$(counted 'x: 5 passed, 0 failed, 0 skipped' 2)" "5 1 0"
expect "a listed skip" "$(unlisted 'skip  no peer here')" 0
expect "another skip" "$(unlisted 'skip  something else')" 1
exit $bad
