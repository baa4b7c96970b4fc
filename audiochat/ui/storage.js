// Where a browser blocks site data, reading its storage throws, and parts of Gradio fail by it, so
// that some pages never came up. They are given a storage that lasts as long as the page.
(() => {
  function forThisPage() {
    const values = new Map();
    return {
      getItem: (key) => values.get(String(key)) ?? null,
      setItem: (key, value) => values.set(String(key), String(value)),
      removeItem: (key) => values.delete(String(key)),
      clear: () => values.clear(),
      key: (index) => [...values.keys()][index] ?? null,
      get length() {
        return values.size;
      },
    };
  }

  for (const name of ["localStorage", "sessionStorage"]) {
    try {
      window[name].getItem("");
    } catch {
      Object.defineProperty(window, name, { value: forThisPage(), configurable: true });
    }
  }
})();
