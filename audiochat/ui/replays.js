// What else sounds on the page, beside the reply's own player: recordings and replies listened to
// once more, the microphone's test. An open microphone must not take them for a turn.
(() => {
  const LONG_MS = 60_000;
  const ENDS = ["pause", "ended", "emptied", "error"];
  const replays = {
    elements: new Set(),
    // When they sounded, in milliseconds of `performance.now()`: the last minute of it.
    spans: [],

    follow(element) {
      if (this.elements.has(element)) return;
      this.elements.add(element);
      const span = { from: performance.now(), to: Infinity };
      this.spans = [...this.spans.filter(({ to }) => to > span.from - LONG_MS), span];
      const over = () => {
        if (!element.paused && !element.ended && !element.error) return;
        span.to = performance.now();
        this.elements.delete(element);
        for (const event of ENDS) element.removeEventListener(event, over);
      };
      for (const event of ENDS) element.addEventListener(event, over);
    },

    soundedAt(moment, after = 0) {
      return this.spans.some(({ from, to }) => moment >= from - after && moment < to + after);
    },

    stop() {
      for (const element of [...this.elements]) element.pause();
    },
  };

  // Gradio's players keep their element out of the page, where no event of theirs is to be met.
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function (...given) {
    const begun = play.apply(this, given);
    begun?.then(() => replays.follow(this)).catch(() => {}); // refused: it does not sound
    return begun;
  };
  document.addEventListener("play", (event) => replays.follow(event.target), true);

  window.audiochat.replays = replays;
})();
