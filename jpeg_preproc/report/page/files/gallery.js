// The images that changed most: a strip to choose from, and one that is looked at.
(() => {
  const app = document.getElementById("gallery-app");
  if (!app) return;
  app.hidden = false;
  const find = (name) => document.getElementById(name);
  const strip = find("strip");
  const urls = new Map();
  // A blob is made when it is first looked at.
  const url = (name) => {
    if (!urls.has(name)) {
      const { mime, base64 } = DATA.blobs[name];
      const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
      urls.set(name, URL.createObjectURL(new Blob([bytes], { type: mime })));
    }
    return urls.get(name);
  };
  const view = (picture, side) => picture.views.find((one) => one.side === side);
  const SVG = "http://www.w3.org/2000/svg";
  const svg = (name, attributes, text = "") => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const laid = (image, picture, { place }) => {
    const [width, height] = picture.size;
    image.style.left = 100 * place[0] / width + "%";
    image.style.top = 100 * place[1] / height + "%";
    image.style.width = 100 * place[2] / width + "%";
    image.style.height = 100 * place[3] / height + "%";
    return image;
  };

  const frame = (picture, one) => {
    const [width, height] = picture.size;
    const made = element("div", { className: "frame" });
    made.style.aspectRatio = width + " / " + height;
    made.append(laid(element("img", { src: url(one.blob), alt: one.title, draggable: false }), picture, one));
    if (one.mask) made.append(element("img", { className: "mask", src: url(one.mask), alt: "", draggable: false }));
    if (one.boxes.length) {
      const scale = width / (find("slider").clientWidth || width);  // text is as large as the page's
      const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      for (const box of one.boxes) {
        const [left, top, right, bottom] = box.place;
        const at = { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0) };
        drawn.append(svg("rect", { ...at, class: "halo" }), svg("rect", { ...at, class: box.state }));
      }
      for (const box of one.boxes) {
        if (box.state === "kept" && one.boxes.length > 12) continue;
        const score = box.score === null ? "" : " " + box.score.toFixed(2);
        const text = svg("text", { x: box.place[0] + 3 * scale, y: Math.max(box.place[1] - 4 * scale, 12 * scale) }, box.label + score);
        text.style.fontSize = 12 * scale + "px";
        text.style.strokeWidth = 3 * scale + "px";
        drawn.append(text);
      }
      made.append(drawn);
    }
    return made;
  };

  let shown = [];
  let current = null;

  const options = (select, names) => select.append(...names.map((name) => element("option", { value: name }, name)));
  const unique = (values) => [...new Set(values)].sort((one, other) => one.localeCompare(other, "en"));
  options(find("filter-class"), unique(DATA.gallery.flatMap((one) => one.classes)));
  options(find("filter-model"), unique(DATA.gallery.map((one) => one.model)));

  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) { target.src = url(target.dataset.blob); watcher.unobserve(target); }
    }
  }, { rootMargin: "200px" });

  const filter = () => {
    const [kind, name, model] = ["kind", "class", "model"].map((one) => find("filter-" + one).value);
    shown = DATA.gallery.filter((one) =>
      (!kind || (kind === "helped") === one.helped) && (!name || one.classes.includes(name)) && (!model || one.model === model));
    find("filter-count").textContent = `${shown.length} of ${DATA.gallery.length} images`;
    strip.replaceChildren(...shown.map((one, index) => {
      const image = element("img", { alt: "" });
      image.dataset.blob = view(one, "corrupted").blob;
      watcher.observe(image);
      const option = element("div", { role: "option", id: "image-" + index, className: one.helped ? "helped" : "harmed", title: one.name },
        image, element("span", {}, element("b", {}, one.change), element("br"), one.condition));
      option.addEventListener("click", () => look(index));
      return option;
    }));
    find("viewer").hidden = !shown.length;
    if (shown.length) look(Math.max(shown.indexOf(current), 0));
  };

  const look = (index) => {
    current = shown[index];
    [...strip.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    strip.setAttribute("aria-activedescendant", "image-" + index);
    const option = strip.children[index];
    strip.scrollTo({ left: option.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + option.clientWidth / 2 });
    find("viewer-name").textContent = current.name;
    find("viewer-condition").textContent = `${current.model} · ${current.condition}`;
    find("viewer-change").textContent = current.change;
    find("viewer-change").classList.toggle("harmed", !current.helped);
    compare();
    crops();
  };

  const compare = () => {
    const [width, height] = current.size;
    find("stage").style.maxWidth = `min(100%, ${Math.max(width, 760)}px, calc(78vh * ${width} / ${height}))`;
    const [left, right] = document.querySelector("input[name=pair]:checked").value.split(" ").map((side) => view(current, side));
    const slider = document.createElement("img-comparison-slider");
    slider.setAttribute("aria-label", `${left.title} left, ${right.title} right; arrow keys move the border`);
    slider.setAttribute("role", "slider");
    const tell = () => slider.setAttribute("aria-valuenow", String(Math.round(slider.value)));
    slider.setAttribute("aria-valuemin", "0");
    slider.setAttribute("aria-valuemax", "100");
    slider.addEventListener("slide", tell);
    [["first", left], ["second", right]].forEach(([slot, one]) => {
      const made = frame(current, one);
      made.slot = slot;
      slider.append(made);
    });
    find("slider").replaceChildren(slider);
    tell();
    find("tag-left").textContent = left.title;
    find("tag-right").textContent = right.title;
    find("viewer-note").textContent = [current.counts, ...new Set([left.note, right.note])].filter(Boolean).join(" ");
    marks();
  };

  const crops = () => find("crops").replaceChildren(...current.crops.map((crop) => {
    const [left, top, side] = crop.at;
    return element("figure", {}, element("figcaption", {}, crop.label), ...current.views.map((one) => {
      const image = element("img", { src: url(one.blob), alt: `${one.title}, enlarged` });
      const [x, y, width, height] = one.place;
      image.style.left = 100 * (x - left) / side + "%";
      image.style.top = 100 * (y - top) / side + "%";
      image.style.width = 100 * width / side + "%";
      image.style.height = 100 * height / side + "%";
      return element("div", {}, element("div", { className: "crop" }, image), element("small", {}, one.title));
    }));
  }));
  const marks = () => find("slider").classList.toggle("no-marks", !find("marks").checked);

  strip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !shown.length) return;
    event.preventDefault();
    look(Math.min(Math.max(shown.indexOf(current) + step, 0), shown.length - 1));
  });
  for (const name of ["kind", "class", "model"]) find("filter-" + name).addEventListener("change", filter);
  document.querySelectorAll("input[name=pair]").forEach((radio) => radio.addEventListener("change", compare));
  find("marks").addEventListener("change", marks);
  filter();
})();
