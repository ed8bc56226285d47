# The smallest programs that print a line and end, one a system, as text for
# printf(1): an ELF header, one segment, the code, the message. Written by hand,
# so that an image of this package set can be run without a compiler anywhere.
let
  inherit (builtins) concatStringsSep filter isString split substring;

  # "7f 45" -> \177\105: octal is all that a POSIX printf knows
  value = {
    "0" = 0; "1" = 1; "2" = 2; "3" = 3; "4" = 4; "5" = 5; "6" = 6; "7" = 7;
    "8" = 8; "9" = 9; a = 10; b = 11; c = 12; d = 13; e = 14; f = 15;
  };
  mod = a: b: a - b * (a / b);
  octal = n: "\\${toString (n / 64)}${toString (mod (n / 8) 8)}${toString (mod n 8)}";
  byte = pair: octal (16 * value.${substring 0 1 pair} + value.${substring 1 1 pair});
  bytes = text: concatStringsSep "" (map byte (filter (w: isString w && w != "") (split "[ \n]+" text)));

  # 64 bits, little endian; header of 0x40 bytes, one program header of 0x38;
  # the whole file, 0xb1 bytes, is loaded at 0x400000, and begins at 0x400078.
  program = machine: code: message: bytes ''
    7f 45 4c 46  02 01 01 00  00 00 00 00  00 00 00 00
    02 00 ${machine}  01 00 00 00  78 00 40 00  00 00 00 00
    40 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
    00 00 00 00  40 00 38 00  01 00 40 00  00 00 00 00

    01 00 00 00  05 00 00 00  00 00 00 00  00 00 00 00
    00 00 40 00  00 00 00 00  00 00 40 00  00 00 00 00
    b1 00 00 00  00 00 00 00  b1 00 00 00  00 00 00 00
    00 00 01 00  00 00 00 00

    ${concatStringsSep " " code}
  '' + message + "\\n";
in
{
  x86_64-linux = program "3e 00" [
    "b8 01 00 00 00"        # mov eax, 1 (write)
    "bf 01 00 00 00"        # mov edi, 1
    "48 8d 35 10 00 00 00"  # lea rsi, [message]
    "ba 18 00 00 00"        # mov edx, 24
    "0f 05"                 # syscall
    "b8 3c 00 00 00"        # mov eax, 60 (exit)
    "31 ff"                 # xor edi, edi
    "0f 05"                 # syscall
  ] "hello from x86_64-linux";

  aarch64-linux = program "b7 00" [
    "20 00 80 d2"           # mov x0, #1
    "e1 00 00 10"           # adr x1, message
    "22 03 80 d2"           # mov x2, #25
    "08 08 80 d2"           # mov x8, #64 (write)
    "01 00 00 d4"           # svc #0
    "00 00 80 d2"           # mov x0, #0
    "a8 0b 80 d2"           # mov x8, #93 (exit)
    "01 00 00 d4"           # svc #0
  ] "hello from aarch64-linux";
}
