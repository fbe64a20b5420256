// What the portal's pages may need: a key that leads to the search box, parts that arrive later, a filter over the element
// tree. Every page also works without it.
(() => {
  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
      const box = document.querySelector('[data-search-box]');
      if (box) { event.preventDefault(); box.focus(); }
    }
  });

  // Parts of a page that cost more than the rest arrive after it.
  document.querySelectorAll('[data-load]').forEach(async (place) => {
    const answer = await fetch(place.dataset.load, { headers: { Accept: 'text/html' } }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) { place.removeAttribute('aria-busy'); return; } // its link stays
    const part = new DOMParser().parseFromString(await answer.text(), 'text/html').body;
    place.replaceWith(...part.children);
  });

  const tree = document.querySelector('.elements');
  const filter = document.querySelector('[data-filter-elements]');
  if (!tree || !filter) return;
  const result = document.querySelector('[data-filter-result]');
  const leaves = [...tree.querySelectorAll('li')];
  const named = leaves.filter((li) => li.dataset.text).length;
  const text = new Map(leaves.map((li) => [li, (li.dataset.text || '').toLowerCase()]));
  filter.addEventListener('input', () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    // Backwards, so that a sequence is judged after the elements inside it.
    [...leaves].reverse().forEach((li) => {
      const inside = !!li.querySelector('li:not([hidden])');
      const own = !wanted || text.get(li).includes(wanted);
      li.hidden = !(own || inside);
      if (own) shown += 1;
      const details = li.querySelector(':scope > details');
      if (details && wanted) details.open = inside;
    });
    result.textContent = wanted ? `${shown} of ${named} elements` : '';
  });
})();
