#!/usr/bin/env python3
"""lock.py SET DEBS LOCK: resolve a set of sets.json, fetch it, and write the lock that default.nix reads.

APT_CONFIG names the apt state (suite, architecture) that answers; ../scripts/debpkgs makes one. The .deb files
go into the folder DEBS, each checked against the hash in the signed package list. LOCK is written last and at
once, so that a lock that exists is whole.
"""
import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile

PRIORITY = {"required": 0, "important": 1, "standard": 2, "optional": 3, "extra": 4}
# What builder.sh leaves out: a package that has nothing else becomes no store path.
DOCUMENTATION = re.compile(
    r"^usr/share/(doc|man|info|locale|lintian|doc-base|bug|menu|gnome|help|applications|pixmaps|icons)(/|$)"
    r"|^usr/share/[^/]+/locale/")
# Interpreters that Debian packages use without a Depends, being Essential.
ESSENTIAL = {"sh": "bash", "bash": "bash", "dash": "bash"}


def words(field):
    return [w for w in re.split(r"\s*,\s*", field) if w]


def record(text):
    fields = (line.partition(": ") for line in text.split("\n"))
    return {key: value.strip() for key, sep, value in fields if sep and not key.startswith(" ")}


def newer(a, b):
    return subprocess.run(["dpkg", "--compare-versions", a, "gt", b]).returncode == 0


def read_records():
    """The newest version of every package that apt knows, by name."""
    dump = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, check=True, text=True).stdout
    packages = {}
    for text in dump.split("\n\n"):
        p = record(text)
        if "Package" not in p or "Filename" not in p:
            continue
        known = packages.get(p["Package"])
        if known is None or newer(p["Version"], known["Version"]):
            packages[p["Package"]] = p
    return packages


class Archive:
    """Who depends on whom, by Debian's own names."""

    def __init__(self, records, config):
        self.records = records
        self.skip, self.cut = set(config["skip"]), config["cut"]
        self.providers = collections.defaultdict(set)
        for name, p in records.items():
            for virtual in words(p.get("Provides", "")):
                self.providers[re.split(r"[\s(:]", virtual)[0]].add(name)

    def alternatives(self, name):
        for field in ("Pre-Depends", "Depends"):
            for group in words(self.records[name].get(field, "")):
                yield [re.split(r"[\s(:]", a.strip())[0] for a in group.split("|")]

    def provider(self, virtual):
        rank = lambda p: (PRIORITY.get(self.records[p].get("Priority", "extra"), 9), p)
        return min((p for p in self.providers.get(virtual, ()) if p not in self.skip), key=rank, default=None)

    def choose(self, group, have):
        """What stands for a group of alternatives: what is chosen already, else the first that exists; or None."""
        if self.skip.intersection(group):
            return None
        chosen = [a for a in group if a in have]
        chosen += [p for a in group for p in sorted(self.providers.get(a, ())) if p in have]
        if chosen:
            return chosen[0]
        found = (a if a in self.records else self.provider(a) for a in group)
        return next((f for f in found if f), None)

    def depends(self, name, have):
        chosen = (self.choose(group, have) for group in self.alternatives(name))
        return {d for d in chosen if d and d != name and d not in self.cut.get(name, ())}

    def reach(self, roots, have):
        seen, queue = set(), list(roots)
        while queue:
            name = queue.pop(0)
            if name not in seen:
                seen.add(name)
                more = self.depends(name, have)
                have |= more
                queue += sorted(more)
        return seen

    def closure(self, roots):
        """Direct dependencies of everything that the roots need, by name."""
        have = set(roots)
        for _ in range(2):  # twice, so that an alternative that is in the closure anyway wins
            have = self.reach(roots, set(have))
        return {name: self.depends(name, have) for name in have}

    def source(self, name):
        return self.records[name].get("Source", name).split()[0]

    def installed(self, name):
        return int(self.records[name].get("Installed-Size", 0))

    def deb(self, name):
        """The file name that `apt-get download` gives."""
        p = self.records[name]
        return f'{name}_{p["Version"].replace(":", "%3a")}_{p["Architecture"]}.deb'


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(archive, names, debs):
    os.makedirs(debs, exist_ok=True)
    todo = [n for n in names if not os.path.exists(os.path.join(debs, archive.deb(n)))]
    if todo:
        wanted = [f'{n}={archive.records[n]["Version"]}' for n in todo]
        subprocess.run(["apt-get", "-q=2", "download", *wanted], cwd=debs, check=True)
    for n in names:
        path = os.path.join(debs, archive.deb(n))
        if sha256(path) != archive.records[n]["SHA256"]:
            os.remove(path)
            sys.exit(f"debpkgs: {path} is not what the package list says: removed")


def interpreter(head):
    """The program that a script's first bytes ask for, without its folder; None for what is no script."""
    if head[:2] != b"#!":
        return None
    line = head[2:].split(b"\n")[0].decode("latin1").split()
    if len(line) > 1 and line[0].endswith("/env"):
        line = line[1:]
    return os.path.basename(line[0]) if line else None


def inspect(path):
    """(has it any file that builder.sh keeps, the interpreters of its programs) of one .deb."""
    kept, interpreters = False, set()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as process, \
            tarfile.open(fileobj=process.stdout, mode="r|") as members:
        for m in members:
            if m.isdir() or DOCUMENTATION.match(m.name.removeprefix("./")):
                continue
            kept = True
            if m.isreg() and m.mode & 0o111:
                interpreters.add(interpreter(members.extractfile(m).read(120)))
    return kept, interpreters - {None}


def through(direct, empty, name, seen=frozenset()):
    """What a package depends on, where an empty one stands for what it depends on itself."""
    result = set()
    for d in direct[name]:
        if d not in empty:
            result.add(d)
        elif d not in seen:
            result |= through(direct, empty, d, seen | {d})
    return result


def regroup(graph, group):
    result = collections.defaultdict(set)
    for name, depends in graph.items():
        result[group[name]] |= {group[d] for d in depends} - {group[name]}
    return dict(result)


def reachable(graph, start):
    seen, queue = {start}, [start]
    while queue:
        more = graph[queue.pop()] - seen
        seen |= more
        queue += more
    return seen


def merge(archive, graph, patterns):
    """Which package each one becomes part of: binaries of one source that find each other by path stay together."""
    group = {n: n for n in graph}
    for name, pattern in patterns.items():
        members = sorted(n for n in graph if re.match(pattern, archive.source(n)))
        head = name if name in members else min(members, key=len, default=None)
        group.update({m: head for m in members})
    return group


def collapse(archive, graph, group):
    """Joins each cycle into its largest package: store paths cannot refer to each other in a ring."""
    joined = regroup(graph, group)
    reach = {n: reachable(joined, n) for n in joined}
    def head(n):
        ring = [m for m in reach[n] if n in reach[m]]
        return max(ring, key=lambda m: (archive.installed(m), m))
    return {n: head(g) for n, g in group.items()}


def add_interpreters(graph, members, group, interpreters):
    """Adds the edges to Essential interpreters, where they close no ring."""
    for name in sorted(members):
        for program in sorted(set().union(*(interpreters[m] for m in members[name]))):
            need = group.get(ESSENTIAL.get(program))
            if need and name not in reachable(graph, need):
                graph[name].add(need)


def version(v):
    return re.sub(r"[^A-Za-z0-9+._?=-]", "-", re.sub(r"^\d+:", "", v))


def entry(archive, name, members, depends):
    main = archive.records[name]
    return {
        "pname": re.sub(r"-(?=\d)", "_", name),  # a hyphen and a digit would begin the version
        "version": version(main["Version"]),
        "description": main.get("Description", ""),
        "homepage": main.get("Homepage", ""),
        "debs": [{"file": archive.deb(m), "sha256": archive.records[m]["SHA256"]} for m in members],
        "deps": sorted(depends),
    }


def aliases(wanted, group, packages):
    names = {member: head for member, head in group.items() if member != head}
    names.update({a: group[t] for a, t in wanted.items() if t in group and a not in packages})
    return names


def build_lock(archive, config, roots, direct, debs):
    looked = {n: inspect(os.path.join(debs, archive.deb(n))) for n in sorted(direct)}
    empty = {n for n, (kept, _) in looked.items() if not kept}
    graph = {n: through(direct, empty, n) - {n} for n in direct if n not in empty}
    group = collapse(archive, graph, merge(archive, graph, config["merge"]))
    members = collections.defaultdict(list)
    for name in sorted(group):
        members[group[name]].append(name)
    joined = regroup(graph, group)
    add_interpreters(joined, members, group, {n: programs for n, (_, programs) in looked.items()})
    packages = {n: entry(archive, n, ms, joined[n]) for n, ms in members.items()}
    return {
        "roots": sorted({group[d] for r in roots for d in ({r} if r in graph else through(direct, empty, r))}),
        "libc": group["libc6"],
        "aliases": aliases(config["aliases"], group, packages),
        "packages": packages,
    }


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as f:
        json.dump(value, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(path + ".new", path)


def main(set_name, debs, path):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sets.json")) as f:
        config = json.load(f)
    archive = Archive(read_records(), config)
    roots = config["sets"][set_name]
    missing = [r for r in roots if r not in archive.records]
    if missing:
        sys.exit(f"debpkgs: the suite has no {', '.join(missing)}; see sets.json")
    direct = archive.closure(roots)
    download(archive, sorted(direct), debs)
    lock = build_lock(archive, config, roots, direct, debs)
    write(path, lock)
    print(f"debpkgs: {path}: {len(lock['packages'])} packages from {len(direct)} .deb files", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as e:
        sys.exit(f"debpkgs: {' '.join(e.cmd[:3])} exited with {e.returncode}, see above")
