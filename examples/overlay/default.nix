# final is the package set as it is with all overlays, prev as it was before this one.
final: prev: {
  greet = prev.writeShellScriptBin "greet" ''
    echo "hello from $(uname -m)"
  '';

  # The one that is written in Go, also for all that depends on jq.
  jq = final.gojq;
}
