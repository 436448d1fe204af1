#!/usr/bin/env python3
"""Write the lists of option names that released frameworks know, one file for each list in sources.toml.

    tests/options/extract.py [--cache DIR] [LIST ...]

A wheel comes from the package index that pip uses (`pip download`, which builds and runs nothing from a wheel). A repository
is read at a commit from DIR/git/<owner>+<name>, a bare clone that is made if it is missing. A single file may lie at
DIR/files/<owner>+<name>@<commit>/<path> instead. Sources are parsed, never imported or run. Only the standard library is used.

A list has a line for each option: name, type, default and, if not all releases of the list know it, those that do. Names have
`_` for `-`. Keys of nested groups are joined by dots. Lines are sorted by their bytes, because the reader searches them so.
"""

import argparse
import ast
import fnmatch
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile

HERE = pathlib.Path(__file__).parent
LONGEST = 48
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.]{0,79}$")
VARIABLE = re.compile(r"^[A-Z][A-Z0-9]*_[A-Z0-9_]+$")
READS_A_VARIABLE = re.compile(r"(getenv|environ|env)", re.IGNORECASE)


# --- where sources come from


class Wheel:
    """A wheel of the package index."""

    def __init__(self, package, version, cache):
        folder = cache / "wheels"
        stem = re.sub(r"[-_.]+", "_", package) + "-" + version + "-"
        found = [f for f in folder.glob("*.whl") if f.name.lower().startswith(stem.lower())]
        if not found:
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            subprocess.run(command + ["--python-version", "3.12", "-d", folder, f"{package}=={version}"], check=True)
            found = [f for f in folder.glob("*.whl") if f.name.lower().startswith(stem.lower())]
        self.archive = zipfile.ZipFile(found[0])
        # Some wheels keep their modules under `<name>.data/purelib`.
        self.paths = {re.sub(r"^[^/]+\.data/(pure|plat)lib/", "", name): name for name in self.archive.namelist()}

    def text(self, path):
        return self.archive.read(self.paths[path]).decode()


class Repository:
    """A repository at a commit, from a bare clone or from single files."""

    def __init__(self, repository, commit, cache):
        self.commit = commit
        self.folder = cache / "files" / f"{repository.replace('/', '+')}@{commit}"
        if self.folder.is_dir():
            self.git = None
            files = (path for path in self.folder.rglob("*") if path.is_file())
            self.paths = {str(path.relative_to(self.folder)): None for path in files}
            return
        self.git = cache / "git" / repository.replace("/", "+")
        if not self.git.is_dir():
            clone = ["git", "clone", "--quiet", "--bare", "--filter=blob:none"]
            subprocess.run(clone + [f"https://github.com/{repository}", self.git], check=True)
        self.paths = {path: None for path in self.run("ls-tree", "-r", "--name-only", commit).splitlines()}

    def run(self, *arguments):
        command = ["git", f"--git-dir={self.git}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def text(self, path):
        if self.git is None:
            return (self.folder / path).read_text()
        return self.run("show", f"{self.commit}:{path}")


# --- what they hold: triples of name, type and default


def short(text):
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def literal(node):
    """A default as its source writes it, if it is a value and not a computation."""
    if isinstance(node, ast.Call):
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        return literal(named["default"]) if "default" in named else literal(node.args[0]) if node.args else ""
    try:
        return short(repr(ast.literal_eval(node)))
    except (ValueError, TypeError, SyntaxError):
        return ""


def annotated(node):
    """The type of a field, without what pydantic's Annotated adds to it."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Annotated"):
        inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
        return ast.unparse(inner)
    return ast.unparse(node)


def strings(node):
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def fields(tree, step):
    """The fields of dataclasses and of pydantic models, with their aliases."""
    wanted = re.compile(step.get("classes", ".*"))
    unwanted = re.compile(step.get("but", "^$"))
    for scope in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        if not wanted.search(scope.name) or unwanted.search(scope.name):
            continue
        for node in scope.body:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            name, kind = node.target.id, annotated(node.annotation)
            if name.startswith("_") or "ClassVar" in kind:
                continue
            default = literal(node.value) if node.value else ""
            yield name, kind, default
            if default == "True" and step.get("negated"):
                yield f"no_{name}", "switch", ""
                yield f"disable_{name}", "switch", ""
            for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
                for keyword in call.keywords:
                    if keyword.arg in ("alias", "aliases", "validation_alias"):
                        yield from ((alias, kind, default) for alias in strings(keyword.value))
                    if keyword.arg == "metadata" and isinstance(keyword.value, ast.Dict):
                        pairs = zip(keyword.value.keys, keyword.value.values)
                        aliases = [v for k, v in pairs if k is not None and "alias" in "".join(strings(k))]
                        yield from ((a, kind, default) for value in aliases for a in strings(value))


def arguments(tree, step):
    """The options that are added to an argparse parser."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "add_argument":
            continue
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        action = strings(named["action"]) if "action" in named else []
        kind = "switch" if any(a.startswith("store_") for a in action) else ast.unparse(named.get("type", ast.Constant("")))
        default = literal(named["default"]) if "default" in named else ""
        for name in (n.value for n in node.args if isinstance(n, ast.Constant) and isinstance(n.value, str)):
            if name.startswith("-"):
                yield name.lstrip("-"), kind.strip("'"), default


def parameters(tree, step):
    """The parameters of functions whose names match, of the classes that match."""
    wanted = re.compile(step["functions"])
    classes = re.compile(step.get("classes", ".*"))
    others = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and not classes.search(n.name)]
    unwanted = {id(inner) for other in others for inner in ast.walk(other)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and wanted.search(node.name) and id(node) not in unwanted:
            positional = node.args.posonlyargs + node.args.args
            defaults = [None] * (len(positional) - len(node.args.defaults)) + node.args.defaults
            pairs = list(zip(positional, defaults)) + list(zip(node.args.kwonlyargs, node.args.kw_defaults))
            for argument, default in pairs:
                if argument.arg not in ("self", "cls"):
                    kind = annotated(argument.annotation) if argument.annotation else ""
                    yield argument.arg, kind, literal(default) if default else ""


def constants(tree, step):
    """The keys that a module names by constants: `TRAIN_BATCH_SIZE = "train_batch_size"`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value = node.value.value
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]+", value) and any(n.isupper() for n in names):
                if not any(n.endswith(("_DEFAULT", "_FORMAT")) for n in names):
                    yield value, "", ""


def environment(tree, step):
    """The variables of the environment that the code reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and READS_A_VARIABLE.search(ast.unparse(node.func)):
            read = node.args[:1]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            read = [node.slice]
        else:
            continue
        for name in read:
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and VARIABLE.match(name.value):
                yield name.value, "environment", ""


def plugins(tree, step):
    """The plugins of axolotl, by the names that its configuration takes."""
    module = step["path"].removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Plugin") and node.name != "BasePlugin":
            yield f"{module}.{node.name}", "plugin", ""


def keys(text, step):
    """The keys of a YAML file in block style."""
    groups = []
    block = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None and (not line.strip() or indent > block):
            continue
        block = None
        found = re.match(r"^(\s*)(?:#\s?)?((?:- )*)([A-Za-z_][\w.]*):(?:\s+(.*))?$", line)
        if not found or (line.lstrip().startswith("#") and not step.get("commented")):
            continue
        value = re.sub(r"\s+#.*$", "", found[4] or "").strip().strip("'\"")
        depth = len(found[1]) + len(found[2])
        groups = [group for group in groups if group[0] < depth]
        # A group may take keys that the list does not have, so some lists leave groups out.
        if value or not step.get("leaves"):
            yield ".".join([name for _, name in groups] + [found[3]]), "", short(value)
        if value in ("|", ">", "|-", ">-"):
            block = depth
        elif not value:
            groups.append((depth, found[3]))


STEPS = {
    "fields": fields,
    "arguments": arguments,
    "parameters": parameters,
    "constants": constants,
    "environment": environment,
    "plugins": plugins,
}


def options(source, steps):
    """All options of a release: name -> (type, default). The first place that names one counts."""
    found = {}
    for step in steps:
        paths = sorted(p for p in source.paths if any(fnmatch.fnmatch(p, glob) for glob in step["files"]))
        if not paths and not step.get("may_lack"):
            sys.exit(f"no file matches {step['files']}")
        for path in paths:
            text = source.text(path)
            if step["take"] == "keys":
                all_of_file = keys(text, step)
            else:
                all_of_file = STEPS[step["take"]](ast.parse(text), {**step, "path": path})
            for name, kind, default in all_of_file:
                name = step.get("prefix", "") + name.replace("-", "_")
                if NAME.match(name) and not name.startswith("_"):
                    found.setdefault(name, (short(kind), default))
    return found


def write(entry, cache):
    releases = {}
    for release in entry["release"]:
        if "package" in release:
            source = Wheel(release["package"], release["version"], cache)
        else:
            source = Repository(release["repository"], release["commit"], cache)
        steps = [step for step in entry["read"] if release["version"] in step.get("of", [release["version"]])]
        releases[release["version"]] = options(source, steps)
    lines = []
    for name in sorted({name for known in releases.values() for name in known}, key=str.encode):
        knows = [version for version, known in releases.items() if name in known]
        kind = releases[knows[-1]][name][0]
        # A default that changed between releases is none to rely on.
        defaults = {releases[version][name][1] for version in knows}
        default = defaults.pop() if len(defaults) == 1 else ""
        some = "" if len(knows) == len(releases) else ", ".join(knows)
        lines.append("\t".join([name, kind, default, some]).rstrip("\t"))
    origins = [
        f"# {release['version']}: "
        + (f"{release['package']} of the package index" if "package" in release
           else f"github.com/{release['repository']} at {release['commit']}")
        for release in entry["release"]
    ]
    head = [f"# {entry['name']} {', '.join(releases)}: written by tests/options/extract.py", *origins]
    (HERE.parent.parent / entry["file"]).parent.mkdir(parents=True, exist_ok=True)
    (HERE.parent.parent / entry["file"]).write_text("\n".join(head + lines) + "\n")
    print(f"{entry['name']}: {len(lines)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, default=HERE.parent.parent / "target" / "options")
    parser.add_argument("lists", nargs="*", help="the names of lists; all without any")
    asked = parser.parse_args()
    for entry in tomllib.loads((HERE / "sources.toml").read_text())["list"]:
        if not asked.lists or entry["name"] in asked.lists:
            write(entry, asked.cache)


if __name__ == "__main__":
    main()
