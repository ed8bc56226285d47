# A package set of plain derivations: no nixpkgs, no compiler, no network. Each
# package is here for something that an image builder gets wrong; the comments
# say what. Builders use only /bin/sh and what a POSIX system has in /bin and
# /usr/bin, and print no date, no host name and no temporary path into $out, so
# the bytes are the same on every machine.
#
# `config` and `overlays` are taken as nixpkgs takes them, so that passing them
# on can be tested.
{ system ? builtins.currentSystem, config ? { }, overlays ? [ ] }:
let
  # A derivation whose $out is made by a shell script. `env` are its further
  # variables; a store path among them, or in the script, becomes a reference if
  # $out contains it.
  package = name: script: packageWith { } name script;
  packageWith = env: name: script: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "/usr/bin:/bin";
  } // env);

  # Programs that need not run: text under bin/, executable.
  scripts = shell: names: ''
    mkdir -p $out/bin
    for name in ${builtins.concatStringsSep " " names}; do
      printf '#!${shell}\necho "stand-in for %s"\n' "$name" > $out/bin/$name
      chmod +x $out/bin/$name
    done
  '';

  # nixpkgs lets a package's meta be read and throws when drvPath is asked for.
  refusing = sentence: meta: pkg: pkg // {
    inherit meta;
    drvPath = throw "Package ‘${pkg.name}’ in /tiny/default.nix:1 ${sentence}, refusing to evaluate.";
    outPath = throw "Package ‘${pkg.name}’ in /tiny/default.nix:1 ${sentence}, refusing to evaluate.";
  };
  unless = allowed: refuse: pkg: if allowed then pkg else refuse pkg;

  allowUnfree = config.allowUnfree or false;
  unfreeMeta = { unfree = true; license = { free = false; fullName = "Tiny Proprietary License"; }; };
  notFree = unless allowUnfree (refusing "has an unfree license (‘tiny’)" unfreeMeta);

  base = self: {
    # -- a graph of several levels: app -> lib -> base, and app -> base

    base = package "tiny-base-1.0" ''
      mkdir -p $out/share $out/var/empty
      echo 'the bottom of the graph' > $out/share/base.txt
    '';

    lib = package "tiny-lib-1.2" ''
      mkdir -p $out/lib $out/share
      echo 'reads ${self.base}/share/base.txt' > $out/lib/libtiny.so.1.2
      ln -s libtiny.so.1.2 $out/lib/libtiny.so.1
      ln -s libtiny.so.1 $out/lib/libtiny.so
      ln -s ${self.base}/share $out/share/base
    '';

    app = package "tiny-app-2.0" ''
      mkdir -p $out/bin $out/libexec $out/etc/app.d
      printf '#!${self.bashInteractive}/bin/sh\nexec $0-real ${self.lib}/lib/libtiny.so "$@"\n' > $out/bin/app
      chmod +x $out/bin/app
      printf '#!${self.bashInteractive}/bin/bash\necho ${self.base}\n' > $out/libexec/app-real
      chmod +x $out/libexec/app-real
      ln -s ../libexec/app-real $out/bin/app-real
    '';

    # -- file trees that a tar or a symlink forest may lose or mangle

    # Nothing at all: the store path must still be there.
    empty = package "tiny-empty" "mkdir $out";

    # A store path need not be a folder.
    file = package "tiny-file.txt" "echo 'just a file' > $out";
    link = package "tiny-link" "ln -s ${self.base}/share/base.txt $out";

    # Empty folders, links of every kind, and executables beside plain files.
    tree = package "tiny-tree-1.0" ''
      mkdir -p $out/a/b/c $out/empty $out/hidden/.dir $out/bin
      : > $out/a/empty-file
      ln -s b/c $out/a/relative
      ln -s ../../a $out/a/b/up
      ln -s /no/such/file $out/a/dangling
      ln -s ${self.base}/share/base.txt $out/a/absolute
      ln -s $out/a $out/a/itself
      printf '#!/bin/sh\n' > $out/bin/runs; chmod 755 $out/bin/runs
      printf 'plain\n' > $out/bin/does-not-run; chmod 644 $out/bin/does-not-run
      printf 'plain\n' > $out/hidden/.file
      ln $out/hidden/.file $out/hidden/.hard-link
    '';

    # Names in the order of bytes, which is not that of most locales; names
    # beyond ASCII; and lengths at which USTAR ends: 100 bytes for a name, 155
    # more for its folder, so PAX has to begin.
    names = package "tiny-names-1.0" ''
      mkdir -p $out/order $out/unicode $out/long
      for name in B a A b _ - a-b a.b ab; do echo "$name" > "$out/order/$name"; done
      echo ja > "$out/unicode/日本語"
      echo de > "$out/unicode/Größe"
      echo combining > "$out/unicode/$(printf 'e\314\201')"
      echo space > "$out/unicode/a name with spaces"
      echo quote > "$out/unicode/quo'te\"d"
      n=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      echo 99 > $out/long/"$n"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      echo 120 > $out/long/$n"$n"aaaaaaaaaaaaaaaaaaaa
      mkdir -p $out/long/$n$n/$n$n/$n
      echo deep > $out/long/$n$n/$n$n/$n/$n
      ln -s $n$n/$n$n/$n/$n $out/long/link-with-a-long-target
    '';

    # A program that does run, on either system, without a libc.
    hello = package "tiny-hello-1.0" ''
      mkdir -p $out/bin
      printf '${(import ./elf.nix).${system}}' > $out/bin/hello
      chmod +x $out/bin/hello
    '';

    # More than one output; the default one is the first.
    outputs = packageWith { outputs = [ "bin" "out" "dev" ]; } "tiny-outputs-1.0" ''
      mkdir -p $bin/bin $out/lib $dev/include
      echo lib > $out/lib/lib
      echo "$out" > $bin/bin/outputs
      echo "$out" > $dev/include/outputs.h
    '';

    # Two packages that claim the same name, once for a file and once for a
    # folder, beside a folder that they may share.
    clashA = package "tiny-clash-a" ''
      mkdir -p $out/bin $out/share/both $out/share/thing
      echo a > $out/bin/clash; echo a > $out/share/both/a; echo a > $out/share/thing/a
    '';
    clashB = package "tiny-clash-b" ''
      mkdir -p $out/bin $out/share/both
      echo b > $out/bin/clash; echo b > $out/share/both/b; echo b > $out/share/thing
    '';

    # -- what the meta names and every image ask for, as stand-ins

    bashInteractive = package "tiny-bash-interactive-5.3" ''
      mkdir -p $out/bin
      printf 'stand-in for bash\n' > $out/bin/bash
      chmod +x $out/bin/bash
      ln -s bash $out/bin/sh
    '';
    coreutils = package "tiny-coreutils-9.8" (scripts "${self.bashInteractive}/bin/sh" [ "cat" "env" "ls" ]);
    moreutils = package "tiny-moreutils-0.70" (scripts "${self.bashInteractive}/bin/sh" [ "sponge" "ts" ]);
    nano = package "tiny-nano-8.7" (scripts "${self.bashInteractive}/bin/sh" [ "nano" ]);
    stdenv = package "tiny-stdenv" "mkdir $out; echo 'source ${self.bashInteractive}' > $out/setup";
    cacert = package "tiny-cacert-3.117" ''
      mkdir -p $out/etc/ssl/certs
      printf 'no certificate is in here\n' > $out/etc/ssl/certs/ca-bundle.crt
    '';
    iana-etc = package "tiny-iana-etc-20250505" ''
      mkdir -p $out/etc
      printf 'tcp 6 TCP\n' > $out/etc/protocols
      printf 'http 80/tcp\n' > $out/etc/services
    '';

    # -- names that are found in other ways than literally

    python3Packages = { requests = package "tiny-requests-2.32" "mkdir -p $out/lib/python3; echo requests > $out/lib/python3/requests.py"; };
    _7zz = package "tiny-7zz-25.01" (scripts "/bin/sh" [ "7zz" ]);
    SDL = package "tiny-SDL-1.2" "mkdir -p $out/lib; echo SDL > $out/lib/libSDL.so";

    # -- what cannot be had, once for each reason

    unfree = notFree (package "tiny-unfree-1.0" "mkdir $out");
    # Its own meta is innocent: only Nix's message tells why.
    needsUnfree = package "tiny-needs-unfree" "mkdir $out; echo ${self.unfree} > $out/ref";
    broken = unless (config.allowBroken or false) (refusing "is marked as broken" { broken = true; })
      (package "tiny-broken-1.0" "mkdir $out");
    insecure = refusing "is marked as insecure" { insecure = true; knownVulnerabilities = [ "CVE-1999-0001" "CVE-1999-0002" ]; }
      (package "tiny-insecure-1.0" "mkdir $out");
    onlyX86 =
      let pkg = package "tiny-only-x86-1.0" (scripts "/bin/sh" [ "x86" ]); in
      if system == "x86_64-linux" then pkg
      else refusing "is not available on the requested hostPlatform" { unsupported = true; platforms = [ "x86_64-linux" ]; } pkg;
    # Does not refuse, but would give an image programs of another system.
    alwaysX86 = derivation { name = "tiny-always-x86"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; };
    withPackages = names: map (name: self.${name}) names;
    throws = throw "tiny.throws was removed: use tiny.app instead";
    # Neither of these can be caught by an expression.
    aborts = abort "tiny.aborts gives up";
    wrongType = package "tiny-wrong-type" (1 + "a");

    # -- builds that end badly, or late

    fails = package "tiny-fails-1.0" ''
      i=1
      while [ $i -le 40 ]; do echo "line $i of a build that fails"; i=$((i+1)); done
      echo 'no such header: tiny.h' >&2
      exit 3
    '';
    needsFails = package "tiny-needs-fails" "mkdir $out; echo ${self.fails} > $out/ref";
    # Far more than the 64 KiB that a pipe holds. `salt` makes it another derivation.
    noisy = packageWith { salt = config.salt or ""; } "tiny-noisy" ''
      i=1
      while [ $i -le 3000 ]; do
        echo "line $i: the quick brown fox jumps over the lazy dog, again and again and again"; i=$((i+1))
      done
      mkdir $out
    '';
    slow = packageWith { salt = config.salt or ""; } "tiny-slow" "echo 'slow has begun'; sleep 600; mkdir $out";
  };

  fix = f: let x = f x; in x;
  overlay = f: o: self: let super = f self; in super // o self super;
in
fix (builtins.foldl' overlay base overlays)
