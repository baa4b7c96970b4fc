// Plays the pieces of a spoken reply one behind the other while later ones are still being made.
// The pieces arrive as the lines of one growing string: an id of the reply, then WAV in base64.
(() => {
  const player = {
    context: null,
    reply: "",
    muted: "",
    taken: 0,
    endsAt: 0,
    sources: new Set(),
    decoding: Promise.resolve(),
    undecoded: 0,
    quietSince: -1e9,
    // Figures of the whole visit, for tests and for the curious.
    played: { pieces: 0, seconds: 0, peak: 0, firstAt: 0 },

    // Browsers let a page sound only after the visitor touched it: called in every gesture.
    unlock() {
      const Context = window.AudioContext || window.webkitAudioContext;
      if (!Context) return;
      this.context ??= new Context();
      if (this.context.state === "suspended") this.context.resume().catch(() => {});
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
      const bytes = Uint8Array.from(atob(piece), (letter) => letter.charCodeAt(0));
      this.undecoded += 1;
      this.decoding = this.decoding
        .then(() => this.context.decodeAudioData(bytes.buffer))
        .then((sound) => reply === this.reply && this.play(sound))
        .catch((error) => console.warn("a piece of the reply could not be played", error))
        .finally(() => (this.undecoded -= 1));
    },

    play(sound) {
      const source = this.context.createBufferSource();
      source.buffer = sound;
      source.connect(this.context.destination);
      const at = Math.max(this.context.currentTime + 0.02, this.endsAt);
      source.start(at);
      this.endsAt = at + sound.duration;
      this.sources.add(source);
      source.onended = () => {
        this.sources.delete(source);
        this.show();
      };
      this.count(sound);
      this.show();
    },

    stop() {
      this.muted = this.reply || this.muted;
      for (const source of this.sources) {
        source.onended = null;
        source.stop();
      }
      this.sources.clear();
      this.endsAt = 0;
      this.reply = "";
      this.show();
    },

    count(sound) {
      this.played.pieces += 1;
      this.played.seconds += sound.duration;
      this.played.firstAt ||= performance.now();
      for (const sample of sound.getChannelData(0)) {
        if (Math.abs(sample) > this.played.peak) this.played.peak = Math.abs(sample);
      }
    },

    // Whether the reply sounds, or did so less than `after` ms ago.
    sounding(after = 0) {
      const now = this.sources.size > 0 || this.undecoded > 0;
      return now || performance.now() - this.quietSince < after;
    },

    show() {
      const speaking = this.sources.size > 0;
      if (document.body.classList.contains("speaking") && !speaking) {
        this.quietSince = performance.now();
      }
      document.body.classList.toggle("speaking", speaking);
    },
  };

  window.audiochat = { player };
  for (const gesture of ["pointerdown", "touchend", "keydown"]) {
    document.addEventListener(gesture, () => player.unlock(), { capture: true, passive: true });
  }
})();
