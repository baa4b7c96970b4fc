// Says in plain words why the browser gives no microphone, and lets a visitor try it out.
(() => {
  const { put } = window.audiochat.words;
  const WAY_OUT = { way_out: "@mic.way_out" };
  const REASONS = {
    insecure: "mic.insecure",
    refused: "mic.refused",
    missing: "mic.missing",
    busy: "mic.busy",
    unsupported: "mic.unsupported",
    long: "mic.long",
  };
  const BY_ERROR = {
    NotAllowedError: "refused",
    SecurityError: "refused",
    NotFoundError: "missing",
    OverconstrainedError: "missing",
    NotReadableError: "busy",
    AbortError: "busy",
  };

  function tell(reason) {
    const place = document.getElementById("mic-trouble");
    if (!place) return;
    if (reason) put(place, REASONS[reason], WAY_OUT);
    place.hidden = !reason;
    document.body.classList.toggle("no-mic", ["insecure", "unsupported"].includes(reason));
  }

  // Gradio's recorder asks for the microphone itself and keeps the reason of a failure in the
  // console: listen in, so that the visitor is told too.
  function listenIn(devices) {
    const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (constraints) => {
      try {
        const stream = await ask(constraints);
        tell("");
        return stream;
      } catch (error) {
        tell(BY_ERROR[error.name] || "unsupported");
        throw error;
      }
    };
  }

  // The device chosen beside the recorder, as a wish: it may be unplugged by now.
  window.audiochat.chosenMicrophone = () => {
    const chosen = document.querySelector("#mic .mic-select")?.value;
    return chosen ? { deviceId: { ideal: chosen } } : {};
  };

  async function check() {
    const devices = navigator.mediaDevices;
    if (!window.isSecureContext) return tell("insecure");
    if (!devices || !devices.getUserMedia) return tell("unsupported");
    listenIn(devices);
    const permission = await navigator.permissions
      ?.query({ name: "microphone" })
      .catch(() => null);
    if (permission?.state === "denied") return tell("refused");
    const known = await devices.enumerateDevices().catch(() => []);
    if (known.length && !known.some((device) => device.kind === "audioinput")) tell("missing");
  }

  // A recording beyond the limit would be refused, and what was said lost: it is ended in time.
  // A page in the background is woken once a minute.
  const marginS = () => (document.hidden ? 65 : 1);
  let begunMs = 0; // 0 while nothing is recorded

  function watchLength() {
    const buttons = [...document.querySelectorAll("#mic button.stop-button")];
    const stop = buttons.find((button) => button.offsetParent !== null);
    begunMs = stop ? begunMs || performance.now() : 0;
    const { maxS } = document.getElementById("mic-trouble").dataset;
    if (!stop || performance.now() - begunMs < (maxS - marginS()) * 1000) return;
    begunMs = 0;
    stop.click();
    tell("long");
  }

  const TEST_MS = 3000;

  async function test(button) {
    const result = document.getElementById("mic-test-result");
    const sound = document.getElementById("mic-test-sound");
    let stream;
    try {
      const audio = { ...window.audiochat.chosenMicrophone() };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      put(result, REASONS[BY_ERROR[error.name] || "unsupported"], WAY_OUT);
      return;
    }
    button.disabled = true;
    put(result, "mic.speak_now");
    const loudest = meter(stream);
    const recorder = new MediaRecorder(stream);
    const pieces = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      if (sound.src) URL.revokeObjectURL(sound.src);
      sound.src = URL.createObjectURL(new Blob(pieces, { type: recorder.mimeType }));
      sound.hidden = false;
      put(result, verdict(loudest()));
      button.disabled = false;
    };
    recorder.start();
    setTimeout(() => recorder.stop(), TEST_MS);
  }

  // Draws the level while the stream lives; returns a function that gives the loudest one in dB.
  function meter(stream) {
    window.audiochat.player.unlock();
    const context = window.audiochat.player.context;
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const element = document.getElementById("mic-test-meter");
    let loudest = -100;
    const draw = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const level = 10 * Math.log10(power + 1e-10);
      loudest = Math.max(loudest, level);
      const shown = Math.round(Math.min(100, Math.max(0, (level + 60) * 1.8)));
      element.firstElementChild.style.width = `${shown}%`;
      element.setAttribute("aria-valuenow", shown);
      if (stream.active) requestAnimationFrame(draw);
    };
    draw();
    return () => loudest;
  }

  function verdict(level) {
    if (level < -60) return "mic.silent";
    if (level < -35) return "mic.quiet";
    return "mic.works";
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#mic-test-start");
    if (button) test(button);
  });
  // The page's elements are mounted after this script ran.
  const waiting = setInterval(() => {
    if (!document.getElementById("mic-trouble")) return;
    clearInterval(waiting);
    check();
    setInterval(watchLength, 250);
  }, 100);
})();
