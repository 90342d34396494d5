#!/usr/bin/env bash
# Checks the page of `tandem reproduce` in a headless browser, and says what is wrong with it.
#
#     scripts/check-report.sh FILE.html                     # exit 0 where nothing is
#     scripts/check-report.sh --screenshots FOLDER FILE     # and pictures of it: both themes, both widths
#     scripts/check-report.sh --prove FILE                  # breaks copies of it; each must be caught
#
# Looked at: nothing is loaded and nothing logged; both themes have the contrast of WCAG 2.2 AA; Tab
# reaches all there is to reach; nothing overflows at 360 and 1280 pixels; pictures have names, headings
# their order, links their ends. Needs Node 18 or newer and Chromium (Debian's `chromium`; CHROMIUM names
# another).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
browser=${CHROMIUM:-$(command -v chromium || command -v google-chrome || true)}
if [ -z "$browser" ] || ! command -v node >/dev/null; then
    echo "check-report.sh needs node and chromium: apt-get install nodejs chromium" >&2
    exit 2
fi
CHROMIUM=$browser exec node "$here/check_report.mjs" "$@"
