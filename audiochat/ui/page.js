// Keys, and the moments at which the spoken reply must fall silent.
(() => {
  const KEYS_ON = "audiochat.keys";
  const visible = (element) => element && element.offsetParent !== null;
  const find = (selector) => [...document.querySelectorAll(selector)].find(visible);
  const keysOn = () => localStorage.getItem(KEYS_ON) !== "off";

  function typing(target) {
    return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  }

  function stopReply() {
    window.audiochat.player.stop();
    const stop = document.querySelector("#stop");
    if (stop && !stop.disabled) stop.click();
  }

  // Held down it records, let go it sends. The recorder needs a moment to open the microphone: a
  // key let go before that is remembered.
  const HOLD_KEY = "audiochat.holdKey";
  const RECORDER_MS = 3000;
  const holdKey = () => (localStorage.getItem(HOLD_KEY) ?? "V").toLowerCase();
  let held = false;

  function hold() {
    const button = find("#mic button.record-button");
    if (held || !button) return;
    held = true;
    button.click();
  }

  function letGo() {
    if (!held) return;
    held = false;
    const until = Date.now() + RECORDER_MS;
    const press = () => {
      const button = find("#mic button.stop-button");
      if (button) button.click();
      else if (Date.now() < until) setTimeout(press, 50);
    };
    press();
  }

  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === holdKey()) letGo();
  });
  window.addEventListener("blur", letGo);
  document.addEventListener("change", (event) => {
    if (event.target.id === "hold-key") localStorage.setItem(HOLD_KEY, event.target.value);
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
      if (pressed("#mic .record-button")) stopReply();
      else if (pressed("#stop, #clear, #undo, #retry")) window.audiochat.player.stop();
      else if (pressed("#keys-on")) localStorage.setItem(KEYS_ON, event.target.checked ? "on" : "off");
    },
    true,
  );

  // Once what was typed has arrived, the box is for the next, unless that was begun already. Where
  // it did not arrive (the connection is lost) it stays, to be sent again.
  let sent = [];
  window.audiochat.sending = (values) => (sent = values);
  window.audiochat.arrived = () => {
    const box = document.querySelector("#box textarea");
    if (!box || !sent.includes(box.value)) return;
    box.value = "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

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

  window.audiochat.tab = async () => {
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
    document.getElementById("hold-key").value = localStorage.getItem(HOLD_KEY) ?? "V";
  }, 100);
})();
