// "What it heard": a button in each bubble with a recording, and the panel that it opens.
// The server draws the panel when asked; an answer begins with the number of the question.
(() => {
  const insight = { ask: null, correct: null, asked: 0, index: 0, take };
  window.audiochat.insight = insight;
  const { words } = window.audiochat;
  const EDIT = ["Edit", "编辑", "Editar"]; // as Gradio names its pencil
  let dialog = null;
  let row = null;

  const userRows = () => [...document.querySelectorAll("#chat .message-row.user-row")];

  function placeButtons() {
    for (const bubble of userRows()) {
      const has = bubble.querySelector(".minimal-audio-player");
      const button = bubble.querySelector(".what-heard");
      // Gradio's pencil fails on a message of several parts: its words are corrected in the panel.
      for (const tool of bubble.nextElementSibling?.querySelectorAll("button") ?? []) {
        if (EDIT.includes(tool.ariaLabel)) tool.hidden = !!has;
      }
      if (button && !has) button.remove();
      if (button || !has) continue;
      const place = bubble.querySelector(".user.message");
      if (!place) continue;
      const added = document.createElement("button");
      added.type = "button";
      added.className = "what-heard";
      words.put(added, "insight.title");
      added.setAttribute("aria-haspopup", "dialog");
      added.addEventListener("click", () => open(bubble));
      place.append(added);
    }
  }

  function open(bubble) {
    dialog ??= makeDialog();
    row = bubble;
    // User and assistant alternate, the user first: every second message of the view is a user's.
    insight.index = 2 * userRows().indexOf(bubble);
    insight.asked += 1;
    body().innerHTML = '<p role="status" data-words="insight.looking"></p>';
    words.draw(body());
    dialog.showModal();
    insight.ask?.({ asked: insight.asked, index: insight.index, part: null });
  }

  function take(value) {
    const [first, html] = split(value || "");
    const [asked, kind] = first.split(" ");
    if (!dialog?.open || +asked !== insight.asked) return;
    if (kind === "panel") return show(html);
    const place = body().querySelectorAll(".insight-alignment")[+kind];
    if (place) place.innerHTML = html;
  }

  const split = (value) => {
    const end = value.indexOf("\n");
    return [value.slice(0, end), value.slice(end + 1)];
  };

  function show(html) {
    body().innerHTML = html;
    const { root = "", api_prefix: prefix = "/gradio_api" } = window.gradio_config || {};
    body().querySelectorAll(".insight-part").forEach((section, part) => {
      const sound = section.querySelector("audio");
      sound.src = `${root}${prefix}/file=${sound.dataset.path}`;
      sound.addEventListener("timeupdate", () => follow(section, sound));
      sound.addEventListener("play", () => window.audiochat.player.stop());
      insight.ask({ asked: insight.asked, index: insight.index, part });
    });
  }

  // Marks the moment being played, in the waveform and in the words.
  function follow(section, sound) {
    const mark = section.querySelector(".insight-wave b");
    mark.hidden = false;
    mark.style.left = `${(100 * sound.currentTime) / (sound.duration || 1)}%`;
    for (const word of section.querySelectorAll("button[data-from]")) {
      const now = sound.currentTime >= +word.dataset.from && sound.currentTime < +word.dataset.until;
      word.toggleAttribute("aria-current", now && !sound.paused);
    }
  }

  function makeDialog() {
    const made = document.createElement("dialog");
    made.id = "insight";
    made.setAttribute("aria-labelledby", "insight-title");
    made.innerHTML =
      '<header><h2 id="insight-title" data-words="insight.title"></h2><button type="button" ' +
      'class="insight-close" data-words-label="insight.close">✕</button></header><div></div>';
    words.draw(made);
    made.addEventListener("click", pressed);
    made.addEventListener("close", () => (body().innerHTML = ""));
    (document.querySelector(".gradio-container") || document.body).append(made);
    return made;
  }

  function pressed(event) {
    const hit = (selector) => event.target.closest(selector);
    const word = hit("button[data-from]");
    if (event.target === dialog || hit(".insight-close")) return dialog.close();
    if (hit(".insight-correct")) return correct(hit(".insight-correct"));
    if (!word) return;
    const sound = word.closest(".insight-part").querySelector("audio");
    sound.currentTime = +word.dataset.from;
    sound.play().catch(() => {});
  }

  // The newest turn has its box under the conversation; the words of an older one are corrected
  // here, and what came after it is asked no more.
  function correct(button) {
    const box = document.querySelector("#words textarea, #words input");
    if (row === userRows().at(-1) && box?.offsetParent) {
      dialog.close();
      box.scrollIntoView({ block: "center" });
      return box.focus();
    }
    const form = document.createElement("form");
    form.className = "insight-form";
    form.innerHTML =
      '<input type="text" required data-words-label="insight.words">' +
      '<button type="submit" data-words="insight.ask_again"></button>';
    words.draw(form);
    const field = form.querySelector("input");
    field.value = button.closest(".insight-part").dataset.said;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      insight.correct?.({ index: insight.index, words: field.value });
      dialog.close();
    });
    button.replaceWith(form);
    field.focus();
  }

  const body = () => dialog.lastElementChild;
  new MutationObserver(placeButtons).observe(document.documentElement, {
    childList: true,
    subtree: true,
  });
})();
