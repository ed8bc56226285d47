"use strict";
for (const el of document.querySelectorAll(".search, .help")) el.hidden = false;

const search = document.getElementById("search");
const found = document.getElementById("found");

// A match is a part of a path, hash and all. Rows without one go, cells without one fade.
function find() {
  const query = search.value.trim().toLowerCase();
  const matches = (el) => el.dataset.name.toLowerCase().includes(query);
  for (const cell of document.querySelectorAll(".cell")) cell.classList.toggle("dim", !matches(cell));
  let paths = 0, layers = 0;
  for (const row of document.querySelectorAll("table.layers tbody tr")) {
    let hits = 0;
    for (const item of row.querySelectorAll("li")) {
      item.hidden = !matches(item);
      hits += !item.hidden;
    }
    row.hidden = hits === 0;
    row.querySelector("details").open = query !== "" && hits > 0;
    paths += hits;
    layers += !row.hidden;
  }
  found.textContent = query === "" ? "" : `${paths} ${paths === 1 ? "path" : "paths"} in ${layers} ${layers === 1 ? "layer" : "layers"}`;
}
search.addEventListener("input", find);

// A map is one stop of the Tab key; the arrow keys move within it (the roving tabindex of the ARIA practices).
for (const map of document.querySelectorAll(".map")) {
  const links = [...map.querySelectorAll("a")];
  const hover = map.closest("section").querySelector(".hover");
  const stop = (link) => links.forEach((a) => a.setAttribute("tabindex", a === link ? "0" : "-1"));
  if (links.length) stop(links[0]);

  map.addEventListener("keydown", (event) => {
    const at = links.indexOf(document.activeElement);
    const lit = links.filter((a, i) => i === at || a.querySelector(".cell:not(.dim)"));
    const place = lit.indexOf(document.activeElement);
    const to = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: lit.length - 1 }[event.key];
    if (at < 0 || to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    lit[Math.min(Math.max(to, 0), lit.length - 1)].focus();
  });
  // On the frame: an SVG element that hears of focus becomes a stop itself in Chromium.
  map.parentElement.addEventListener("focusin", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    stop(link);
    hover.textContent = link.getAttribute("aria-label");
  });
  map.addEventListener("pointerover", (event) => {
    const cell = event.target.closest(".cell");
    if (cell) hover.textContent = `${cell.querySelector("title").textContent}: ${cell.closest("a").getAttribute("aria-label")}`;
  });
  map.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    show(link.getAttribute("href").slice(1));
  });
}

// Opens a layer's row, and moves the focus there, as a jump within the page would.
function show(id) {
  const row = document.getElementById(id);
  row.hidden = false;
  row.querySelector("details").open = true;
  row.scrollIntoView({ block: "center" });
  row.focus({ preventScroll: true });
}
