// What the console does beyond plain pages: asks for news while something moves and somebody looks,
// and swaps the parts that changed. Everything works without it, by reloading.
"use strict";
document.documentElement.classList.add("js");

const main = document.querySelector("main");
const log = document.getElementById("log");
const FAST = 1000, SLOW = 15000;
let timer = 0, failures = 0, asking = false;

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(ask, ms);
}

async function ask() {
  if (asking || document.hidden || !main.dataset.live) return;
  asking = true;
  try {
    const url = new URL(main.dataset.live, location.href);
    if (log) url.searchParams.set("after", log.dataset.log);
    const answer = await fetch(url, { headers: { accept: "application/json" } });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    const news = await answer.json();
    failures = 0;
    if (news.log) grow(news);
    if (news.version !== main.dataset.version) await swap(news.version);
    if (news.live) later(log ? FAST : busy() ? 2 * FAST : SLOW);
    else delete main.dataset.live;
  } catch {
    failures += 1;
    later(Math.min(FAST * 2 ** failures, 30000));
  } finally {
    asking = false;
  }
}

function busy() {
  return document.querySelector(".badge.busy, .badge.wait") !== null;
}

// Words of a log go to the end of their step; whoever stands at the bottom stays there.
function grow(news) {
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
  for (const part of news.log) {
    let step = log.querySelector(`[data-step="${CSS.escape(part.step)}"]`);
    if (!step) {
      log.querySelector("[data-empty]")?.remove();
      step = document.createElement("details");
      step.className = "step";
      step.open = true;
      step.dataset.step = part.step;
      const title = document.createElement("summary");
      title.textContent = part.title;
      step.append(title, document.createElement("pre"));
      log.append(step);
    }
    step.querySelector("pre").insertAdjacentHTML("beforeend", part.html);
  }
  log.dataset.log = news.next;
  if (atEnd && news.log.length && scrollY > 0) scrollTo(0, document.documentElement.scrollHeight);
}

// The page as it is now, part by part. What somebody is typing into is left alone.
async function swap(version) {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(part.id);
    const typing = part.contains(document.activeElement) &&
      document.activeElement.matches("input, textarea, select, summary");
    if (!next || typing || next.innerHTML === part.innerHTML) continue;
    const open = [...part.querySelectorAll("details")].map((d) => d.open);
    const focus = part.contains(document.activeElement) ? document.activeElement.textContent : null;
    part.replaceChildren(...next.childNodes);
    const details = part.querySelectorAll("details");
    if (details.length === open.length) details.forEach((d, i) => { d.open = open[i]; });
    if (focus) [...part.querySelectorAll("a, button")].find((e) => e.textContent === focus)?.focus();
  }
  document.title = fresh.title;
  main.dataset.version = version;
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
if (main?.dataset.live) later(FAST);

// "/" goes to the search; a menu closes by Escape or a click elsewhere; a form is sent once.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.getElementById("q");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
  if (event.key === "Escape") {
    const menu = document.querySelector(".menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  }
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("submit", (event) => {
  const button = event.target.querySelector("button[type=submit]");
  if (event.target.method === "post" && button) setTimeout(() => { button.disabled = true; });
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[disabled]")) button.disabled = false;
});
if (matchMedia("(max-width: 860px)").matches) document.querySelector(".facets")?.removeAttribute("open");
