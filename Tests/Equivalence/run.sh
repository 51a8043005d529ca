#!/usr/bin/env bash
# Says whether two builds do the same on some hundred commands: exit codes, messages, reports, and all that they write. Takes some minutes.
#
#   bash Tests/Equivalence/run.sh OLD NEW [WORD...]      two built programs; only commands with one of the words in their name
#
# The table is printed, and stays with both records in a folder that is named at the end. Ends with 1 when something differs.
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2")
shift 2
cd "$(dirname "$0")/../.."
source Tests/prepare.sh
command -v python3 >/dev/null 2>&1 || install_packages python3
records=$(mktemp -d "${TMPDIR:-/tmp}/lathe-equivalence-records.XXXXXX")
export PYTHONDONTWRITEBYTECODE=1
python3 Tests/Equivalence/equivalence.py record "$old" "$records/old" "$@"
python3 Tests/Equivalence/equivalence.py record "$new" "$records/new" "$@"
status=0
python3 Tests/Equivalence/equivalence.py compare "$records/old" "$records/new" >"$records/table.txt" || status=$?
cat "$records/table.txt"
echo "$records has both records and the table."
exit $status
