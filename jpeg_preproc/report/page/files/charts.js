// Lines with bands over the strength of what happened, or over bits.
(() => {
  const PALETTES = {
    light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"],
    dark: ["#56b4e9", "#f28b4e", "#2fd39f", "#e9a3cb", "#f2c14e", "#9bb8ff"],
  };
  const isReference = (name) => name === "jpeg" || name === "corrupted" || name === "JPEG";
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const digits = (value) => value === null || value === undefined ? "–" : value.toFixed(1);

  for (const place of document.querySelectorAll("[data-chart]")) {
    const chart = DATA.charts[Number(place.dataset.chart)];
    const plotted = element("div", { className: "plotted" });
    const legend = element("ul", { className: "legend" });
    const log = element("input", { type: "checkbox" });
    const hidden = new Set();
    let axis = chart.axes[0];
    let plot = null;

    const bar = element("div", { className: "bar" }, element("span", {}, chart.unit));
    if (chart.axes.length > 1) {
      const select = element("select", { "aria-label": "over" },
        ...chart.axes.map((one, index) => element("option", { value: index }, "over " + one.name)));
      select.addEventListener("change", () => {
        axis = chart.axes[Number(select.value)];
        log.checked = axis.log;
        draw();
      });
      bar.append(select);
    }
    log.checked = axis.log;
    log.addEventListener("change", () => draw());
    bar.append(element("label", { className: "check" }, log, " log axis"));
    place.append(bar, plotted, legend);

    const lines = () => {
      const palette = PALETTES[document.documentElement.dataset.theme];
    let colour = 0;
      const all = axis.lines.map((line) => ({
        ...line,
        colour: isReference(line.name) ? style("--quiet") : palette[colour++ % palette.length],
        dash: isReference(line.name) ? [6, 4] : colour > palette.length ? [10, 3, 2, 3] : [],
      }));
      if (chart.level !== null) {
        const points = all.flatMap((line) => line.points.map((point) => [point[0], chart.level, null, null]));
        all.unshift({ name: "original", points, colour: style("--ink"), dash: [2, 4] });
      }
      return all;
    };

    const draw = () => {
      const all = lines();
      const xs = [...new Set(all.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
      const data = [xs];
      const series = [{}];
      const bands = [];
      for (const line of all) {
        const at = new Map(line.points.map((point) => [point[0], point]));
        const column = (index) => xs.map((x) => at.has(x) ? at.get(x)[index] : null);
        const show = !hidden.has(line.name);
        const first = series.length;
        data.push(column(1));
        series.push({ label: line.name, stroke: line.colour, width: 2, dash: line.dash, spanGaps: true, show,
          points: { show: line.name !== "original", size: 6, fill: line.colour } });
        if (line.points.some((point) => point[2] !== null)) {
          data.push(column(3), column(2));
          series.push(
            { label: line.name + " high", width: 0, spanGaps: true, show, points: { show: false } },
            { label: line.name + " low", width: 0, spanGaps: true, show, points: { show: false } });
          bands.push({ series: [first + 1, first + 2], fill: line.colour + "26" });
        }
        line.columns = [first, first + (line.points.some((point) => point[2] !== null) ? 3 : 1)];
      }
      if (plot) plot.destroy();
      const grid = { stroke: style("--rule"), width: 1 };
      const font = "12px " + style("--sans");
      plot = new uPlot({
        width: plotted.clientWidth || 320, height: 280, padding: [10, 14, 0, 0], legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 9 } },
        scales: {
          x: { time: false, distr: log.checked ? 3 : 1, range: (u, low, high) => {
            if (log.checked) { const pad = Math.pow(high / low || 2, 0.04); return [low / pad, high * pad]; }
            const pad = (high - low || 1) * 0.04; return [low - pad, high + pad];
          } },
          y: { range: (u, low, high) => { const pad = (high - low || 1) * 0.07; return [low - pad, high + pad]; } },
        },
        axes: [
          { stroke: style("--quiet"), grid: { show: false }, ticks: grid, font, label: axis.name, size: 34, labelSize: 20, labelFont: font,
            splits: (u) => {
              let last = -Infinity;
              return xs.filter((x) => { const at = u.valToPos(x, "x"); if (at - last < 34) return false; last = at; return true; });
            },
            filter: (u, splits) => splits,
            values: (u, splits) => splits.map((x) => x === null ? "" : String(Number(x.toPrecision(3)))) },
          { stroke: style("--quiet"), grid, ticks: { show: false }, font, size: 44 },
        ],
        series, bands,
        hooks: { setCursor: [(u) => readout(all, u.cursor.idx)] },
      }, data, plotted);
      place.plot = plot;
      drawLegend(all, data);
    };

    const drawLegend = (all, data) => {
      legend.replaceChildren(...all.map((line) => {
        const value = element("output");
        const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(line.name)) }, line.name, value);
        button.style.setProperty("--line", line.colour);
        if (line.dash.length) button.style.setProperty("--dash", "dashed");
        button.addEventListener("click", () => {
          const show = hidden.has(line.name);
          if (show) hidden.delete(line.name); else hidden.add(line.name);
          button.setAttribute("aria-pressed", String(show));
          for (let index = line.columns[0]; index < line.columns[1]; index++) plot.setSeries(index, { show });
        });
        line.read = (index) => {
          if (index === null || index === undefined) { value.textContent = ""; return; }
          const [first, end] = line.columns;
          const around = end - first > 1 && data[first + 1][index] !== null
            ? ` (${digits(data[first + 2][index])} to ${digits(data[first + 1][index])})` : "";
          value.textContent = digits(data[first][index]) + around;
        };
        return element("li", {}, button);
      }));
    };
    const readout = (all, index) => all.forEach((line) => line.read && line.read(index));

    draw();
    theme.onChange(draw);
    new ResizeObserver(() => {
      if (plot && plotted.clientWidth && plotted.clientWidth !== plot.width) plot.setSize({ width: plotted.clientWidth, height: 280 });
    }).observe(plotted);
  }
})();
