// How far an upload is. Gradio's button does not tell, and `fetch` cannot: the upload goes through
// XMLHttpRequest, which can.
(() => {
  const SHOWN_AFTER_MS = 300;
  const AGAIN_MS = 1000;
  const MOST_TRIES = 5;
  const plain = window.fetch.bind(window);
  const { words } = window.audiochat;

  function bar() {
    let line = document.getElementById("uploading");
    if (!line) {
      line = document.createElement("p");
      line.id = "uploading";
      line.setAttribute("role", "status");
      line.innerHTML =
        '<span data-words="upload.uploading"></span> ' +
        '<progress max="1" data-words-label="upload.bar"></progress>';
      words.draw(line);
      document.getElementById("typing")?.after(line);
    }
    return line;
  }

  // A lost connection is waited for; one that is there and fails again and again is not.
  async function upload(address, options) {
    for (let tries = 0; ; ) {
      const request = await once(address, options);
      const cancelled = options.signal?.aborted;
      if (request.status || cancelled || (navigator.onLine && ++tries === MOST_TRIES)) {
        document.getElementById("uploading")?.remove();
        if (!request.status) throw new TypeError("The upload was cut off.");
        return new Response(request.responseText, { status: request.status });
      }
      words.put(bar().querySelector("span"), "upload.again");
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  function once(address, options) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const began = Date.now();
      request.open("POST", address);
      new Headers(options.headers).forEach((value, name) => request.setRequestHeader(name, value));
      options.signal?.addEventListener("abort", () => request.abort());
      request.upload.onprogress = (event) => {
        if (!event.lengthComputable || Date.now() - began < SHOWN_AFTER_MS) return;
        const line = bar();
        const share = event.loaded / event.total;
        line.querySelector("progress").value = share;
        words.put(line.querySelector("span"), "upload.share", { percent: Math.round(100 * share) });
      };
      request.onloadend = () => resolve(request);
      request.send(options.body);
    });
  }

  window.fetch = (address, options) => {
    const sendsFiles = options?.method === "POST" && options.body instanceof FormData;
    const isUpload = sendsFiles && /\/upload(\?|$)/.test(String(address));
    return isUpload ? upload(address, options) : plain(address, options);
  };
})();
