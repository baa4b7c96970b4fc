// Plays the pieces of a spoken reply one behind the other while later ones are still being made.
// The pieces arrive as the lines of one growing string: an id of the reply, then for each piece its
// WAV in base64 and its words, as JSON.
(() => {
  const KEY = "audiochat.volume";
  const WAKES_MS = 1000; // a page that nobody has touched yet may not sound, and is not made to wait
  const { store, kept } = window.audiochat;
  const loudness = () => ({ volume: 1, muted: false, ...kept(KEY) });

  const player = {
    context: null,
    gain: null,
    reply: "",
    muted: "",
    taken: 0,
    endsAt: 0,
    sources: new Set(),
    decoding: Promise.resolve(),
    undecoded: 0,
    // When the voice sounded, in milliseconds of `performance.now()`: the last minute of it.
    spans: [],
    // Figures of the whole visit, for tests and for the curious.
    played: { pieces: 0, seconds: 0, peak: 0, firstAt: 0 },

    // Browsers let a page sound only after the visitor touched it: called in every gesture.
    unlock() {
      const Context = window.AudioContext || window.webkitAudioContext;
      if (!Context) return;
      this.context ??= new Context();
      // Safari has a state of its own, after a telephone call.
      if (this.context.state !== "running") this.context.resume().catch(() => {});
    },

    // Whether it can sound. What cannot is left out, not kept for the next touch of the page: by
    // then the open microphone would hear it. Its words are in the conversation, with a player.
    async awake() {
      if (this.context.state === "running") return true;
      const late = new Promise((resolve) => setTimeout(resolve, WAKES_MS));
      await Promise.race([this.context.resume().catch(() => {}), late]);
      return this.context.state === "running";
    },

    take(value) {
      const [reply, ...pieces] = (value || "").split("\n");
      // A piece on its way when the reply was stopped must not start it again.
      if (reply && reply === this.muted) return;
      if (reply !== this.reply) {
        this.stop();
        this.reply = reply;
        this.taken = 0;
      }
      for (const piece of pieces.slice(this.taken)) this.queue(piece, reply);
      this.taken = pieces.length;
    },

    queue(piece, reply) {
      this.unlock();
      if (!this.context) return;
      const [wav, words] = JSON.parse(piece);
      const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
      this.undecoded += 1;
      this.decoding = this.decoding
        .then(() => this.context.decodeAudioData(bytes.buffer))
        .then(async (sound) => {
          if ((await this.awake()) && reply === this.reply) this.play(sound, words);
        })
        .catch((error) => console.warn("a piece of the reply could not be played", error))
        .finally(() => (this.undecoded -= 1));
    },

    play(sound, words) {
      const source = this.context.createBufferSource();
      source.buffer = sound;
      source.connect(this.volume());
      const at = Math.max(this.context.currentTime + 0.02, this.endsAt);
      source.start(at);
      this.endsAt = at + sound.duration;
      this.sources.add(source);
      source.onended = () => {
        this.sources.delete(source);
        this.show();
      };
      captions.add(words, at, sound.duration);
      const offset = performance.now() - 1000 * this.context.currentTime;
      const [from, to] = [at, at + sound.duration].map((seconds) => offset + 1000 * seconds);
      this.spans = [...this.spans.filter((span) => span.to > from - 60_000), { from, to }];
      this.count(sound, from);
      this.show();
    },

    volume() {
      if (!this.gain) {
        this.gain = this.context.createGain();
        this.gain.connect(this.context.destination);
      }
      const { volume, muted } = loudness();
      this.gain.gain.value = muted ? 0 : volume;
      return this.gain;
    },

    stop() {
      this.muted = this.reply || this.muted;
      for (const source of this.sources) {
        source.onended = null;
        source.stop();
      }
      this.sources.clear();
      const now = performance.now();
      for (const span of this.spans) span.to = Math.min(span.to, now);
      captions.clear();
      this.endsAt = 0;
      this.reply = "";
      this.show();
    },

    count(sound, from) {
      this.played.pieces += 1;
      this.played.seconds += sound.duration;
      this.played.firstAt ||= from;
      for (const sample of sound.getChannelData(0)) {
        if (Math.abs(sample) > this.played.peak) this.played.peak = Math.abs(sample);
      }
    },

    // Whether the reply sounds, or is about to, or did so less than `after` ms ago.
    sounding(after = 0) {
      return this.undecoded > 0 || this.soundedAt(performance.now(), after);
    },

    // The same of a moment: what the microphone gave then may reach a busy page late.
    soundedAt(moment, after = 0) {
      return this.spans.some(({ from, to }) => moment >= from - after && moment < to + after);
    },

    // Pieces of the reply that have begun to sound; for as long as it does.
    begun() {
      return captions.pieces.filter(({ at }) => at <= this.context?.currentTime).length;
    },

    show() {
      document.body.classList.toggle("speaking", this.sources.size > 0);
    },
  };

  // The words of the reply under the conversation, each as it is said. The voice tells when a piece
  // begins and ends; within it a word's share of the letters is its share of the time.
  const captions = {
    pieces: [],
    timer: 0,

    add(words, at, duration) {
      const list = words.split(" ");
      let letters = 0;
      const ends = list.map((word) => (letters += word.length + 1));
      this.pieces.push({ at, list, ends: ends.map((end) => at + (duration * end) / letters) });
      this.timer ||= setInterval(() => this.draw(), 60);
    },

    draw() {
      const now = player.context.currentTime;
      const piece = this.pieces.findLast((one) => one.at <= now);
      const place = document.getElementById("captions");
      if (!piece || !place) return;
      if (!player.sources.size && now > piece.ends.at(-1)) return this.clear();
      const said = piece.ends.findIndex((end) => now < end);
      const current = said < 0 ? piece.list.length - 1 : said;
      const spans = piece.list.map((word, index) => {
        const span = document.createElement("span");
        span.textContent = word + " ";
        span.className = index < current ? "said" : index === current ? "now" : "";
        return span;
      });
      place.replaceChildren(...spans);
    },

    clear() {
      clearInterval(this.timer);
      this.timer = 0;
      this.pieces = [];
      document.getElementById("captions")?.replaceChildren();
    },
  };

  function setVolume(change) {
    store(KEY, JSON.stringify({ ...loudness(), ...change }));
    if (player.gain) player.volume();
    showVolume();
  }

  function showVolume() {
    const { volume, muted } = loudness();
    const mute = document.getElementById("mute");
    mute.textContent = muted ? "🔇" : "🔊";
    mute.setAttribute("aria-pressed", muted);
    document.getElementById("volume").value = volume;
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#mute")) setVolume({ muted: !loudness().muted });
    if (event.target.closest?.("#quiet")) player.stop();
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "volume") setVolume({ volume: +event.target.value, muted: false });
  });
  const mounted = setInterval(() => {
    if (!document.getElementById("mute")) return;
    clearInterval(mounted);
    showVolume();
  }, 100);

  window.audiochat.player = player;
  for (const gesture of ["pointerdown", "touchend", "keydown"]) {
    document.addEventListener(gesture, () => player.unlock(), { capture: true, passive: true });
  }
})();
