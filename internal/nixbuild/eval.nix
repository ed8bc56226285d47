# Resolves the wanted packages of a package set to derivations, or each to the
# reason why it is not to be had. `request` is the path of a JSON file, and the
# value a JSON-able set; evaluate.go has the types of both. Whatever a user wrote
# comes in that file: nothing is pasted into this text. Only builtins are used,
# because a package set need not be nixpkgs.
{ request }:
let
  inherit (builtins)
    all any attrNames compareVersions concatStringsSep deepSeq elem fetchGit fetchTarball fetchTree filter fromJSON
    functionArgs getFlake hasAttr head isAttrs isFunction isList isString listToAttrs map mapAttrs nixVersion
    readFile removeAttrs replaceStrings stringLength substring tail toXML tryEval typeOf unsafeDiscardStringContext;

  req = fromJSON (readFile request);
  inherit (req) source;
  discard = unsafeDiscardStringContext;
  byName = names: value: listToAttrs (map (name: { inherit name; value = value name; }) names);

  # -- where the expression is

  git = fetchGit (
    { inherit (source) url; }
    // (if source ? ref then { inherit (source) ref; } else { })
    // (if source ? rev then { inherit (source) rev; } else { })
    # Before 2.20 a commit is only looked for on the ref that was fetched.
    // (if source ? rev && ! source ? ref && compareVersions nixVersion "2.20" < 0
        then { allRefs = true; } else { shallow = true; })
  );

  # An expression in a git repository is evaluated as a copy in the store, of the files that are listed. Where the store
  # has the copy, the hash spares making it again.
  locate = tree:
    if ! tree ? root then tree.path
    else
      builtins.path
        {
          path = tree.root;
          name = "source";
          sha256 = tree.hash;
          filter = file: _: hasAttr (substring tree.skip (stringLength file) file) tree.names;
        } + (tree.below or "");

  found = {
    path = locate source.tree;
    tarball = fetchTarball source.url;
    inherit git;
  }.${source.kind};

  # -- the package set for one system

  contains = needle: text: replaceStrings [ needle ] [ "" ] text != text;

  # `args: …` and `{ ... }: …` take anything; functionArgs does not tell.
  takesAnything = f:
    let pattern = toXML f; in contains "<varpat" pattern || contains "ellipsis=\"1\"" pattern;

  refuse = names: throw "the package set does not take ${concatStringsSep " or " names}, which the spec gives";

  apply = f: system:
    let
      ours = { inherit system; inherit (req) config; overlays = map (tree: import (locate tree)) req.overlays; };
      takes = functionArgs f;
      open = takesAnything f;
      refused = if open then [ ] else filter (name: ! hasAttr name takes) req.given;
      unknown = filter (name: ! takes.${name} && ! hasAttr name ours) (attrNames takes);
      # nixpkgs would read these two from the home folder if they were left out.
      passed = if open then ours else builtins.intersectAttrs takes ours;
    in
    if refused != [ ] then refuse refused
    else if unknown != [ ] then
      throw "the package set wants the argument ${head unknown}; it can have system, config and overlays"
    else f passed;

  # What builtins.getFlake does with the locks, which before Nix 2.26 it only takes from a flake.lock. Since 2.14 a
  # flake's outPath is that of its subdirectory.
  callFlake = locked:
    let
      inherit (locked.locks) nodes root;
      follow = node: path: if path == [ ] then node else follow (nodeOf nodes.${node}.inputs.${head path}) (tail path);
      nodeOf = input: if isList input then follow root input else input;
      call = key: node:
        let
          isRoot = key == root;
          sourceInfo = fetchTree (if isRoot then locked.root else node.info or { } // removeAttrs node.locked [ "dir" ]);
          dir = if isRoot then locked.dir else node.locked.dir or "";
          outPath = sourceInfo + (if dir == "" then "" else "/${dir}");
          flake = import (outPath + "/flake.nix");
          inputs = mapAttrs (_: input: called.${nodeOf input}) (node.inputs or { });
          outputs = flake.outputs (inputs // { self = result; });
          at = if compareVersions nixVersion "2.14" < 0 then { } else { inherit outPath; _type = "flake"; };
          result = outputs // sourceInfo // at // { inherit inputs outputs sourceInfo; };
        in
        if node.flake or true then result else sourceInfo;
      called = mapAttrs call nodes;
    in
    called.${root};

  fromFlake = system:
    let
      flake =
        if source ? locked && compareVersions nixVersion "2.26" < 0 then callFlake source.locked else getFlake source.flake;
      packages = flake.packages or { };
      legacy = flake.legacyPackages or { };
      systems = attrNames (legacy // packages);
    in
    if req.given != [ ] then refuse req.given
    else if elem system systems then (legacy.${system} or { }) // (packages.${system} or { })
    else throw "the flake has packages for ${if systems == [ ] then "no system" else concatStringsSep ", " systems}, not for ${system}";

  fromExpression = system:
    let value = import found; in
    if isFunction value then apply value system
    else if req.given != [ ] then refuse req.given
    else value;

  setFor = system:
    let set = if source.kind == "flake" then fromFlake system else fromExpression system; in
    if isAttrs set then set else throw "the package set is a ${typeOf set}, not a set of packages";

  sets = byName req.systems setFor;

  # -- finding a package by its name

  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];
  fold = replaceStrings upper lower;
  # Of two names that differ in case only, listToAttrs keeps the first.
  folded = byName req.systems (system:
    listToAttrs (map (name: { name = fold name; value = name; }) (attrNames sets.${system})));

  digits = [ "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" ];
  spellings = name: [ name ] ++ (if elem (substring 0 1 name) digits then [ "_${name}" ] else [ ]);

  first = system: name:
    let
      exact = filter (n: hasAttr n sets.${system}) (spellings name);
      other = filter (n: hasAttr n folded.${system}) (map fold (spellings name));
    in
    if exact != [ ] then head exact
    else if other != [ ] then folded.${system}.${head other}
    else name;

  # { value; } or, where the way ends, { missing; level; names; }
  descend = value: level: path:
    if path == [ ] then { inherit value; }
    else if isAttrs value && hasAttr (head path) value
    then descend value.${head path} (level ++ [ (head path) ]) (tail path)
    else { missing = head path; inherit level; names = if isAttrs value then attrNames value else [ ]; };

  lookUp = want:
    descend sets.${want.system} [ ] ([ (first want.system (head want.path)) ] ++ tail want.path);

  # -- from a package to its derivation

  pin = want: pkg:
    let system = pkg.system or want.system; in
    if system != want.system && system != "builtin"
    then { reason = "unsupported"; detail = "its derivation is for ${system}"; }
    else { drv = discard pkg.drvPath; out = discard pkg.outPath; output = pkg.outputName or "out"; };

  resolve = want:
    let at = lookUp want; in
    if at ? missing then { reason = "not found"; inherit (at) missing level; }
    else if isAttrs at.value && (at.value.type or null) == "derivation" then pin want at.value
    else { reason = "not a derivation"; detail = typeOf at.value; };

  # -- why a package throws: nixpkgs tells in meta, and lets it be read

  quietly = otherwise: value:
    let r = tryEval (deepSeq value value); in if r.success then r.value else otherwise;
  holds = value: quietly false value == true;
  asList = value: if isList value then value else [ value ];

  diagnose = want:
    let
      meta = (lookUp want).value.meta or { };
      licenses = filter isAttrs (asList (meta.license or [ ]));
      listed = name: let l = meta.${name} or null; in if isList l && l != [ ] && all isString l then l else null;
      platforms = listed "platforms";
      bad = listed "badPlatforms";
      allowed = flag: req.config.${flag} or false == true;
      names = concatStringsSep ", ";
    in
    if ! allowed "allowUnfree" && holds (meta.unfree or false || any (l: l.free or true == false) licenses) then {
      reason = "unfree";
      detail = quietly "" (names (filter isString (map (l: l.fullName or l.spdxId or l.shortName or null) licenses)));
    }
    else if ! allowed "allowBroken" && holds (meta.broken or false) then { reason = "broken"; }
    else if ! allowed "allowUnsupportedSystem" && holds (
      meta.unsupported or false
      || (platforms != null && ! elem want.system platforms)
      || (bad != null && elem want.system bad)
    ) then {
      reason = "unsupported";
      detail = quietly "" (if platforms == null then "" else "only for ${names platforms}");
    }
    else if holds (meta.insecure or false || meta.knownVulnerabilities or [ ] != [ ]) then {
      reason = "insecure";
      detail = quietly "" (names (filter isString (meta.knownVulnerabilities or [ ])));
    }
    else { reason = "failed"; };

  answer = want:
    let r = tryEval (deepSeq (resolve want) (resolve want)); in
    if ! req.catch then resolve want
    else if r.success then r.value
    else diagnose want;

  judged = map (want: { inherit want; answer = answer want; }) req.wants;

  # -- for near names: what there is where a name was missing, each place once

  place = system: level: concatStringsSep "." ([ system ] ++ level);
  places = listToAttrs (map
    ({ want, answer }: { name = place want.system answer.level; value = (lookUp want).names; })
    (filter ({ answer, ... }: answer.reason or "" == "not found") judged));
in
if req.fetch then { source = "${found}"; }
# A source that is no package set fails here, also if nothing is wanted of it.
else deepSeq (map (system: typeOf sets.${system}) req.systems) {
  inherit places;
  answers = map (j: j.answer) judged;
}
