# The same package set as a flake, in the two places where flakes keep packages.
# No lock is needed: it has no inputs.
{
  description = "A tiny package set of plain derivations";
  outputs = { self }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = f: builtins.listToAttrs (map (system: { name = system; value = f (import ./. { inherit system; }); }) systems);
    in
    {
      packages = each (tiny: { inherit (tiny) app hello; });
      legacyPackages = each (tiny: tiny);
    };
}
