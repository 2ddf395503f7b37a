"use strict";
/* Charts as SVG, drawn at the width there is, and again when it changes. */
document.documentElement.classList.add("js");
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLORS = 8;

function color(number) { return `var(--c${number % COLORS})`; }

function svg(name, attributes, parent, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function html(name, attributes, parent, text) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return `${+value.toPrecision(3)}`.replace("-", "−");
}

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((part) => part * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(+(i * step).toPrecision(12));
  return found;
}

function numbers(lists) { return lists.flat().filter((value) => value !== null && value !== undefined); }

function span(values, limits) {
  if (limits) return [limits[0] - 0.03 * (limits[1] - limits[0]), limits[1] + 0.06 * (limits[1] - limits[0])];
  const low = Math.min(...values), high = Math.max(...values), pad = 0.06 * (high - low || 1);
  return [low - pad, high + pad];
}

/* Pieces of a line between missing values. */
function pieces(points) {
  const found = [[]];
  for (const point of points) {
    if (point.includes(null)) { if (found.at(-1).length) found.push([]); } else found.at(-1).push(point);
  }
  return found.filter((piece) => piece.length);
}

function path(points) { return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""); }

function drawLevels(root, levels, place, box, upright) {
  let taken = null;
  for (const level of levels) {
    const at = place(level.value), kind = level.dotted ? "level dotted" : "level", words = `${level.label} ${short(level.value)}`;
    if (upright) {
      svg("line", { class: kind, x1: at, x2: at, y1: box.top, y2: box.bottom }, root);
      const late = at > (box.left + box.right) / 2;
      const text = svg("text", { class: "halo", x: at + (late ? -4 : 4), y: box.top - 5, "text-anchor": late ? "end" : "start" }, root, words);
      const long = text.getComputedTextLength(), ends = late ? [at - long - 4, at] : [at, at + long + 4];
      if (taken && ends[0] < taken[1] + 8 && taken[0] < ends[1] + 8) text.setAttribute("y", box.top - 21);
      taken = ends;
    } else {
      svg("line", { class: kind, x1: box.left, x2: box.right, y1: at, y2: at }, root);
      svg("text", { class: "halo", x: box.right, y: at + (at - box.top < 16 ? 13 : -5), "text-anchor": "end" }, root, words);
    }
  }
}

function drawLines(chart, plot, width) {
  const height = Math.round(Math.min(320, Math.max(230, width * 0.62)));
  const box = { left: 46, right: width - 10, top: 28, bottom: height - 44 };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${chart.title}: ${chart.y} against ${chart.x}` }, plot);
  const scale = chart.logarithmic ? Math.log10 : Number;
  const xs = numbers(chart.lines.map((line) => line.x)), ys = numbers(chart.lines.flatMap((line) => [line.y, line.low, line.high]));
  if (!xs.length) { svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, root, "no values"); return; }
  let left = Math.min(...xs), right = Math.max(...xs);
  if (!chart.logarithmic && left > 0) left = 0;
  if (left === right) right = left + 1;
  const [low, high] = span([...ys, ...chart.levels.map((level) => level.value)], chart.limits);
  const inset = chart.logarithmic ? 10 : 0;
  const x = (value) => box.left + inset + (scale(value) - scale(left)) / (scale(right) - scale(left)) * (box.right - box.left - 2 * inset);
  const y = (value) => box.bottom - (value - low) / (high - low) * (box.bottom - box.top);
  for (const tick of ticks(low, high, 5).filter((value) => !chart.limits || (value >= chart.limits[0] && value <= chart.limits[1]))) {
    svg("line", { class: "gridline", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }, root);
    svg("text", { x: box.left - 7, y: y(tick) + 4, "text-anchor": "end" }, root, short(tick));
  }
  svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }, root);
  const measured = [...new Set(xs)].sort((a, b) => a - b);
  let free = -Infinity;
  for (const tick of chart.logarithmic ? measured : ticks(left, right, Math.max(4, Math.floor(width / 90)))) {
    svg("line", { class: "axis", x1: x(tick), x2: x(tick), y1: box.bottom, y2: box.bottom + 4 }, root);
    if (x(tick) < free) continue;
    svg("text", { x: x(tick), y: box.bottom + 18, "text-anchor": "middle" }, root, short(tick));
    free = x(tick) + 36;
  }
  svg("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, root, chart.x);
  svg("text", { x: 0, y: 12 }, root, chart.y);
  drawLevels(root, chart.levels, y, box, false);
  for (const line of chart.lines) {
    const paint = color(line.color), dash = line.color >= COLORS ? "7 4" : "none";
    if (line.low.length) {
      const band = line.x.map((at, i) => [at, line.low[i], line.high[i]]);
      for (const piece of pieces(band)) {
        const outline = [...piece.map(([at, , up]) => [x(at), y(up)]), ...piece.toReversed().map(([at, down]) => [x(at), y(down)])];
        svg("path", { d: `${path(outline)}Z`, fill: paint, opacity: 0.16 }, root);
      }
    }
    const joined = pieces(line.x.map((at, i) => [at, line.y[i]]));
    for (const piece of joined) {
      svg("path", { class: "line", d: path(piece.map(([at, up]) => [x(at), y(up)])), fill: "none", stroke: paint, "stroke-width": line.faint ? 1 : 2.2, opacity: line.faint ? 0.5 : 1, "stroke-dasharray": dash, "stroke-linejoin": "round" }, root);
      if (chart.marks || piece.length === 1) for (const [at, up] of piece) svg("circle", { cx: x(at), cy: y(up), r: 3, fill: paint, opacity: line.faint ? 0.5 : 1 }, root);
    }
  }
  hover(chart, plot, root, x, y, box);
}

/* Shows the values nearest to the pointer. */
function hover(chart, plot, root, x, y, box) {
  const line = svg("line", { class: "axis", y1: box.top, y2: box.bottom, visibility: "hidden" }, root);
  let tip = null;
  const hide = () => { line.setAttribute("visibility", "hidden"); tip?.remove(); tip = null; };
  root.addEventListener("pointerleave", hide);
  root.addEventListener("pointermove", (event) => {
    const at = event.offsetX, all = numbers(chart.lines.filter((one) => !one.faint).map((one) => one.x));
    const nearest = all.reduce((best, value) => Math.abs(x(value) - at) < Math.abs(x(best) - at) ? value : best);
    line.setAttribute("x1", x(nearest)); line.setAttribute("x2", x(nearest)); line.setAttribute("visibility", "visible");
    tip ??= html("div", { class: "tip" }, plot.parentElement);
    tip.replaceChildren(html("div", {}, null, `${short(nearest)}  ${chart.x}`));
    for (const one of chart.lines.filter((any) => !any.faint)) {
      const i = one.x.indexOf(nearest);
      if (i < 0 || one.y[i] === null) continue;
      const band = one.low.length && one.low[i] !== null ? ` (${short(one.low[i])} to ${short(one.high[i])})` : "";
      html("div", {}, tip, `${one.label} ${short(one.y[i])}${band}`).style.color = color(one.color);
    }
    const room = plot.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, x(nearest) + 12))}px`;
    tip.style.top = `${plot.offsetTop + box.top}px`;
  });
}

function drawForest(chart, plot, width) {
  // long names stand above their marks, as all do where there is little room
  const names = 24 + 7.4 * Math.max(...chart.lines.map((line) => line.label.length)), wide = width > 520 && names < 0.45 * width;
  const left = wide ? names : 4;
  const row = wide ? 32 : 44, top = 40, height = top + row * chart.lines.length + 46;
  const box = { left, right: width - 54, top, bottom: height - 46 };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${chart.title}: ${chart.x}, with 95 % intervals` }, plot);
  const values = numbers(chart.lines.flatMap((line) => [line.x, line.low, line.high]));
  const [low, high] = span([...values, ...chart.levels.map((level) => level.value)], chart.limits);
  const x = (value) => box.left + (value - low) / (high - low) * (box.right - box.left);
  for (const tick of ticks(low, high, Math.max(3, Math.floor(width / 110))).filter((value) => !chart.limits || (value >= chart.limits[0] && value <= chart.limits[1]))) {
    svg("line", { class: "gridline", x1: x(tick), x2: x(tick), y1: box.top, y2: box.bottom }, root);
    svg("text", { x: x(tick), y: box.bottom + 18, "text-anchor": "middle" }, root, short(tick));
  }
  svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }, root);
  svg("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, root, chart.x);
  drawLevels(root, chart.levels, x, box, true);
  chart.lines.forEach((line, i) => {
    const middle = top + row * (i + (wide ? 0.5 : 0.72)), paint = color(line.color), value = line.x[0];
    svg("text", { class: wide ? "name" : "name halo", x: wide ? 0 : box.left, y: wide ? middle + 4 : middle - 13 }, root, line.label);
    if (value === null) return;
    const hollow = line.label.endsWith(", state zeroed");
    svg("line", { class: "line", x1: x(line.low[0]), x2: x(line.high[0]), y1: middle, y2: middle, stroke: paint, "stroke-width": 2.2, "stroke-linecap": "round" }, root);
    svg("circle", { cx: x(value), cy: middle, r: 5, fill: hollow ? "var(--paper)" : paint, stroke: paint, "stroke-width": 2 }, root);
    svg("text", { class: "name", x: width, y: middle + 4, "text-anchor": "end" }, root, value.toFixed(2).replace("-", "−"));
  });
}

function drawChart(figure) {
  const chart = DATA.charts[Number(figure.dataset.chart)], plot = figure.querySelector(".plot");
  const width = plot.clientWidth;
  if (!width || width === plot.drawn) return;
  plot.drawn = width;
  plot.replaceChildren();
  (chart.kind === "forest" ? drawForest : drawLines)(chart, plot, width);
  const named = chart.lines.filter((line) => !line.faint);
  if (chart.kind === "lines" && named.length > 1) {
    const legend = html("ul", { class: "legend" }, plot);
    for (const line of named) {
      const item = html("li", {}, legend);
      const swatch = html("i", line.color >= COLORS ? { class: "dashed" } : {}, item);
      swatch.style.setProperty("--paint", color(line.color));
      item.append(line.label);
    }
  }
}

for (const figure of document.querySelectorAll(".chart")) {
  drawChart(figure);
  new ResizeObserver(() => drawChart(figure)).observe(figure);
}
