// The page's own words in the visitor's language. An element names its words by `data-words` (or
// `data-words-html`, `data-words-label`); what the server says in English is known by its words.
// Runs before the other scripts of the page.
(() => {
  const DICTIONARIES = JSON.parse(document.getElementById("dictionaries").textContent);
  const TAGS = { en: "en", zh: "zh-CN", es: "es" };
  const KEY = "audiochat.language";
  const RECORDER = { record: "mic.record", stop: "mic.stop" };
  const NAMED = "[data-words], [data-words-html], [data-words-label]";

  // Where the server speaks; never the words of a person or of the model.
  const SAID_IN = [
    "#state-line .state > span",
    "#chat .user .component ~ .message:not(.component) p",
    "#chat .bot p",
    "#chat small",
    "#compared :is(h3, p, i, small)",
    "[data-testid='toast-text'], .toast-title",
    "#talk-words",
    "#insight p, #insight h3, #insight .insight-correct",
    "#insight .legend span, #insight .insight-words span",
  ].join(",");
  const SAID_AS_NAME = "#insight [aria-label]";
  // In these the model speaks too: only a sentence of trouble or of its silence is the server's.
  const REPLIES = "#chat .bot p, #compared section > p";

  // What stays in this browser; where site data is blocked nothing does, and the page goes on.
  function stored(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function store(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // for this visit alone
    }
  }

  function kept(key) {
    try {
      return JSON.parse(stored(key) || "{}");
    } catch {
      return {}; // meddled with
    }
  }

  let language = chosen();

  function chosen() {
    const wanted = [stored(KEY), ...navigator.languages, "en"];
    const known = wanted.map((tag) => (tag || "").split("-")[0].toLowerCase());
    return known.find((name) => name in DICTIONARIES);
  }

  // A value that begins with "@" is the key of other words.
  function words(key, values = {}) {
    const text = DICTIONARIES[language][key] ?? DICTIONARIES.en[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (place, name) => {
      const value = String(values[name] ?? place);
      return value.startsWith("@") ? words(value.slice(1)) : value;
    });
  }

  function put(element, key, values) {
    element.dataset.words = key;
    if (values) element.dataset.values = JSON.stringify(values);
    else delete element.dataset.values;
    draw(element);
  }

  // Shows a sentence that came from the server in the place of words of the page.
  function quote(element, sentence) {
    delete element.dataset.words;
    element.textContent = sentence;
  }

  const within = (root, selector) => [
    ...(root.matches?.(selector) ? [root] : []),
    ...root.querySelectorAll(selector),
  ];

  function draw(root) {
    for (const element of within(root, NAMED)) {
      const { words: key, wordsHtml, wordsLabel, values } = element.dataset;
      if (key) set(element, "textContent", words(key, values && JSON.parse(values)));
      if (wordsHtml) set(element, "innerHTML", words(wordsHtml));
      if (wordsLabel) element.setAttribute("aria-label", words(wordsLabel));
    }
  }

  function set(element, property, text) {
    if (element[property] !== text) element[property] = text;
  }

  // What the server says.

  const PARTS = { n: "[\\d.]+", part: "\\d+", level: "[^{}]+" };
  const patterns = Object.entries(DICTIONARIES.en)
    .filter(([key]) => key.startsWith("said."))
    .map(([key, text]) => {
      const literal = text.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
      const form = literal.replace(/\{(\w+)\}/g, (_, name) => `(?<${name}>${PARTS[name] ?? ".+"})`);
      return { key, form: new RegExp(`^${form}$`, "s") };
    })
    // Of two that fit, the one with more words of its own is meant.
    .sort((one, other) => other.form.source.length - one.form.source.length);

  // The sentence in the page's language; one that is not known comes back as it is.
  function translated(sentence) {
    for (const { key, form } of patterns) {
      const values = form.exec(sentence)?.groups;
      if (values === undefined && !form.test(sentence)) continue;
      return words(key, { ...values, ...nested(values ?? {}) });
    }
    return sentence;
  }

  function nested({ level, about }) {
    const levels = level?.replace(/(?<=^|\(|, )(fairly sure|unsure|sure|[\d.]+ %)(?=$|\)|,)/g, translated);
    return { ...(level && { level: levels }), ...(about && { about: translated(about) }) };
  }

  function line(text) {
    const [, before, sentence, after] = /^(\s*(?:⚠️ )?)(.*?)(\s*)$/s.exec(text);
    return before + sentence.split(" · ").map(translated).join(" · ") + after;
  }

  const drawn = new WeakMap(); // the text of a node or name of an element: in English, and as shown

  function redraw(place, now, show) {
    const known = drawn.get(place);
    const english = known?.shown === now ? known.english : now;
    const shown = language === "en" ? english : line(english);
    if (shown === now) return;
    drawn.set(place, { english, shown });
    show(shown);
  }

  function drawSaid(root) {
    for (const element of within(root, SAID_IN)) {
      if (element.dataset.words) continue;
      const reply = element.matches(REPLIES);
      for (const node of element.childNodes) {
        if (node.nodeType !== Node.TEXT_NODE) continue;
        if (reply && !drawn.has(node) && !/^(⚠️ |\()/.test(node.data)) continue;
        redraw(node, node.data, (text) => (node.data = text));
      }
    }
    for (const element of within(root, SAID_AS_NAME)) {
      const name = element.getAttribute("aria-label");
      redraw(element, name, (text) => element.setAttribute("aria-label", text));
    }
  }

  // Gradio mounts and redraws when it likes. English is what is there: it needs no watching.
  const observer = new MutationObserver((changes) => {
    const roots = new Set();
    for (const { type, target, addedNodes } of changes) {
      if (type === "characterData") roots.add(target.parentElement);
      for (const node of addedNodes) {
        roots.add(node.nodeType === Node.TEXT_NODE ? node.parentElement : node);
      }
    }
    for (const root of roots) {
      if (!root?.querySelectorAll || !root.isConnected) continue;
      draw(root);
      drawSaid(root);
    }
    observer.takeRecords(); // our own changes
  });

  function begin() {
    observer.disconnect();
    if (language === "en") return;
    observer.observe(document, { childList: true, subtree: true, characterData: true });
  }

  // Gradio's own words, and those of its components, follow without the page being loaded anew,
  // which would lose the conversation; `otherwise` is done where its module is not found.
  async function tellGradio(otherwise) {
    const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
    try {
      const core = await import(loaded.find((name) => /\/core-[\w-]+\.js$/.test(name)));
      core.changeLocale(TAGS[language]);
    } catch (error) {
      console.warn("Gradio's own words keep their language", error);
      otherwise();
    }
    document.documentElement.lang = TAGS[language];
    // The recorder reads its words only when it is made.
    for (const name of ["record", "stop"]) {
      const nodes = document.querySelector(`#mic .${name}-button`)?.childNodes ?? [];
      const text = [...nodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      if (text) text.data = words(RECORDER[name]);
    }
  }

  function choose(name) {
    store(KEY, name);
    language = name;
    begin();
    draw(document);
    drawSaid(document);
    tellGradio(() => location.reload());
  }

  begin();
  window.audiochat = { words: Object.assign(words, { put, quote, draw }), stored, store, kept };

  document.addEventListener("change", (event) => {
    if (event.target.id === "language") choose(event.target.value);
  });
  const mounted = setInterval(() => {
    const select = document.getElementById("language");
    if (!select) return;
    clearInterval(mounted);
    select.value = language;
    // Gradio has chosen by itself, among more languages and before this script ran.
    if (document.documentElement.lang !== TAGS[language]) tellGradio(() => {});
  }, 100);
})();
