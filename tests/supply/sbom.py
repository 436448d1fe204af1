#!/usr/bin/env python3
"""Prints what the binary is made of, as CycloneDX 1.5: from Cargo.lock and the metadata of the crates.

    tests/supply/sbom.py [TARGET]      default: x86_64-unknown-linux-gnu

Development dependencies are left out. Build dependencies are named, with the scope "excluded": they run while it is
built, and are not in it.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cargo_metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def reached(nodes, root, kinds):
    """The packages that are reached from the root over dependencies of these kinds."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        for dependency in nodes[node]["deps"]:
            if any(kind["kind"] in kinds for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return seen


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"
    metadata = cargo_metadata(target)
    with open(ROOT / "Cargo.lock", "rb") as lock:
        locked = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(lock)["package"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    inside, all_of_it = reached(nodes, root, {None}), reached(nodes, root, {None, "build"})

    def reference(identity):
        package = packages[identity]
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(identity):
        package = packages[identity]
        made = {
            "type": "library",
            "bom-ref": reference(identity),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(identity),
            "scope": "required" if identity in inside else "excluded",
            "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}],
        }
        checksum = locked.get((package["name"], package["version"]))
        if checksum:
            made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return made

    others = sorted(all_of_it - {root}, key=reference)
    subject = component(root) | {"type": "application"}
    del subject["scope"]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        # No time and no random number: the same Cargo.lock gives the same file.
        "metadata": {"component": subject, "properties": [{"name": "cargo:target", "value": target}]},
        "components": [component(identity) for identity in others],
        "dependencies": [
            {
                "ref": reference(identity),
                "dependsOn": sorted(
                    {
                        reference(dependency["pkg"])
                        for dependency in nodes[identity]["deps"]
                        if any(kind["kind"] in {None, "build"} for kind in dependency["dep_kinds"])
                    }
                ),
            }
            for identity in [root, *others]
        ],
    }
    json.dump(bom, sys.stdout, indent=1)
    print()


main()
