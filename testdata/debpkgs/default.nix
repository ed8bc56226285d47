# A Nix package set of real Debian binaries: a lock (see lock.py) becomes one derivation per Debian package.
# Nothing here builds a reference by hand: Nix finds them by scanning what builder.sh wrote.
{ system ? builtins.currentSystem
, locks # folder with amd64.json and arm64.json
, debs # folder of .deb files, as a string, so that Nix copies only those it needs
, patchelf ? "/usr/bin/patchelf" # a tool of the build machine, no reference of a package
}:
let
  arch = { x86_64-linux = "amd64"; aarch64-linux = "arm64"; }.${system};
  triplet = { amd64 = "x86_64-linux-gnu"; arm64 = "aarch64-linux-gnu"; }.${arch};
  lock = builtins.fromJSON (builtins.readFile (locks + "/${arch}.json"));
  overrides = import ./overrides.nix;

  # Store names allow fewer characters than Debian's file names.
  clean = builtins.replaceStrings [ "%" "~" ":" ] [ "-" "-" "-" ];

  fetch = deb: builtins.path {
    path = debs + "/" + deb.file;
    name = clean deb.file;
    recursive = false;
    inherit (deb) sha256;
  };

  # All that a package reaches, without itself, nearest first.
  reach = name: map (x: x.key) (builtins.filter (x: x.key != name) (builtins.genericClosure {
    startSet = [{ key = name; }];
    operator = x: map (key: { inherit key; }) lock.packages.${x.key}.deps;
  }));

  build = name: p:
    let override = overrides.${name} or { }; in
    derivation
      {
        name = "${p.pname}-${p.version}";
        inherit (p) pname version;
        inherit system triplet patchelf;
        builder = "/bin/sh";
        args = [ ./builder.sh ];
        PATH = "/usr/bin:/bin";
        srcs = map fetch p.debs;
        deps = map (d: packages.${d}) p.deps;
        closure = map (d: packages.${d}) (reach name);
        libc = if name == lock.libc then "" else packages.${lock.libc};
        wrap = override.wrap or "";
        postInstall = override.postInstall or "";
      } // {
      inherit (p) pname version;
      meta = { inherit (p) description homepage; name = "${p.pname}-${p.version}"; };
    };

  packages = builtins.mapAttrs build lock.packages;
in
packages // builtins.mapAttrs (_: target: packages.${target}) lock.aliases
