#!/usr/bin/env bash
# Builds the sandbox and shows the progress: the first build of the embedded Temporal server takes minutes.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p bin

# progress LABEL TOTAL PATTERN counts the lines that match PATTERN. It updates the count in place on a terminal and prints
# every 250th elsewhere. Other lines pass through.
progress() {
    awk -v label="$1" -v total="$2" -v pattern="$3" -v terminal="$([ -t 2 ] && echo 1 || echo 0)" '
        $0 ~ pattern {
            n++
            of = total > 0 ? " of " total : ""
            if (terminal) printf "\r  %s %d%s ", label, n, of > "/dev/stderr"
            else if (n % 250 == 0) printf "  %s %d%s\n", label, n, of > "/dev/stderr"
            fflush("/dev/stderr"); next
        }
        { print > "/dev/stderr" }
        END { if (n && terminal) printf "\n" > "/dev/stderr" }'
}

packages=$(mktemp)
trap 'rm -f "$packages"' EXIT
go list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' . 2>&1 >"$packages" | progress "downloading module" 0 '^go: downloading '
stale=$(go list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' . | wc -l)
if [ "$stale" -gt 200 ]; then
    echo "Building the embedded Temporal server: $stale packages. The first build takes some minutes, later builds take seconds." >&2
fi
go build -v -o bin/sandbox . 2>&1 | progress "compiled package" "$stale" '^[A-Za-z0-9_][^ :]*$'
