# An overlay for serve.yaml: the registry's program, as `make build` made it, and what starts it.
final: prev: {
  nixery-action = final.runCommand "nixery-action" { } ''
    mkdir -p $out/bin
    cp ${../bin/nixery-action} $out/bin/nixery-action
    chmod 755 $out/bin/nixery-action
  '';

  nixery-serve = final.writeShellScriptBin "nixery-serve" ''
    set -e
    # The image's store has no database yet. Its paths must be registered with Nix: else Nix would fetch some of it again, and put it in the
    # place of the very files that it runs from.
    if [ ! -e /nix/var/nix/db/db.sqlite ]; then
      ${final.nix}/bin/nix-store --load-db <${final.closureInfo { rootPaths = with final; [ nixery-action nix git bash coreutils gnutar gzip xz cacert iana-etc ]; }}/registration
    fi
    exec ${final.nixery-action}/bin/nixery-action serve "$@"
  '';
}
