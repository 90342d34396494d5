// What scripts/check-report.sh does: drives Chromium over its debugging pipe, so nothing but Node is needed.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const WIDTHS = [360, 1280];
const SCHEMES = ["light", "dark"];
const TEXT_CONTRAST = 4.5; // WCAG 1.4.3
const MARK_CONTRAST = 3; // WCAG 1.4.11

/** A browser, as a function that sends a command and gives its result, and a list of what it told. */
class Browser {
  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), "check-report-"));
    const options = ["--headless", "--remote-debugging-pipe", `--user-data-dir=${this.profile}`, "--no-first-run",
      "--disable-background-networking", "--hide-scrollbars", "--force-color-profile=srgb",
      // A page can be read without root's rights; containers give no sandbox.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
    this.process = spawn(process.env.CHROMIUM, options, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.waiting = new Map();
    this.events = [];
    this.next = 1;
    let rest = "";
    this.process.stdio[4].setEncoding("utf8").on("data", (data) => {
      const messages = (rest + data).split("\0");
      rest = messages.pop();
      messages.map((text) => JSON.parse(text)).forEach((message) => this.hear(message));
    });
    this.process.on("exit", () => {
      for (const { reject } of this.waiting.values()) reject(new Error(`${process.env.CHROMIUM} ended`));
    });
  }

  hear(message) {
    const { id, error, result } = message;
    if (id === undefined) return void this.events.push(message);
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    error ? reject(new Error(error.message)) : resolve(result);
  }

  send(method, params = {}) {
    const id = this.next++;
    this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId: this.session }) + "\0");
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** A fresh tab that shows `url`, loaded. */
  async open(url) {
    this.session = undefined;
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.session = sessionId;
    this.target = targetId;
    this.events = [];
    for (const domain of ["Page", "Network", "Log", "Runtime", "DOM", "Accessibility"]) await this.send(`${domain}.enable`);
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText) throw new Error(`${url} does not open: ${errorText}`);
    for (const deadline = Date.now() + 30_000; !this.events.some((e) => e.method === "Page.loadEventFired");) {
      if (Date.now() > deadline) throw new Error(`${url} does not finish loading`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  close() {
    this.session = undefined;
    return this.send("Target.closeTarget", { targetId: this.target });
  }

  /** What `f`, run in the page, returns. */
  async run(f, ...args) {
    const expression = `(${f})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  show(width, scheme) {
    return Promise.all([
      this.send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false }),
      this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] }),
    ]);
  }

  async tab() {
    for (const type of ["keyDown", "keyUp"]) {
      await this.send("Input.dispatchKeyEvent", { type, key: "Tab", code: "Tab", windowsVirtualKeyCode: 9 });
    }
  }

  async end() {
    const exit = new Promise((done) => this.process.once("exit", done));
    this.session = undefined;
    this.send("Browser.close").catch(() => {});
    await exit;
    // Its children may still be writing.
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

/** In the page: language, title, headings, tables, names of links, ends of links. */
function structure() {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const said = (element) => element.textContent.trim().slice(0, 60);
  if (document.compatMode !== "CSS1Compat") wrong.push("the page has no doctype");
  if (!document.documentElement.lang) wrong.push("html has no lang");
  if (!document.title) wrong.push("the page has no title");
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1 || (own === 1 && level > 0)) wrong.push(`heading order: h${own} "${said(heading)}" after h${level}`);
    level = own;
  }
  if (level === 0) wrong.push("the page has no heading");
  const ids = new Set();
  for (const { id } of all("[id]")) ids.has(id) ? wrong.push(`id "${id}" twice`) : ids.add(id);
  for (const name of ["aria-labelledby", "aria-describedby"]) {
    for (const element of all(`[${name}]`)) {
      const id = element.getAttribute(name);
      if (!ids.has(id)) wrong.push(`${name}="${id}" names nothing`);
    }
  }
  for (const link of all("a[href]")) {
    const href = link.getAttribute("href");
    if (!said(link)) wrong.push(`the link to ${href} has no text`);
    if (href.startsWith("#") && !ids.has(href.slice(1))) wrong.push(`the link "${said(link)}" leads nowhere: ${href}`);
  }
  for (const { id } of all("main > section[id]:not(#summary)")) {
    if (!document.querySelector(`#summary a[href="#${CSS.escape(id)}"]`)) wrong.push(`the summary has no link to #${id}`);
  }
  for (const table of all("table")) {
    if (!table.caption || !said(table.caption)) wrong.push(`a table has no caption: "${said(table)}"`);
    if (!table.querySelector("thead th[scope=col]")) wrong.push(`a table has no heads of columns: "${said(table)}"`);
  }
  for (const head of all("th:not([scope])")) wrong.push(`th without scope: "${said(head)}"`);
  for (const image of all("img")) {
    if (image.naturalWidth === 0) wrong.push(`a picture does not load: "${image.alt}"`);
  }
  for (const region of all("[tabindex='0']")) {
    const label = document.getElementById(region.getAttribute("aria-labelledby"))?.textContent ?? region.getAttribute("aria-label");
    if (!label?.trim()) wrong.push(`what Tab reaches has no label: "${said(region)}"`);
  }
  return wrong;
}

/** In the page: text and marks of charts that stand out too little; and the brightness of the background. */
function contrast(least, leastMark) {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (colour) => colour.slice(0, 3)
    .map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const ancestors = (element) => (element ? [element, ...ancestors(element.parentElement)] : []);
  const behind = (element) => ancestors(element).reverse()
    .reduce((below, e) => over(rgba(getComputedStyle(e).backgroundColor), below), rgba("Canvas"));
  const drawn = (element, property) => {
    const style = getComputedStyle(element);
    if (style[property] === "none") return null;
    const alpha = ancestors(element).reduce((product, e) => product * Number(getComputedStyle(e).opacity), 1);
    const [r, g, b, a] = rgba(style[property]);
    return over([r, g, b, a * alpha], behind(element));
  };
  const wrong = new Map();
  const look = (element, properties, least, what) => {
    const found = properties.map((p) => drawn(element, p)).filter(Boolean).map((c) => ratio(c, behind(element)));
    const best = Math.max(...found);
    if (!(best >= least)) wrong.set(`${what}: contrast ${best.toFixed(2)}, and must be ${least}`, 1);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const said = texts.currentNode.data.trim();
    // title and desc of a chart are not drawn.
    if (!said || !element.checkVisibility() || element.closest("style, svg title, svg desc")) continue;
    looked += 1;
    look(element, element.closest("svg") ? ["fill"] : ["color"], least, `${element.tagName.toLowerCase()} "${said.slice(0, 40)}"`);
  }
  for (const mark of document.querySelectorAll("svg .mark, svg .line, svg .whisker, svg .reference, svg .base")) {
    look(mark, ["fill", "stroke"], leastMark, `${mark.classList} of "${mark.closest("svg").querySelector("title")?.textContent.slice(0, 40)}"`);
  }
  return { wrong: [...wrong.keys()], looked, paper: luminance(behind(document.body)) };
}

/** In the page: what is wider than the window and does not scroll on its own. */
function overflow() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const scrolls = (e) => e && (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e.parentElement));
  const names = wide.slice(-3).map((e) => `${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 30)}"`);
  return [`it is ${document.documentElement.scrollWidth} wide: ${names.join(", ")}`];
}

/** Each thing that Tab comes to, in order: which it is, and whether it is seen to have the focus. */
async function tab(browser) {
  const wrong = [];
  const total = await browser.run(() => {
    const all = [...document.querySelectorAll("a[href], summary, [tabindex='0']")].filter((e) => e.checkVisibility());
    all.forEach((e, i) => (e.dataset.stop = i));
    return all.length;
  });
  const reached = new Set();
  for (let press = 0; press < 2 * total + 10 && reached.size < total; press++) {
    await browser.tab();
    const at = await browser.run(() => {
      const e = document.activeElement;
      const style = getComputedStyle(e);
      const box = e.getBoundingClientRect();
      return {
        stop: e.dataset.stop, skips: e.matches("a[href^='#']") && e.closest("body > a") !== null, name: e.textContent.trim().slice(0, 40),
        seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
        inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.left < innerWidth && box.right > 0,
      };
    });
    if (at.stop === undefined) break;
    if (press === 0 && !at.skips) wrong.push(`Tab comes first to "${at.name}", not to a link that skips`);
    if (!at.seen) wrong.push(`"${at.name}" does not show that it has the focus`);
    if (!at.inside) wrong.push(`"${at.name}" has the focus outside the window`);
    reached.add(at.stop);
  }
  const missed = await browser.run((reached) => [...document.querySelectorAll("[data-stop]")]
    .filter((e) => !reached.includes(e.dataset.stop)).map((e) => `${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 40)}"`), [...reached]);
  return wrong.concat(missed.map((name) => `Tab does not reach ${name}`));
}

/** Charts and pictures without a name, as the browser tells it to a screen reader. */
async function names(browser) {
  const { root } = await browser.send("DOM.getDocument");
  const { nodeIds } = await browser.send("DOM.querySelectorAll", { nodeId: root.nodeId, selector: "img, svg" });
  const wrong = [];
  for (const nodeId of nodeIds) {
    const { nodes: [node] } = await browser.send("Accessibility.getPartialAXTree", { nodeId, fetchRelatives: false });
    const { outerHTML } = await browser.send("DOM.getOuterHTML", { nodeId });
    if (!node.name?.value?.trim()) wrong.push(`no name: ${outerHTML.slice(0, 100)}…`);
    else if (!["image", "img"].includes(node.role?.value)) wrong.push(`role ${node.role?.value}, not image: ${outerHTML.slice(0, 100)}…`);
  }
  return wrong;
}

/** All that is wrong with the page. */
async function check(browser, file, screenshots) {
  const url = pathToFileURL(resolve(file)).href;
  await browser.open(url);
  const wrong = [];
  const add = (where, found) => wrong.push(...found.map((what) => `${where}: ${what}`));
  try {
    add("structure", await browser.run(structure));
    add("names", await names(browser));
    await browser.show(1280, "light");
    add("keyboard", await tab(browser));
    await browser.run(() => document.querySelectorAll("details").forEach((e) => (e.open = true)));
    for (const scheme of SCHEMES) {
      for (const width of WIDTHS) {
        await browser.show(width, scheme);
        add(`${width} pixels`, scheme === "light" ? await browser.run(overflow) : []);
        if (screenshots) await screenshot(browser, join(screenshots, `${scheme}-${width}.png`));
      }
      const { wrong: pale, looked, paper } = await browser.run(contrast, TEXT_CONTRAST, MARK_CONTRAST);
      add(scheme, pale);
      if (looked === 0) add(scheme, ["no text"]);
      if ((scheme === "light") !== paper > 0.4) add(scheme, [`the background has a luminance of ${paper.toFixed(2)}`]);
    }
  } finally {
    const told = browser.events.map(({ method, params }) => {
      if (method === "Network.requestWillBeSent" && params.request.url !== url && !params.request.url.startsWith("data:")) {
        return `network: it asks for ${params.request.url}`;
      }
      if (method === "Log.entryAdded" && ["warning", "error"].includes(params.entry.level)) return `console: ${params.entry.text}`;
      if (method === "Runtime.consoleAPICalled" && ["warning", "error", "assert"].includes(params.type)) {
        return `console: ${params.args.map((a) => a.value ?? a.description).join(" ")}`;
      }
      if (method === "Runtime.exceptionThrown") return `console: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`;
      return [];
    });
    wrong.push(...told.flat());
    await browser.close();
  }
  return [...new Set(wrong)];
}

async function screenshot(browser, path) {
  const { cssContentSize: { width, height } } = await browser.send("Page.getLayoutMetrics");
  const clip = { x: 0, y: 0, width, height, scale: 1 };
  const { data } = await browser.send("Page.captureScreenshot", { captureBeyondViewport: true, clip });
  writeFileSync(path, Buffer.from(data, "base64"));
}

// How a page can be broken, and what must be said of it.
const PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
const open = (html) => html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "");
const into = (css) => (html) => html.replace("</style>", `${css}</style>`);
const after = (markup) => (html) => html.replace("</h1>", `</h1>${markup}`);
const BREAKS = [
  ["network: it asks for", (html) => after('<img alt="a" src="https://example.invalid/a.png">')(open(html))],
  ["console:", after('<img alt="a" src="https://example.invalid/a.png">')],
  ["console:", (html) => after("<script>throw new Error('broken')</script>")(open(html))],
  ["console:", (html) => after("<script>console.error('broken')</script>")(open(html))],
  ["light: p ", into("@media (prefers-color-scheme: light) { p { color: #999 } }")],
  ["dark: td ", into("@media (prefers-color-scheme: dark) { td { color: #444 } }")],
  ["light: a ", into("@media (prefers-color-scheme: light) { a { color: #6af } }")],
  ["dark: text ", into("@media (prefers-color-scheme: dark) { .chart text { fill: #555 !important } }")],
  ["light: line ", into("@media (prefers-color-scheme: light) { .chart .line { opacity: 0.3 } }")],
  ["dark: the background", into(":root { --paper: #fff !important }")],
  ["keyboard: Tab comes first to", (html) => html.replace(/<a class="skip".*?<\/a>/, "")],
  ["keyboard: Tab comes first to", after('<a href="#summary" tabindex="1">early</a>')],
  ["keyboard: Tab does not reach a", (html) => html.replace(/(<tbody><tr><th [^>]*><a) href/, '$1 tabindex="-1" href')],
  ["keyboard: Tab does not reach summary", (html) => html.replace("<summary", '<summary tabindex="-1"')],
  ["does not show that it has the focus", into("a:focus { outline: none !important }")],
  ["has the focus outside the window", into(".skip:focus { top: -9rem !important }")],
  ["360 pixels: it is", into("body { min-width: 700px }")],
  ["1280 pixels: it is", into("h1 { width: 1500px }")],
  ["names: no name: <svg", (html) => html.replace(/<svg(.*?) aria-labelledby="[^"]*"(.*?)<title.*?<\/title>/, "<svg$1$2")],
  ["names: role", (html) => html.replace('<svg class="chart" role="img"', '<svg class="chart" role="group"')],
  ["names: no name: <img", after(`<img src="${PIXEL}">`)],
  ["structure: a picture does not load", after('<img alt="a" src="data:image/png;base64,AAAA">')],
  ["structure: heading order", after("<h4>too deep</h4>")],
  ["structure: heading order", after("<h1>another</h1>")],
  ["structure: html has no lang", (html) => html.replace(' lang="en"', "")],
  ["structure: the page has no title", (html) => html.replace(/<title>.*?<\/title>/, "")],
  ["structure: the page has no doctype", (html) => html.replace("<!DOCTYPE html>", "")],
  ["structure: id \"summary\" twice", after('<p id="summary">again</p>')],
  ["leads nowhere", after('<a href="#nowhere">nowhere</a>')],
  ["has no text", after('<a href="#summary"></a>')],
  ["structure: the summary has no link to", (html) => html.replace("</main>", '<section id="alone"><h2>Alone</h2></section></main>')],
  ["structure: a table has no caption", (html) => html.replace(/<caption.*?<\/caption>/, "")],
  ["structure: a table has no heads", after("<table><caption>A table</caption><tr><td>1</td></tr></table>")],
  ["structure: th without scope", (html) => html.replace('<th scope="col"', "<th")],
  ["structure: what Tab reaches has no label", (html) => html.replace(/ tabindex="0" aria-labelledby="[^"]*"/, ' tabindex="0"')],
  ["names nothing", (html) => html.replace(/aria-describedby="[^"]*"/, 'aria-describedby="nothing"')],
];

/** Breaks copies of the page one way each. What is not caught is wrong with this script. */
async function prove(browser, file) {
  const html = readFileSync(file, "utf8");
  const copy = join(browser.profile, "broken.html");
  const missed = [];
  for (const [expected, change] of BREAKS) {
    const broken = change(html);
    if (broken === html) throw new Error(`this page cannot be broken so that it says "${expected}"`);
    writeFileSync(copy, broken);
    const caught = (await check(browser, copy)).find((what) => what.includes(expected));
    console.log(caught ? `caught  ${caught}` : `MISSED  ${expected}`);
    if (!caught) missed.push(`not caught: ${expected}`);
  }
  return missed;
}

const args = process.argv.slice(2);
const proving = args[0] === "--prove" && args.shift();
const screenshots = args[0] === "--screenshots" && args.splice(0, 2)[1];
const [file, ...more] = args;
if (!file || file.startsWith("-") || more.length > 0) {
  console.error("usage: scripts/check-report.sh [--prove | --screenshots FOLDER] FILE.html");
  process.exit(2);
}
if (screenshots) mkdirSync(screenshots, { recursive: true });
const browser = new Browser();
try {
  const wrong = await check(browser, file, screenshots);
  if (proving && wrong.length === 0) wrong.push(...(await prove(browser, file)));
  wrong.forEach((what) => console.error(what));
  console.log(wrong.length === 0 ? `${file}: nothing wrong` : `${file}: ${wrong.length} things wrong`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.end();
}
