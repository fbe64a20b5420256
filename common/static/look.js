// What the pages of the portal and of the console may need; each page also works without it.

// Light or dark: what the user chose here, else what the system says. Runs before the page is drawn.
(() => {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const chosen = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const apply = () => { document.documentElement.dataset.bsTheme = chosen() || (system.matches ? 'dark' : 'light'); };
  apply();
  system.addEventListener('change', apply);
  document.addEventListener('click', (event) => {
    if (!event.target.closest('[data-theme-toggle]')) return;
    const next = document.documentElement.dataset.bsTheme === 'dark' ? 'light' : 'dark';
    try { localStorage.setItem('theme', next); } catch { /* private mode: for this page only */ }
    document.documentElement.dataset.bsTheme = next;
  });
})();

(() => {
  const menus = () => document.querySelectorAll('details.menu[open]');
  document.addEventListener('click', (event) => menus().forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') menus().forEach((menu) => { menu.open = false; menu.querySelector('summary').focus(); });
  });

  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-submit-on-change]')) event.target.form.requestSubmit();
  });

  // A picture that cannot be made (no image in the instance, an unknown codec, a server away) gives way to a drawing,
  // or to nothing, and to the reason where the page tells one.
  document.addEventListener('error', (event) => {
    const img = event.target;
    if (img.tagName !== 'IMG' || img.dataset.fallback === undefined) return;
    if (img.dataset.fallback) img.src = img.dataset.fallback; else img.hidden = true;
    delete img.dataset.fallback;
    const reason = img.closest('section, figure')?.querySelector('[data-fallback-reason]');
    if (reason) reason.hidden = false;
  }, true);
})();
