/* The player: pictures and timelines of an episode, all at one frame. */
const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
  .map((code) => [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16)));

function viridis(part) {
  const at = Math.min(0.9999, Math.max(0, part)) * (VIRIDIS.length - 1), i = Math.floor(at);
  return VIRIDIS[i].map((low, k) => low + (VIRIDIS[i + 1][k] - low) * (at - i));
}

function bytes(base64) { return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)); }

function style(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function signed(value) { return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`; }

/* Rows of the timeline: a name, what it says now, and how it is painted. */
class Track {
  constructor(parent, name, tall) {
    const box = html("div", { class: "track" }, parent), line = html("div", {}, box);
    html("span", { class: "what" }, line, name);
    this.now = html("span", { class: "now" }, line);
    this.canvas = html("canvas", { role: "img", "aria-label": `${name} over the episode` }, box);
    this.tall = tall;
  }

  /* Return a pen in CSS pixels and the place of a frame. */
  begin(frames) {
    const wide = this.canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    this.canvas.style.height = `${this.tall}px`;
    this.canvas.width = Math.round(wide * ratio);
    this.canvas.height = Math.round(this.tall * ratio);
    const pen = this.canvas.getContext("2d"), gutter = parseFloat(style("--gutter"));
    pen.scale(ratio, ratio);
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "middle";
    return { pen, wide, gutter, x: (frame) => gutter + frame / frames * (wide - gutter) };
  }
}

function drawAxis(track, episode) {
  const { pen, wide, x } = track.begin(episode.frames.length), frames = episode.frames;
  pen.fillStyle = pen.strokeStyle = style("--soft");
  pen.textAlign = "center";
  let free = -Infinity;
  const every = ticks(0, frames.length, Math.max(3, Math.floor(wide / 70)));
  for (const frame of every.filter((value) => Number.isInteger(value) && value < frames.length)) {
    pen.fillRect(x(frame + 0.5) - 0.5, 0, 1, 4);
    if (x(frame) > free && x(frame) < wide - 120) { pen.fillText(frames[frame].toLocaleString("en"), x(frame + 0.5), 13); free = x(frame) + 30; }
  }
  pen.textAlign = "right";
  pen.fillText("control step", wide, 13);
}

function drawPhases(track, episode, pane) {
  const { pen, x } = track.begin(episode.frames.length);
  pen.textAlign = "left";
  for (let from = 0; from < pane.phase.length;) {
    let to = from;
    while (to < pane.phase.length && pane.phase[to] === pane.phase[from]) to++;
    if (pane.phase[from] !== null) {
      pen.fillStyle = style(`--phase-${pane.phase[from]}`) || style("--phase-over");
      pen.fillRect(x(from), 0, x(to) - x(from) - 1, track.tall);
      pen.fillStyle = style("--on-phase");
      const word = pane.phase[from] === "cue" && episode.cue ? `cue: ${episode.cue.split(" (")[0]}` : pane.phase[from];
      for (const said of [word, pane.phase[from]]) {
        if (pen.measureText(said).width + 8 < x(to) - x(from)) { pen.fillText(said, x(from) + 5, track.tall / 2 + 1); break; }
      }
    }
    from = to;
  }
}

/* Lines over frames: one for each part, each value held for its frame. */
function drawParts(track, episode, rows, low, high, labels) {
  const { pen, wide, gutter, x } = track.begin(episode.frames.length), pad = 5;
  const y = (value) => pad + (high - value) / (high - low || 1) * (track.tall - 2 * pad);
  pen.fillStyle = style("--soft");
  pen.textAlign = "right";
  for (const label of labels) {
    pen.fillText(`${+label.toFixed(2)}`.replace("-", "−"), gutter - 6, y(label));
    pen.save(); pen.fillStyle = style("--line"); pen.fillRect(gutter, y(label) - 0.5, wide - gutter, 1); pen.restore();
  }
  const parts = Math.max(...rows.map((row) => row ? row.length : 0), 0);
  pen.lineWidth = 1.8;
  for (let part = 0; part < parts; part++) {
    pen.strokeStyle = style(`--c${part % COLORS}`);
    pen.beginPath();
    let open = false;
    rows.forEach((row, frame) => {
      const value = row ? row[part] : null;
      if (value === null || value === undefined) { open = false; return; }
      const up = y(Math.min(high, Math.max(low, value)));
      if (open) pen.lineTo(x(frame), up); else pen.moveTo(x(frame), up);
      pen.lineTo(x(frame + 1), up);
      open = true;
    });
    pen.stroke();
  }
}

function drawState(track, episode, pane) {
  const { pen, wide, gutter } = track.begin(episode.frames.length), F = episode.frames.length, U = episode.units;
  const packed = bytes(pane.state), picture = html("canvas", { width: F, height: U }), inner = picture.getContext("2d");
  const image = inner.createImageData(F, U);
  for (let f = 0; f < F; f++) for (let u = 0; u < U; u++) {
    const value = packed[f * U + u];
    if (value !== 255) image.data.set([...viridis(value / 254), 255], 4 * (u * F + f));
  }
  inner.putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, gutter, 0, wide - gutter, track.tall);
  pen.fillStyle = style("--soft");
  pen.textAlign = "right";
  pen.fillText("1", gutter - 6, 6);
  pen.fillText(String(U), gutter - 6, track.tall - 6);
}

class PaneView {
  constructor(parent, episode, pane, number) {
    this.episode = episode; this.pane = pane; this.number = number;
    const box = html("article", { class: "pane" }, parent), header = html("header", {}, box);
    html("h3", {}, header, pane.title[0].toUpperCase() + pane.title.slice(1));
    const [word, ...rest] = pane.outcome.split(" "), outcome = html("span", { class: `outcome ${word}` }, header);
    html("b", {}, outcome, word);
    outcome.append(` ${rest.join(" ")}`);
    this.picture = html("canvas", { class: "picture", width: episode.size[0], height: episode.size[1], role: "img", "aria-label": `the robot, ${pane.title}` }, box);
    this.tracks = html("div", { class: "tracks" }, box);
    this.phase = new Track(this.tracks, "phase", 20);
    if (pane.belief.length) this.belief = new Track(this.tracks, "probe's belief", 62);
    if (episode.units) this.state = new Track(this.tracks, "hidden state (unit)", Math.min(168, Math.max(48, episode.units * 1.5)));
    this.action = new Track(this.tracks, "action", 62);
    if (pane.value.length) this.value = new Track(this.tracks, "value (expected return)", 54);
    this.axis = new Track(this.tracks, "", 22);
    this.axis.now.parentElement.remove();
    this.head = html("div", { class: "head" }, this.tracks);
  }

  draw() {
    const { episode, pane } = this, words = pane.action.some((row) => typeof row === "string");
    drawPhases(this.phase, episode, pane);
    if (this.belief) drawParts(this.belief, episode, pane.belief, 0, 1, [0, 0.5, 1]);
    if (this.state) drawState(this.state, episode, pane);
    drawParts(this.action, episode, words ? [] : pane.action, -1, 1, words ? [] : [-1, 0, 1]);
    if (this.value) {
      const values = numbers(episode.panes.map((one) => one.value)), low = Math.min(...values), high = Math.max(...values);
      drawParts(this.value, episode, pane.value.map((one) => one === null ? null : [one]), low, high, [low, high]);
    }
    drawAxis(this.axis, episode);
    if (pane.lesion !== null) for (const track of [this.phase, this.belief, this.state, this.action, this.value]) if (track) this.drawLesion(track);
  }

  drawLesion(track) {
    const pen = track.canvas.getContext("2d"), gutter = parseFloat(style("--gutter"));
    const x = gutter + this.pane.lesion / this.episode.frames.length * (track.canvas.clientWidth - gutter);
    pen.strokeStyle = style("--mark");
    pen.setLineDash([3, 3]);
    pen.lineWidth = 2;
    pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, track.tall); pen.stroke();
  }

  show(frame, video) {
    const { episode, pane } = this, part = (frame + 0.5) / episode.frames.length;
    this.head.style.left = `calc(var(--gutter) + ${part} * (100% - var(--gutter)))`;
    const [wide, tall] = episode.size;
    if (video && video.readyState >= 2) this.picture.getContext("2d").drawImage(video, 0, tall * this.number, wide, tall, 0, 0, wide, tall);
    const lesioned = pane.lesion !== null && frame >= pane.lesion;
    const phase = pane.phase[frame] ?? "over";
    const cue = episode.cue ? [`cue ${episode.cue.split(" (")[0]}`] : [];
    this.phase.now.textContent = [phase, ...cue, ...(lesioned ? ["state was zeroed"] : [])].join(" · ");
    if (this.belief) tell(this.belief, episode.classes, pane.belief[frame], (value) => `${Math.round(100 * value)} %`);
    const action = pane.action[frame];
    if (typeof action === "string") this.action.now.textContent = action; else tell(this.action, episode.actions, action, signed);
    if (this.value) this.value.now.textContent = pane.value[frame] === null ? "" : signed(pane.value[frame]);
    if (this.state && !this.state.now.childElementCount) {
      html("span", {}, this.state.now, "−"); html("span", { class: "ramp" }, this.state.now); html("span", {}, this.state.now, "+");
    }
  }
}

/* Write names with their values, in the colors of their lines; the largest four where there are many. */
function tell(track, names, values, say) {
  if (!values) { track.now.textContent = ""; return; }
  const order = values.map((_, i) => i).filter((i) => values[i] !== null);
  const shown = order.length > 4 ? order.toSorted((a, b) => Math.abs(values[b]) - Math.abs(values[a])).slice(0, 3) : order;
  track.now.replaceChildren();
  shown.forEach((i, place) => {
    if (place) track.now.append("   ");
    html("b", {}, track.now, `${names[i].replace(/ \(.*/, "")} ${say(values[i])}`).style.color = color(i);
  });
}

class Player {
  constructor(section) {
    this.section = section;
    this.stage = section.querySelector(".stage");
    this.videos = [...section.querySelectorAll("video")];
    this.frame = 0; this.playing = false; this.speed = 1;
    for (const video of this.videos) {
      // seeking in a blob works where browsers do not seek in data URIs
      const blob = new Blob([bytes(video.src.split(",")[1])], { type: "video/mp4" });
      video.src = URL.createObjectURL(blob);
      video.controls = false; video.tabIndex = -1;
      for (const event of ["loadeddata", "seeked"]) video.addEventListener(event, () => this.show());
      video.addEventListener("ended", () => { if (video === this.video) { this.pause(); this.seek(this.last); } });
    }
    this.chooser = html("div", { class: "chooser", role: "group", "aria-label": "episode" }, this.stage);
    this.panes = html("div", { class: "panes" }, this.stage);
    const bar = html("div", { class: "transport", role: "group", "aria-label": "playback" }, this.stage);
    this.button = html("button", { class: "play", type: "button" }, bar, "Play");
    this.slider = html("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": "frame" }, bar);
    this.output = html("output", {}, bar);
    const speeds = html("select", { "aria-label": "speed" }, bar);
    for (const speed of [0.25, 0.5, 1, 2, 4]) html("option", speed === 1 ? { value: speed, selected: "" } : { value: speed }, speeds, `${speed}×`);
    html("p", { class: "keys" }, this.stage, "Keys: space plays and stops, ← → a frame, shift ten, home and end. Or drag over a timeline.");
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => { this.pause(); this.seek(Number(this.slider.value)); });
    speeds.addEventListener("change", () => { this.speed = Number(speeds.value); if (this.video) this.video.playbackRate = this.speed; });
    document.addEventListener("keydown", (event) => this.key(event));
    DATA.episodes.forEach((episode, i) => {
      const text = episode.cue ? `Episode ${i + 1}: cue ${episode.cue.split(" (")[0]}` : `Episode ${i + 1}`;
      html("button", { type: "button", title: episode.title }, this.chooser, text).addEventListener("click", () => this.choose(i));
    });
    if (DATA.episodes.length < 2) this.chooser.hidden = true;
    new ResizeObserver(() => this.draw()).observe(this.panes);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.drawn = 0; this.draw(); });
    this.choose(0);
  }

  get last() { return this.episode.frames.length - 1; }

  choose(number) {
    this.pause();
    this.episode = DATA.episodes[number]; this.video = this.videos[number];
    [...this.chooser.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === number)));
    this.panes.replaceChildren();
    this.panes.classList.toggle("single", this.episode.panes.length === 1);
    this.views = this.episode.panes.map((pane, i) => new PaneView(this.panes, this.episode, pane, i));
    for (const view of this.views) this.scrub(view.tracks);
    this.slider.max = this.last;
    this.drawn = 0;
    this.draw();
    this.seek(0);
  }

  draw() {
    const wide = this.panes.clientWidth;
    if (!wide || wide === this.drawn) return;
    this.drawn = wide;
    for (const view of this.views) view.draw();
  }

  /* Let a finger or a mouse drag the playhead. */
  scrub(tracks) {
    const go = (event) => {
      const box = tracks.getBoundingClientRect(), gutter = parseFloat(style("--gutter"));
      const part = (event.clientX - box.left - gutter) / (box.width - gutter);
      this.pause();
      this.seek(Math.floor(part * this.episode.frames.length));
    };
    tracks.addEventListener("pointerdown", (event) => { tracks.setPointerCapture(event.pointerId); go(event); });
    tracks.addEventListener("pointermove", (event) => { if (tracks.hasPointerCapture(event.pointerId)) go(event); });
  }

  seek(frame) {
    this.frame = Math.max(0, Math.min(this.last, frame));
    if (this.video) this.video.currentTime = (this.frame + 0.5) / this.episode.fps;
    this.show();
  }

  show() {
    for (const view of this.views ?? []) view.show(this.frame, this.video);
    if (!this.episode) return;
    const step = this.episode.frames[this.frame].toLocaleString("en"), all = this.episode.frames[this.last].toLocaleString("en");
    this.slider.value = this.frame;
    this.slider.setAttribute("aria-valuetext", `control step ${step} of ${all}`);
    this.output.textContent = `step ${step} of ${all}`;
  }

  toggle() { if (this.playing) { this.pause(); this.seek(this.frame); } else this.play(); }

  play() {
    if (this.frame >= this.last) this.seek(0);
    this.playing = true;
    this.button.textContent = "Pause";
    const video = this.video && !this.video.error ? this.video : null;
    let then = performance.now(), clock = this.frame / this.episode.fps;
    if (video) { video.playbackRate = this.speed; video.play().catch(() => this.pause()); }
    const tick = (now) => {
      if (!this.playing) return;
      // where the video cannot be decoded, the timeline still runs
      clock = video ? video.currentTime : clock + this.speed * (now - then) / 1000;
      then = now;
      this.frame = Math.min(this.last, Math.floor(clock * this.episode.fps + 1e-6));
      this.show();
      if (!video && this.frame === this.last) { this.pause(); return; }
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    if (this.button) this.button.textContent = "Play";
    if (this.video) this.video.pause();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target, box = this.section.getBoundingClientRect();
    if (box.bottom < 0 || box.top > window.innerHeight) return;
    if (target !== this.slider && target.closest?.("select, input, textarea, summary, a, .table")) return;
    if (event.key === " " && target.closest?.("button")) return;
    const far = event.shiftKey ? 10 : 1;
    const moves = { ArrowRight: this.frame + far, ArrowLeft: this.frame - far, Home: 0, End: this.last };
    if (event.key === " ") this.toggle();
    else if (event.key in moves) { this.pause(); this.seek(moves[event.key]); }
    else return;
    event.preventDefault();
  }
}

const section = document.getElementById("player");
if (section && DATA.episodes) window.player = new Player(section);
