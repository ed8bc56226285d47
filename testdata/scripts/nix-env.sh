# shellcheck shell=bash
# Sourced: finds Nix, and exports the settings that the package sets of testdata need.
#
# Their builders are this machine's /bin/sh and Debian's tools, so there is no sandbox; nothing of theirs is in a binary
# cache; and with extra-platforms one machine makes the store paths of both systems, since unpacking is all a build does.
nix_settings() {
  local other=aarch64-linux
  [ "$(uname -m)" != aarch64 ] || other=x86_64-linux
  echo "sandbox = false"
  echo "substituters ="
  echo "extra-platforms = $other"
  # Without a daemon there are no build users either, and Nix as root would insist on them.
  [ -S /nix/var/nix/daemon-socket/socket ] || echo "build-users-group ="
}

# A Nix that is installed, but whose installer's shell profile was not read.
for dir in "${HOME:-/root}/.nix-profile/bin" /nix/var/nix/profiles/default/bin /run/current-system/sw/bin; do
  command -v nix-build >/dev/null || [ ! -x "$dir/nix-build" ] || PATH=$PATH:$dir
done

NIX_CONFIG=$(nix_settings)
export NIX_CONFIG PATH
