"""The page's own HTML; its sentences are named by their keys in `words`, which fills them in."""

TITLE = "audiochat"

HEADER = """
<header>
  <div class="mark" aria-hidden="true">
    <svg width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor"
      stroke-width="2.2" stroke-linecap="round">
      <path d="M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4"/>
    </svg>
  </div>
  <div><h1>audiochat</h1><p data-words="header.line"></p></div>
</header>
"""

STARTING = """
<div class="state loading" role="status"><span class="dot"></span><span>Starting …</span></div>
"""

PLACEHOLDER = '<div id="welcome">{welcome}</div>'

VOICE_BAR = """
<div id="voice-bar">
  <button type="button" id="mute" aria-pressed="false" data-words-label="voice.mute">🔊</button>
  <input type="range" id="volume" min="0" max="1" step="0.05" value="1"
    data-words-label="voice.volume">
  <button type="button" id="quiet" data-words-label="voice.quiet">■</button>
</div>
"""

CAPTIONS = '<p id="captions" aria-hidden="true"></p>'

KEYS = """
<p id="keys"><kbd>R</kbd> <span data-words="keys.record"></span> ·
<span data-words="keys.hold"></span>
<select id="hold-key" data-words-label="keys.key">
  <option>V</option><option>B</option><option>T</option><option>X</option>
  <option value="none" data-words="keys.none"></option>
</select> <span data-words="keys.talk"></span> · <kbd>Esc</kbd> <span data-words="keys.stop"></span>
<label><input type="checkbox" id="keys-on" checked> <span data-words="keys.on"></span></label></p>
<p id="language-line"><span aria-hidden="true">🌐</span>
<select id="language" data-words-label="language.label">{languages}</select></p>
"""

MICROPHONE_TROUBLE = '<div id="mic-trouble" role="alert" data-max-s="{max_s}" hidden></div>'

HANDS_FREE = """
<div id="talk">
  <div id="talk-orb" aria-hidden="true"></div>
  <div id="talk-row">
    <p id="talk-words" role="status" aria-live="polite"></p>
    <button type="button" id="talk-switch" aria-pressed="false" data-words="talk.begin"></button>
  </div>
  <details>
    <summary data-words="talk.how"></summary>
    <label><span data-words="talk.silence"></span>
      <input type="range" id="end-silence" min="0.4" max="2.5" step="0.1" value="0.8">
      <span id="end-silence-shown">0.8 s</span></label>
    <label><input type="checkbox" id="barge-in"> <span data-words="talk.barge_in"></span></label>
  </details>
</div>
"""

MICROPHONE_TEST = """
<div id="mic-test">
  <p data-words="mic.test"></p>
  <button type="button" id="mic-test-start" class="lg secondary"
    data-words="mic.test_start"></button>
  <div id="mic-test-meter" role="meter" data-words-label="mic.test_level" aria-valuemin="0"
    aria-valuemax="100" aria-valuenow="0"><div></div></div>
  <p id="mic-test-result" role="status" aria-live="polite"></p>
  <audio id="mic-test-sound" controls hidden data-words-label="mic.test_sound"></audio>
</div>
"""

EXAMPLES = '<span data-words="examples.label"></span>'

SETTINGS_ASIDE = '<p class="aside" data-words="settings.kept"></p>'

ABOUT = """
<ul>
  <li data-words-html="about.english"></li>
  <li data-words-html="about.long"></li>
  <li data-words-html="about.model"></li>
  <li data-words-html="about.kept"></li>
</ul>
"""
