{
  description = "The stand-in for nixpkgs, as a flake";
  outputs = { self }: {
    packages = builtins.listToAttrs (map (system: { name = system; value = import ./. { inherit system; }; }) [ "x86_64-linux" "aarch64-linux" ]);
  };
}
