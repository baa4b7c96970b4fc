// Keys, and the moments at which the spoken reply must fall silent.
(() => {
  const KEYS_ON = "audiochat.keys";
  const visible = (element) => element && element.offsetParent !== null;
  const find = (selector) => [...document.querySelectorAll(selector)].find(visible);
  const { stored, store } = window.audiochat;
  const keysOn = () => stored(KEYS_ON) !== "off";

  // In a list letters choose; a slider, a box to tick and a button take none.
  function typing(target) {
    const takesLetters = "textarea, select, input:not([type=range], [type=checkbox], [type=radio])";
    return target.isContentEditable || target.matches?.(takesLetters);
  }

  function stopReply() {
    window.audiochat.player.stop();
    const stop = document.querySelector("#stop");
    if (stop && !stop.disabled) stop.click();
  }

  // Held down it records, let go it sends. The recorder needs a moment to open the microphone: a
  // key let go before that is remembered.
  const HOLD_KEY = "audiochat.holdKey";
  const holdKey = () => (stored(HOLD_KEY) ?? "V").toLowerCase();
  let held = false;
  let stopping = 0; // the timer that presses stop once the recorder has begun

  function hold() {
    const button = find("#mic button.record-button");
    if (held || !button) return;
    button.click();
    held = true;
  }

  function letGo() {
    if (!held) return;
    held = false;
    // However long the browser's own question about the microphone stands there.
    clearInterval(stopping);
    stopping = setInterval(() => {
      const button = find("#mic button.stop-button");
      if (!button) return;
      clearInterval(stopping);
      button.click();
    }, 50);
  }

  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === holdKey()) letGo();
  });
  window.addEventListener("blur", letGo);
  document.addEventListener("change", (event) => {
    if (event.target.id !== "hold-key") return;
    store(HOLD_KEY, event.target.value);
    event.target.blur(); // or the key just chosen would only choose in the list
  });

  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return; // a panel in front has the keys
    if (event.key === "Escape") return stopReply();
    if (event.repeat || !keysOn() || typing(event.target)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === holdKey()) return hold();
    if (event.key.toLowerCase() !== "r") return;
    const button = find("#mic button.stop-button") || find("#mic button.record-button");
    if (!button) return;
    event.preventDefault();
    button.click();
  });

  document.addEventListener(
    "click",
    (event) => {
      const pressed = (selector) => event.target.closest?.(selector);
      if (pressed("#mic .record-button")) {
        clearInterval(stopping); // it is another recording
        stopReply();
      }
      else if (pressed("#stop, #clear, #undo, #retry")) window.audiochat.player.stop();
      else if (pressed("#keys-on")) store(KEYS_ON, event.target.checked ? "on" : "off");
    },
    true,
  );

  // What the visitor does is answered by a drawing of the conversation. Where two such acts overlap,
  // as a Stop and a Clear in one breath do, the drawing of the first may come last: once both have
  // ended the page asks how things stand.
  let underWay = 0;
  let overlapped = false;
  let redrawing = false; // by the page itself
  let sent = [];
  window.audiochat.acts = {
    begin(values, typed = false) {
      if (typed) sent = values;
      if (!redrawing) showConversation();
      redrawing = false;
      overlapped ||= underWay > 0;
      underWay += 1;
      return window.audiochat.named(values);
    },
    end() {
      underWay -= 1;
      if (underWay || !overlapped) return;
      overlapped = false;
      redrawing = true;
      document.querySelector("#redraw")?.click();
    },
  };

  // Asked from further down the page, the answer is looked for where it comes. Hands-free, nobody
  // pressed anything: the page stays where it is.
  function showConversation() {
    if (!["off", undefined].includes(document.body.dataset.talk)) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const how = { block: "nearest", behavior: calm ? "auto" : "smooth" };
    document.getElementById("chat")?.scrollIntoView(how);
  }

  // Once what was typed has arrived, the box is for the next, unless that was begun already. Where
  // it did not arrive (the connection is lost) it stays, to be sent again.
  window.audiochat.arrived = () => {
    const box = document.querySelector("#box textarea");
    if (!box || !sent.includes(box.value)) return;
    write(box, "");
  };

  function write(box, text) {
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // What is in the box stays there when the page is loaded anew, as Gradio does when a lost
  // connection is back.
  const DRAFT = "audiochat.draft";
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("#box textarea")) return;
    try {
      sessionStorage.setItem(DRAFT, event.target.value);
    } catch {
      // no storage, or a text beyond its size
    }
  });
  const drafting = setInterval(() => {
    const box = document.querySelector("#box textarea");
    if (!box) return;
    clearInterval(drafting);
    try {
      const draft = sessionStorage.getItem(DRAFT);
      if (draft && !box.value) write(box, draft);
    } catch {
      // as above
    }
  }, 100);

  // The name of this tab, by which its conversation is found again when the page is loaded anew.
  // A browser that duplicates a tab copies its name too: the first holds it by a lock.
  const TAB = "audiochat.tab";
  const PATIENCE = 5; // the page before this one may still hold the name for a moment
  const free = (name) =>
    new Promise((told) => {
      const hold = (lock) => (told(!!lock), lock && new Promise(() => {}));
      if (!navigator.locks) return told(true); // over plain HTTP
      navigator.locks.request(`${TAB} ${name}`, { ifAvailable: true }, hold);
    });

  const nameTab = async () => {
    try {
      const known = sessionStorage.getItem(TAB);
      for (let tries = known ? PATIENCE : 0; tries; tries--) {
        if (await free(known)) return known;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    } catch {
      // no storage: the name is for this page alone
    }
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const name = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    await free(name);
    try {
      sessionStorage.setItem(TAB, name);
    } catch {
      // as above
    }
    return name;
  };

  let name = null;
  window.audiochat.tab = () => (name ??= nameTab());
  // What is sent begins with the name, also before Gradio has put it where it belongs.
  window.audiochat.named = async (values) => {
    values[0] ||= await window.audiochat.tab();
    return values;
  };

  // Gradio's small players are all called "Audio": name each by what is said in it.
  const said = window.audiochat.words;
  function namePlayers() {
    for (const player of document.querySelectorAll("#chat .minimal-audio-player")) {
      const bubble = player.closest(".message-row");
      const mine = bubble?.classList.contains("user-row");
      const words = bubble?.querySelector(".message-content p:not(:has(small))")?.textContent ?? "";
      const name = `${said(mine ? "player.question" : "player.reply")}: ${words}`;
      if (player.getAttribute("aria-label") !== name) player.setAttribute("aria-label", name);
    }
  }
  new MutationObserver(namePlayers).observe(document.documentElement, {
    childList: true,
    subtree: true,
  });

  const waiting = setInterval(() => {
    const box = document.getElementById("keys-on");
    if (!box) return;
    clearInterval(waiting);
    box.checked = keysOn();
    document.getElementById("hold-key").value = stored(HOLD_KEY) ?? "V";
  }, 100);
})();
