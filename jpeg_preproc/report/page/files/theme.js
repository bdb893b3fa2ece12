"use strict";
// Light or dark: what the reader chose, else what the system says.
const theme = (() => {
  const listeners = [];
  let stored = null;
  try { stored = localStorage.getItem("jpeg_preproc-theme"); } catch (error) { /* files may have no storage */ }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = (name) => {
    document.documentElement.dataset.theme = name;
    document.getElementById("theme").setAttribute("aria-pressed", String(name === "dark"));
    listeners.forEach((listener) => listener());
  };
  set(stored || (system.matches ? "dark" : "light"));
  system.addEventListener("change", () => { if (!stored) set(system.matches ? "dark" : "light"); });
  document.getElementById("theme").addEventListener("click", () => {
    stored = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("jpeg_preproc-theme", stored); } catch (error) { /* see above */ }
    set(stored);
  });
  return { onChange: (listener) => listeners.push(listener) };
})();
const DATA = JSON.parse(document.getElementById("data").textContent);
// An element with properties and children; text is never read as markup.
const element = (name, properties = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "list") made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};
