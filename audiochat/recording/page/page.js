// Replays the conversation: one sound holds every turn, and its time decides what is shown.
(() => {
  const sound = document.getElementById("sound");
  const play = document.getElementById("play");
  const position = document.getElementById("position");
  const clock = document.getElementById("clock");
  const caption = document.getElementById("caption");
  const turns = [...document.querySelectorAll("#messages > li")];
  const cues = [...document.querySelectorAll("[data-from]")].map((element) => ({
    element,
    turn: element.closest("li"),
    from: Number(element.dataset.from),
    to: Number(element.dataset.to),
    text: element.dataset.text ?? element.textContent,
  }));
  const length = Number(position.max);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const startOf = (turn) => Number(turn.dataset.start);
  let shown = null;
  let current = null;

  function told(seconds) {
    const whole = Math.floor(seconds);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  }

  function showCaption(cue) {
    shown?.element.classList.remove("now");
    cue?.element.classList.add("now");
    shown = cue;
    caption.replaceChildren();
    if (!cue) return;
    const line = document.createElement("span");
    const who = document.createElement("b");
    who.textContent = `${cue.turn.querySelector(".who").textContent}: `;
    line.append(who, cue.text);
    caption.append(line);
    caption.className = cue.turn.className.split(" ")[0];
  }

  function showTurn(turn) {
    current?.classList.remove("playing");
    current?.querySelector(".bubble").removeAttribute("aria-current");
    current = turn;
    if (!turn) return;
    turn.classList.add("playing");
    turn.querySelector(".bubble").setAttribute("aria-current", "true");
    turn.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
  }

  function show() {
    const now = sound.currentTime;
    const cue = cues.find((one) => now >= one.from && now < one.to) ?? null;
    if (cue !== shown) showCaption(cue);
    const turn = turns.findLast((one) => now >= startOf(one) - 0.01) ?? null;
    const active = sound.ended || (sound.paused && now === 0) ? null : turn;
    if (active !== current) showTurn(active);
    position.value = now;
    position.setAttribute("aria-valuetext", `${told(now)} of ${told(length)}`);
    clock.textContent = `${told(now)} / ${told(length)}`;
    document.body.classList.toggle("running", !sound.paused);
    play.setAttribute("aria-label", sound.paused ? "Play" : "Pause");
  }

  function follow() {
    show();
    if (!sound.paused) requestAnimationFrame(follow);
  }

  function playFrom(seconds) {
    sound.currentTime = seconds;
    sound.play();
  }

  play.addEventListener("click", () => (sound.paused ? sound.play() : sound.pause()));
  position.addEventListener("input", () => {
    sound.currentTime = Number(position.value);
  });
  for (const turn of turns) {
    turn.querySelector(".bubble").addEventListener("click", () => playFrom(startOf(turn)));
  }
  for (const event of ["pause", "ended", "seeked"]) sound.addEventListener(event, show);
  sound.addEventListener("play", follow);

  // Left and right go from message to message; up and down move the focus among them.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === position) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) {
      const at = turns.findLastIndex((one) => sound.currentTime >= startOf(one) - 0.01);
      // Back goes to the start of this message first, as on a player.
      const inside = at >= 0 && sound.currentTime > startOf(turns[at]) + 1;
      const next = step < 0 && inside ? at : at + step;
      sound.currentTime = startOf(turns[Math.max(0, Math.min(turns.length - 1, next))]);
      event.preventDefault();
    } else if (move) {
      const bubbles = turns.map((one) => one.querySelector(".bubble"));
      const at = bubbles.indexOf(document.activeElement);
      if (at < 0) return;
      bubbles[Math.max(0, Math.min(bubbles.length - 1, at + move))].focus();
      event.preventDefault();
    }
  });

  sound.hidden = true;
  document.querySelector(".controls").hidden = false;
  show();
})();
