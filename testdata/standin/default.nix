# Stands in for nixpkgs where an example or a page names packages of it: the tiny package set, and for each other name a
# program that says it. The tests copy testdata/tiny to ./tiny, so that all of it lies below one folder.
{ system ? builtins.currentSystem, config ? { }, overlays ? [ ] }:
let
  program = name: text: derivation {
    inherit name system text;
    builder = "/bin/sh";
    args = [ "-euc" "mkdir -p $out/bin; printf '%s\\n' \"$text\" >$out/bin/$name; chmod +x $out/bin/$name" ];
    PATH = "/usr/bin:/bin";
  };
  named = name: { inherit name; value = program name "#!/bin/sh\necho the stand-in for ${name}"; };
  names = [ "caddy" "curl" "git" "gojq" "htop" "jq" "redis" "strace" ];
  standins = final: prev: builtins.listToAttrs (map named names) // {
    writeShellScriptBin = name: text: program name "#!${final.bashInteractive}/bin/sh\n${text}";
  };
in
import ./tiny { inherit system config; overlays = [ standins ] ++ overlays; }
