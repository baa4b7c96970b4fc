// Hands-free talk: the microphone stays open, and what it gives is sent on piece by piece. When a
// turn begins and ends is for the server to say; what the page does about it is said here.
(() => {
  const RATE = 16000; // asked for; a browser that refuses sends at its own
  const PIECE = 1600;
  const ECHO_MS = 300; // a room still sounds a little after the voice has ended
  const KEPT_S = 25; // sound kept while the connection is lost
  const KEY = "audiochat.handsFree";
  const WORDS = {
    off: "talk.off",
    opening: "talk.opening",
    listening: "talk.listening",
    hearing: "talk.hearing",
    thinking: "talk.thinking",
    speaking: "talk.speaking",
    lost: "talk.lost",
  };
  const CAPTURE = `
    registerProcessor("capture", class extends AudioWorkletProcessor {
      constructor() { super(); this.piece = new Float32Array(${PIECE}); this.filled = 0; }
      process([[samples]]) {
        for (const sample of samples ?? []) {
          this.piece[this.filled++] = sample;
          if (this.filled === this.piece.length) {
            this.port.postMessage({ samples: this.piece.slice(), seconds: currentTime });
            this.filled = 0;
          }
        }
        return true;
      }
    });`;

  const talk = {
    state: "off",
    server: null, // both are given by the hidden component in the page
    ask: null,
    visitor: "",
    tab: "",
    awake: null,
    asked: "", // whose turn is asked, which, and how much of the reply before it was said
    said: "",
    asking: false,
    waiting: [], // pieces that the server has not confirmed yet
    sampled: 0, // samples taken since it was opened
    sending: false,
    // What happened when, for tests and `bench`.
    log: [],
  };
  window.audiochat.talk = talk;
  const { player, replays, words, store, kept } = window.audiochat;
  const $ = (id) => document.getElementById(id);

  const settings = () => ({
    endSilence: +($("end-silence")?.value || 0.8),
    bargeIn: !!$("barge-in")?.checked,
  });

  const stopButton = () => document.querySelector("#stop");
  const answering = () => talk.asking || (stopButton() && !stopButton().disabled);
  const replying = (moment) =>
    answering() ||
    player.undecoded > 0 ||
    player.soundedAt(moment, ECHO_MS) ||
    replays.soundedAt(moment, ECHO_MS);

  function note(what, more = {}) {
    talk.log.push({ what, at: performance.now(), ...more });
    if (talk.log.length > 500) talk.log.shift();
  }

  function show(state) {
    if (state === talk.state) return;
    talk.state = state;
    note(state);
    document.body.dataset.talk = state;
    const line = $("talk-words");
    if (line) words.put(line, WORDS[state]);
    const button = $("talk-switch");
    if (button) {
      button.setAttribute("aria-pressed", state !== "off");
      words.put(button, state === "off" ? "talk.begin" : "talk.end");
    }
  }

  let opened = 0; // how often it was opened or closed: what was begun before is given up

  async function begin() {
    const mine = ++opened;
    show("opening");
    player.unlock();
    let stream, context;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          echoCancellation: true,
          noiseSuppression: true,
          autoGainControl: true,
          ...window.audiochat.chosenMicrophone(),
        },
      });
      // Firefox gives no sound to a context of another rate than the microphone's.
      const rate = /Firefox/.test(navigator.userAgent) ? {} : { sampleRate: RATE };
      context = new AudioContext(rate);
      const module = URL.createObjectURL(new Blob([CAPTURE], { type: "text/javascript" }));
      await context.audioWorklet.addModule(module);
      URL.revokeObjectURL(module);
    } catch (error) {
      if (stream) console.error("the open microphone could not be followed", error);
      close(stream, context);
      if (mine === opened) end(); // microphone.js has said why
      return;
    }
    const tab = await window.audiochat.tab();
    if (mine !== opened) return close(stream, context);
    const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    const offset = performance.now() - 1000 * context.currentTime;
    node.port.onmessage = ({ data }) => take(data.samples, offset + 1000 * data.seconds);
    context.createMediaStreamSource(stream).connect(node);
    stream.getTracks()[0].onended = end; // unplugged, or taken away
    Object.assign(talk, { stream, context, visitor: crypto.randomUUID() });
    Object.assign(talk, { tab, sampled: 0, waiting: [] });
    show("listening");
    stayAwake();
  }

  // A telephone that nobody touches would go to sleep, and its microphone with it. A browser lets
  // the lock go when the page is hidden.
  async function stayAwake() {
    const mine = opened;
    const lock = await navigator.wakeLock?.request("screen").catch(() => null);
    if (mine !== opened || talk.state === "off") return lock?.release();
    talk.awake = lock;
  }
  document.addEventListener("visibilitychange", () => {
    if (talk.context && document.visibilityState === "visible") stayAwake();
  });

  function close(stream, context) {
    stream?.getTracks().forEach((track) => track.stop());
    context?.close().catch(() => {});
  }

  function end() {
    opened++;
    close(talk.stream, talk.context);
    talk.awake?.release();
    talk.stream = talk.context = talk.awake = null;
    talk.waiting = [];
    talk.asking = false;
    show("off");
    level(0);
  }

  function take(samples, moment) {
    if (!talk.context) return;
    let power = 0;
    for (const sample of samples) power += sample * sample;
    level(Math.sqrt(power / samples.length));
    const busy = replying(moment);
    talk.waiting.push({ samples, replying: busy, first: talk.sampled, moment });
    talk.sampled += samples.length;
    const most = (KEPT_S * talk.context.sampleRate) / PIECE;
    if (talk.waiting.length > most) talk.waiting.shift();
    if (busy && talk.state !== "hearing") show(answering() ? "thinking" : "speaking");
    send();
  }

  // One piece is under way at a time, so that they arrive in order; what gathers meanwhile goes
  // along with the next.
  async function send() {
    if (talk.sending || !talk.waiting.length || !talk.server) return;
    talk.sending = true;
    const first = talk.waiting[0].replying;
    let count = talk.waiting.findIndex((piece) => piece.replying !== first);
    if (count < 0) count = talk.waiting.length;
    const pieces = talk.waiting.slice(0, count);
    const { visitor, tab } = talk;
    try {
      const answer = await talk.server.listen({
        visitor,
        tab,
        first: pieces[0].first,
        samples: encoded(pieces),
        rate: talk.context?.sampleRate,
        replying: first,
        ...settings(),
      });
      if (!answer) throw new Error("no answer"); // Gradio tells of what failed by giving nothing
      // Meanwhile the microphone may have been closed and opened, or the oldest been let go.
      if (visitor === talk.visitor) {
        talk.waiting = talk.waiting.filter((piece) => piece.first > pieces.at(-1).first);
        act(answer, pieces[0]);
      }
    } catch (error) {
      console.warn("the microphone's sound could not be sent", error);
      if (talk.context) show("lost");
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    talk.sending = false;
    if (talk.context) send();
  }

  function encoded(pieces) {
    const bytes = new Uint8Array(2 * PIECE * pieces.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const { samples } of pieces) {
      for (const sample of samples) {
        view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
        at += 2;
      }
    }
    let letters = "";
    for (let start = 0; start < bytes.length; start += 8192) {
      letters += String.fromCharCode(...bytes.subarray(start, start + 8192));
    }
    return btoa(letters);
  }

  // `since`: the first of the pieces that the answer is about.
  function act(answer, since) {
    if (!talk.context) return;
    if (answer.trouble) {
      end();
      words.quote($("talk-words"), answer.trouble);
      return;
    }
    if (answer.began && since.replying) {
      note("interrupted");
      talk.said = player.begun() || "";
      player.stop();
      replays.stop();
      if (!stopButton().disabled) stopButton().click();
    }
    if (answer.turn) {
      // The silence was over at the beginning of what was sent, or later.
      note("turn", { overAt: since.moment - (1000 * PIECE) / talk.context.sampleRate });
      talk.asking = true;
      show("thinking");
      // Of a reply that has begun since then nothing was cut off.
      talk.asked = `${talk.visitor} ${answer.turn} ${player.reply ? "" : talk.said}`;
      talk.said = "";
      talk.ask();
    } else if (answer.state === "hearing") {
      show("hearing");
    } else if (!replying(performance.now())) {
      show("listening");
    }
  }

  // The server has taken the turn: from here on the Stop button tells whether it is at work.
  talk.taken = () => setTimeout(() => (talk.asking = false), 150);

  function level(rms) {
    const loud = Math.min(1, Math.max(0, 1 + Math.log10(rms + 1e-4) / 2.5));
    $("talk")?.style.setProperty("--level", loud.toFixed(2));
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#clear, #undo, #retry")) talk.said = ""; // it is another last reply
    if (!event.target.closest?.("#talk-switch")) return;
    if (talk.state === "off") return begin();
    player.stop();
    end();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.closest?.("#talk")) return;
    store(KEY, JSON.stringify(settings()));
    showSilence();
  });
  const showSilence = () => {
    words.put($("end-silence-shown"), "unit.seconds", { n: (+$("end-silence").value).toFixed(1) });
  };
  const mounted = setInterval(() => {
    if (!$("talk-switch")) return;
    clearInterval(mounted);
    const { endSilence, bargeIn } = kept(KEY);
    if (endSilence) $("end-silence").value = endSilence;
    $("barge-in").checked = !!bargeIn;
    showSilence();
  }, 100);
})();
