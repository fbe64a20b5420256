// Autocompletion of the query box: a text box with a list (WAI-ARIA) over what /search/suggest answers.
(() => {
  const box = document.querySelector('[data-query-box]');
  if (!box) return;
  const list = document.getElementById(box.getAttribute('aria-controls'));
  const status = document.getElementById('suggestion-status');
  let found = { from: 0, to: 0, items: [] };
  let selected = -1;
  let timer = 0;
  let asked = 0;

  const close = () => {
    list.hidden = true; selected = -1;
    box.removeAttribute('aria-activedescendant');
  };
  const select = (index) => {
    selected = index;
    [...list.children].forEach((li, i) => li.setAttribute('aria-selected', String(i === index)));
    if (index < 0) { box.removeAttribute('aria-activedescendant'); return; }
    box.setAttribute('aria-activedescendant', list.children[index].id);
    list.children[index].scrollIntoView({ block: 'nearest' });
  };
  const accept = (index) => {
    const word = found.items[index].insert;
    box.setRangeText(`${word} `, found.from, found.to, 'end');
    // A blank that was already there is not doubled.
    if (box.value[box.selectionStart] === ' ') box.setRangeText('', box.selectionStart, box.selectionStart + 1, 'end');
    close(); box.focus(); ask();
  };
  const draw = () => {
    list.replaceChildren(...found.items.map((item, index) => {
      const li = document.createElement('li');
      const code = document.createElement('code');
      const note = document.createElement('span');
      li.id = `suggestion-${index}`; li.setAttribute('role', 'option'); li.setAttribute('aria-selected', 'false');
      code.textContent = item.text; note.textContent = item.note;
      li.append(code, note);
      li.addEventListener('mousedown', (event) => { event.preventDefault(); accept(index); });
      return li;
    }));
    list.hidden = !found.items.length;
    status.textContent = found.items.length ? `${found.items.length} suggestions, use the arrow keys` : '';
    selected = -1;
  };
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const number = ++asked;
      const url = `${box.dataset.suggest}?${new URLSearchParams({ q: box.value, at: String(box.selectionStart) })}`;
      try {
        const answer = await fetch(url, { headers: { Accept: 'application/json' } });
        if (!answer.ok || number !== asked) return;
        found = await answer.json();
        if (document.activeElement === box) draw();
      } catch { close(); }
    }, 150);
  };
  box.addEventListener('input', ask);
  box.addEventListener('blur', close);
  box.addEventListener('keydown', (event) => {
    const open = !list.hidden;
    if (event.key === 'ArrowDown' && open) { event.preventDefault(); select((selected + 1) % found.items.length); }
    else if (event.key === 'ArrowDown' && event.altKey) { event.preventDefault(); ask(); }
    else if (event.key === 'ArrowUp' && open) { event.preventDefault(); select((selected + found.items.length - 1 + (selected < 0)) % found.items.length); }
    else if (event.key === 'Escape') {
      // What was asked for and has not come must not open the list again, over the button.
      clearTimeout(timer); asked += 1;
      if (open) { event.preventDefault(); close(); }
    }
    else if ((event.key === 'Enter' || event.key === 'Tab') && open && selected >= 0) { event.preventDefault(); accept(selected); }
    else if (event.key === 'Enter' && !event.shiftKey) { event.preventDefault(); close(); box.form.requestSubmit(); }
  });
})();
