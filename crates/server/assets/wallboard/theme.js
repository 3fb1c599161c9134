// A classic script on purpose: modules wait for the document, and a dark wall must not flash white until then.
(() => {
  const KEPT = 'ringfence.theme';
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: light)');
  const shown = () => root.dataset.theme ?? (system.matches ? 'light' : 'dark');
  const kept = localStorage.getItem(KEPT);
  if (kept === 'light' || kept === 'dark') root.dataset.theme = kept;

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const say = () => {
      const other = shown() === 'dark' ? 'light' : 'dark';
      button.setAttribute('aria-label', `Use the ${other} theme`);
      button.title = `Use the ${other} theme`;
    };
    button.addEventListener('click', () => {
      root.dataset.theme = shown() === 'dark' ? 'light' : 'dark';
      localStorage.setItem(KEPT, root.dataset.theme);
      say();
    });
    system.addEventListener('change', say);
    say();
  });
})();
