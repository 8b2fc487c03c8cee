#!/usr/bin/env bash
# What ./dev makes of the suites' results: a sum that misses a suite, or a CI that lets a skip through, would say "all is well".
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../../dev"

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

told() {  # LOG_TEXT: the failures that the end of the output names
  /usr/bin/python3 "$here/../../support/failures.py" s <(printf '%s\n' "$1") | tr '\n' '|'
}

expect "a suite with its name" "$(counted 'golden: 12 passed, 3 failed, 4 skipped' 1)" "12 3 4"
expect "a suite without" "$(counted '2 passed, 0 failed, 1 skipped' 0)" "2 0 1"
expect "the last line counts" "$(counted $'note: 1 passed, 1 failed, 1 skipped\nx: 5 passed, 0 failed, 0 skipped' 0)" "5 0 0"
expect "a suite that broke off" "$(counted 'Traceback' 1)" "0 1 0"
expect "an exit status that no failure explains" "$(counted 'x: 5 passed, 0 failed, 0 skipped' 2)" "5 1 0"
expect "a listed skip" "$(unlisted 'skip  no peer here')" 0
expect "another skip" "$(unlisted 'skip  something else')" 1
gtest=$'1/3 Test #1: a_test ....   Passed    0.1 sec\n      Start 2: b_test\n2/3 Test #2: b_test ....***Failed    3.1 sec
[ RUN      ] X.Good\n[       OK ] X.Good (0 ms)\n[ RUN      ] X.Bad\nb.cc:7: Failure\n  1\n[  FAILED  ] X.Bad (0 ms)
[  FAILED  ] X.Bad\n      Start 3: c_test\n3/3 Test #3: c_test ....Subprocess aborted***Exception:   0.1 sec
[ RUN      ] Y.Dies\nCHECK\n\n33% tests passed, 2 tests failed out of 3'
expect "gtest's failures, and a death" "$(told "$gtest")" \
  "failed: s: b_test: X.Bad|    b.cc:7: Failure|      1|failed: s: c_test: Y.Dies (did not end)|    CHECK|    |"
expect "a script's failure" "$(told $'1/1 Test #1: d_test ....***Failed    3.1 sec\nwhy\n\n0% tests passed')" \
  "failed: s: d_test ***Failed    3.1 sec|    why|"
expect "a Python suite's failures" "$(told $'FAIL  one\n      got 1\n      wanted 2\nok    x\nFAIL  two\ns: failed: one, two')" \
  "failed: s: one|    got 1|    wanted 2|failed: s: two|"
expect "a suite that broke off says why" "$(told $'Traceback\nBoom')" "failed: s, which ended so:|    Traceback|    Boom|"
exit $bad
