// The page's side of the game: it loads the module, explains what is wrong if it cannot, and does what only a page can.
// The game calls `page.*` by name (src/page.rs).
"use strict";

const element = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
/** Parameters that name servers: for rooms, and for STUN. */
const serverParameters = new Set(["server", "ice"]);
let shownRoom = null;
let pasted = "";
let lastCopy = null;
let hasStarted = false;

window.page = {
  /** Returns all values of a parameter of the address. */
  query: (name) => parameters.getAll(name),
  /** The room that the address names. */
  room: () => decode(location.hash.slice(1)),
  /** The server that this page came from, as a WebSocket address. */
  server: () => (location.protocol === "https:" ? "wss://" : "ws://") + location.host,
  /** Called once the game draws: hides the loading screen. */
  started() {
    hasStarted = true;
    element("loading").classList.add("gone");
    element("game").focus();
    document.body.dataset.started = "true";
  },
  /** Writes `data-report` or `data-selftest` of the page's body, for other programs to read. */
  tell(name, value) {
    document.body.dataset[name] = value;
    if (name === "selftest") {
      say("The self-test is done: its hashes are in data-selftest of the page's body.");
    }
  },
  /** Makes the page's address the link to the room; without a room it leads to the menu. */
  showRoom(room) {
    shownRoom = room;
    lastCopy = null;
    history.replaceState(null, "", location.pathname + location.search + (room ? "#" + encode(room) : ""));
  },
  /** Returns the address of this page with that room, for a friend: without the player's own parameters, like the name. */
  link(room) {
    return location.origin + location.pathname + search((name) => serverParameters.has(name)) + "#" + encode(room);
  },
  copy(text) {
    lastCopy = null;
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(
        () => (lastCopy = true),
        () => (lastCopy = copyByHand(text)),
      );
    } else {
      lastCopy = copyByHand(text);
    }
  },
  /** Returns whether the text that was copied last is on the clipboard; null until that is known. */
  copied: () => lastCopy,
  takePasted() {
    const text = pasted;
    pasted = "";
    return text;
  },
  ask: (caption, value) => window.prompt(caption, value) || "",
  rememberName: (name) => keep("name", name),
  playerName: () => recall("name"),
};

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Encodes a value for an address. Characters that are common in the addresses of servers stay readable. */
function encode(text) {
  return encodeURIComponent(text).replace(/%(3A|2F|3F|3D)/g, decodeURIComponent);
}

/** Returns the query of this page's address, with only the parameters that are kept. */
function search(isKept) {
  const kept = [...parameters].filter(([name]) => isKept(name));
  return (kept.length ? "?" : "") + kept.map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&");
}

/** Returns the host of an address as browsers read it, which is not always the one that a person sees. If there is none, returns the address, made safe to show. */
function hostOf(address) {
  try {
    return new URL(address).host || encode(address);
  } catch {
    return encode(address);
  }
}

/** Returns the servers that this page's address names, except the one that the page comes from. */
function otherServers() {
  // An empty value stands for no server.
  const given = (name) => parameters.getAll(name).filter((value) => value);
  const servers = given("server").map((server) => hostOf(server.includes("://") ? server : "ws://" + server));
  const room = page.room();
  if (/[:/#]/.test(room)) {
    // The game itself writes `ws://HOST/ROOM`. Any other address is shown as it is.
    servers.push(/^wss?:\/\/[^/?#@\\]+\/[\w.~-]+(\?next=\d+)?$/.test(room) ? hostOf(room) : encode(room));
  }
  const stun = given("ice").map((url) => hostOf("ws://" + url.replace(/^(stun|turn)s?:/, "").replace(/\?.*/, "")));
  const isOther = (server) => server !== location.host;
  const isOtherMachine = (server) => server.replace(/:\d+$/, "") !== location.hostname;
  return [...new Set([...servers.filter(isOther), ...stun.filter(isOtherMachine)])];
}

/** Asks once for each server whether the game may use it. If not, the page is loaded again without them, and this does not return. */
async function askForServers() {
  const agreed = new Set(recall("servers").split(" "));
  const servers = otherServers().filter((server) => !agreed.has(server));
  if (servers.length === 0) {
    return;
  }
  const names = servers.join(", ");
  say(
    `This link leads to a different server from the one that this page comes from: ${names}. ` +
      "Its owner will see your network address and decide who plays with you. " +
      "Use it only if you trust the person who sent you the link.",
  );
  const loading = element("loading");
  loading.classList.add("asking");
  document.body.dataset.question = names;
  const isTrusted = await new Promise((resolve) => {
    for (const [id, answer] of [["trust", true], ["stay", false]]) {
      element(id).hidden = false;
      element(id).onclick = () => resolve(answer);
    }
    // So that Enter, pressed out of habit, does not leave this server.
    element("stay").focus();
  });
  if (!isTrusted) {
    location.replace(location.pathname + search((name) => !serverParameters.has(name)));
    return new Promise(() => {});
  }
  keep("servers", [...agreed, ...servers].join(" ").trim());
  loading.classList.remove("asking");
  delete document.body.dataset.question;
  element("trust").hidden = element("stay").hidden = true;
  say("Loading the game");
}

// A page without storage (in a private window, or embedded) forgets the name and the servers that it may use.
function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {}
}

function recall(key) {
  try {
    return localStorage.getItem(key) || "";
  } catch {
    return "";
  }
}

/** Copies a text where the browser denies the clipboard to pages without TLS. Returns whether that worked. */
function copyByHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  let worked = false;
  try {
    worked = document.execCommand("copy");
  } catch {}
  area.remove();
  element("game").focus();
  return worked;
}

function say(words) {
  element("words").textContent = words;
}

/** Shows what went wrong and offers to try again. */
function fail(words) {
  const loading = element("loading");
  loading.classList.remove("gone");
  loading.classList.add("failed");
  say(words);
  document.body.dataset.failure = words;
  const retry = element("retry");
  retry.hidden = false;
  retry.onclick = () => location.reload();
  retry.focus();
}

/** Returns what the browser lacks, as a sentence; an empty string if it has everything. */
function missing() {
  if (typeof WebAssembly !== "object") {
    return "This browser cannot run WebAssembly, which the game is compiled to. Please use a current Firefox, Chrome, Edge or Safari.";
  }
  if (!document.createElement("canvas").getContext("webgl2")) {
    return "This browser has no WebGL 2, which draws the game. It may be switched off in the settings, or the graphics driver may be too old.";
  }
  if (typeof RTCPeerConnection !== "function") {
    return "This browser has no WebRTC, which connects the players. It may be switched off in the settings or by an extension.";
  }
  return "";
}

/** Downloads the module and shows the progress. Bytes are counted after decompression, so the total is the module's own size. */
async function download(url, total) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`the server answered ${response.status}`);
  }
  let received = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      received += chunk.byteLength;
      const percent = Math.min(100, Math.round((100 * received) / total));
      element("done").style.width = percent + "%";
      element("bar").setAttribute("aria-valuenow", percent);
      say(percent < 100 ? "Loading the game" : "Starting");
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), { headers: { "Content-Type": "application/wasm" } });
}

async function start() {
  const lack = missing();
  if (lack && !parameters.has("selftest")) {
    fail(lack);
    return;
  }
  await askForServers();
  const { moduleBytes, moduleHash } = document.body.dataset;
  try {
    const glue = await import(`./demo-game.js?v=${moduleHash}`);
    const module = await download(`demo-game_bg.wasm?v=${moduleHash}`, Number(moduleBytes) || 1);
    await glue.default({ module_or_path: module });
  } catch (error) {
    if (!isControlFlow(error)) {
      fail(`The game could not be loaded: ${error.message || error}.`);
    }
  }
}

/** Returns whether the error is only the exception by which the window library leaves its entry function. That is no failure. */
function isControlFlow(error) {
  return String((error && error.message) || error).includes("Using exceptions for control flow");
}

// After a panic the module is dead: say so instead of showing a frozen picture.
function failOnFault(error) {
  if (error instanceof WebAssembly.RuntimeError) {
    fail("The game has crashed. The browser's console has the details.");
  }
}
window.addEventListener("error", (event) => failOnFault(event.error));
window.addEventListener("unhandledrejection", (event) => failOnFault(event.reason));

// Browsers keep a page silent until the player interacts with it: sound begins with the first key, click or touch.
const contexts = [];
for (const name of ["AudioContext", "webkitAudioContext"]) {
  const Original = window[name];
  if (Original) {
    window[name] = class extends Original {
      constructor(...settings) {
        super(...settings);
        contexts.push(this);
      }
    };
  }
}
for (const gesture of ["keydown", "pointerdown", "touchend"]) {
  window.addEventListener(
    gesture,
    () => {
      for (const context of contexts) {
        if (context.state === "suspended") {
          context.resume();
        }
      }
    },
    { capture: true },
  );
}

// Keys of the game must not scroll the page, open the browser's search or move the focus.
const gameKeys = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Space", "Tab", "F3", "Backspace", "Slash", "Quote"]);
window.addEventListener("keydown", (event) => {
  if (hasStarted && !document.body.dataset.failure && gameKeys.has(event.code) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
  }
});
window.addEventListener("paste", (event) => {
  pasted += event.clipboardData ? event.clipboardData.getData("text") : "";
});
element("game").addEventListener("contextmenu", (event) => event.preventDefault());
element("game").addEventListener("pointerdown", () => element("game").focus());
// A link to another room that is opened in this tab changes only the part after the #.
window.addEventListener("hashchange", () => {
  if (decode(location.hash.slice(1)) !== (shownRoom || "")) {
    location.reload();
  }
});

start();
