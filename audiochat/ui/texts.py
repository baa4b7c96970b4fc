"""The sentences of the page that do not change while it runs."""

TITLE = "audiochat"

HEADER = """
<header>
  <div class="mark" aria-hidden="true">
    <svg width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor"
      stroke-width="2.2" stroke-linecap="round">
      <path d="M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4"/>
    </svg>
  </div>
  <div><h1>audiochat</h1><p>Ask a question aloud. Read the answer, and hear it.</p></div>
</header>
"""

STARTING = """
<div class="state loading" role="status"><span class="dot"></span><span>Starting …</span></div>
"""

PLACEHOLDER = """
<div id="welcome">
  <strong>Say something</strong>
  <p>Press <b>Record</b>, ask a short question in English, press <b>Stop</b>. The answer follows by
  itself. No microphone? Type, upload a recording, or try an example below.</p>
</div>
"""

VOICE_BAR = """
<div id="voice-bar">
  <button type="button" id="mute" aria-pressed="false" aria-label="Mute the voice">🔊</button>
  <input type="range" id="volume" min="0" max="1" step="0.05" value="1"
    aria-label="Volume of the voice">
  <p id="captions" aria-hidden="true"></p>
</div>
"""

KEYS = """
<p id="keys"><kbd>R</kbd> record and stop recording · hold
<select id="hold-key" aria-label="Key to hold while talking">
  <option>V</option><option>B</option><option>T</option><option>X</option><option>none</option>
</select> and talk, let go to send · <kbd>Esc</kbd> stop the answer
<label><input type="checkbox" id="keys-on" checked> keys on</label></p>
"""

MICROPHONE_TROUBLE = '<div id="mic-trouble" role="alert" hidden></div>'

HANDS_FREE = """
<div id="talk">
  <div id="talk-orb" aria-hidden="true"></div>
  <div id="talk-row">
    <p id="talk-words" role="status" aria-live="polite"></p>
    <button type="button" id="talk-switch" aria-pressed="false">Talk hands-free</button>
  </div>
  <details>
    <summary>How hands-free listens</summary>
    <label>My turn ends after a silence of
      <input type="range" id="end-silence" min="0.4" max="2.5" step="0.1" value="0.8">
      <span id="end-silence-shown">0.8 s</span></label>
    <label><input type="checkbox" id="barge-in"> Speaking up stops the reply
      (use headphones: a loudspeaker may stop itself)</label>
  </details>
</div>
"""

MICROPHONE_TEST = """
<div id="mic-test">
  <p>Speak for three seconds, watch the level, then hear yourself. The sound stays in this
  browser.</p>
  <button type="button" id="mic-test-start" class="lg secondary">Start the test</button>
  <div id="mic-test-meter" role="meter" aria-label="Microphone level" aria-valuemin="0"
    aria-valuemax="100" aria-valuenow="0"><div></div></div>
  <p id="mic-test-result" role="status" aria-live="polite"></p>
  <audio id="mic-test-sound" controls hidden aria-label="Your test recording"></audio>
</div>
"""

ABOUT = """
* **English only**, and best in a quiet room: one speaker, one short question at a time.
* **Recordings up to 10 minutes** can be uploaded; choose what is to be done with them below the
  text box. Long ones are heard and answered part by part; **Stop** works between parts.
* The built-in model is **a small demonstration** (135 million parameters): it chats and answers
  easy questions, often wrongly. **Translating and summarising need a bigger model**:
  `python app.py --model FOLDER` takes one that was trained for it.
* **Where recordings are kept:** on the machine that runs this page, nowhere else. The page forgets
  them when you clear the conversation, or an hour after you close it; the sound files behind the
  players are deleted after two hours, and what the model keeps of the last 64 recordings to answer
  faster goes as new ones come. All of it goes when the program stops.
"""
