#!/usr/bin/env python3
"""Fails if a crate that Tandem is built from has a licence that is not on the list below."""
import json, re, subprocess, sys

ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib",
           "Unicode-3.0", "Unlicense", "0BSD", "CC0-1.0", "BSL-1.0", "MPL-2.0", "CDLA-Permissive-2.0", "MIT-0", "NCSA", "IJG"}


def allowed(expression):
    """SPDX: any side of OR, every side of AND; the old `MIT/Apache-2.0` means OR."""
    expression = expression.replace("/", " OR ").strip()
    while True:  # innermost brackets first
        inner = re.search(r"\(([^()]*)\)", expression)
        if not inner:
            break
        expression = expression.replace(inner.group(0), "MIT" if allowed(inner.group(1)) else "REFUSED")
    return any(all(term.strip() in ALLOWED for term in side.split(" AND ")) for side in expression.split(" OR "))


metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--locked"]))
refused = [f"{p['name']} {p['version']}: {p['license']}" for p in metadata["packages"]
           if not (p["license"] and allowed(p["license"])) and not p.get("license_file")]
assert not allowed("GPL-3.0") and allowed("(MIT OR GPL-3.0) AND Zlib"), "the check itself"
print("\n".join(refused) or f"{len(metadata['packages'])} crates, every licence allowed")
sys.exit(bool(refused))
