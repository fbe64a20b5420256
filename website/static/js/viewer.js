// Frames of an instance: slider, keys, wheel, window and level (also by dragging), cine. The server renders the pictures.
(() => {
  const viewer = document.querySelector('[data-viewer]');
  if (!viewer) return;
  const img = viewer.querySelector('img');
  const form = viewer.querySelector('form');
  const slider = form.elements.frame;
  const { center, width } = form.elements;
  const shown = viewer.querySelector('[data-frame-shown]');
  const play = viewer.querySelector('[data-play]');
  const frames = Number(viewer.dataset.frames);
  const kept = new Map(); // pictures already fetched, so that cine does not ask again
  let playing = 0;

  const address = (frame) => {
    const url = new URL(viewer.dataset.frame.replace('/0.', `/${frame}.`), location.href);
    if (center && center.value && width.value) {
      url.searchParams.set('center', center.value);
      url.searchParams.set('width', width.value);
    }
    return url.href;
  };
  const fetched = (frame) => {
    const url = address(frame);
    if (!kept.has(url)) {
      if (kept.size > 400) kept.clear();
      const picture = new Image();
      picture.src = url;
      kept.set(url, picture);
    }
    return kept.get(url);
  };
  const show = (frame) => {
    const picture = fetched(frame);
    slider.value = frame;
    slider.setAttribute('aria-valuetext', `frame ${frame} of ${frames}`);
    shown.textContent = `${frame} / ${frames}`;
    img.src = picture.src;
    img.alt = `${viewer.dataset.name}, frame ${frame} of ${frames}`;
    if (frame < frames) fetched(frame + 1);
  };
  const current = () => Number(slider.value);
  const step = (by) => show(Math.min(frames, Math.max(1, current() + by)));
  slider.addEventListener('input', () => show(current()));
  form.addEventListener('submit', (event) => { event.preventDefault(); show(current()); });
  viewer.querySelector('.stage').addEventListener('wheel', (event) => {
    if (frames < 2) return;
    event.preventDefault(); step(Math.sign(event.deltaY));
  }, { passive: false });
  viewer.addEventListener('keydown', (event) => {
    if (event.key === ' ' && play && event.target !== play && event.target.tagName !== 'SELECT') { event.preventDefault(); play.click(); }
  });

  if (play) {
    const stop = () => { clearTimeout(playing); playing = 0; play.textContent = 'Play'; play.setAttribute('aria-pressed', 'false'); };
    const tick = () => {
      const next = current() % frames + 1;
      const picture = fetched(next);
      // Waits for the picture instead of skipping it: slow networks play slower, but every frame is seen.
      if (picture.complete) show(next);
      playing = setTimeout(tick, 1000 / Number(form.elements.rate.value));
    };
    play.addEventListener('click', () => {
      if (playing) { stop(); return; }
      play.textContent = 'Stop'; play.setAttribute('aria-pressed', 'true'); tick();
    });
    document.addEventListener('visibilitychange', () => { if (document.hidden && playing) stop(); });
  }

  if (!center) return;
  const preset = form.elements.preset;
  const apply = () => show(current());
  [center, width].forEach((field) => field.addEventListener('change', () => { preset.value = ''; apply(); }));
  preset.addEventListener('change', () => {
    [center.value, width.value] = preset.value ? preset.value.split('/') : ['', ''];
    apply();
  });
  // Dragging: right widens the window, down raises its centre, as on most workstations.
  const stage = viewer.querySelector('.stage');
  let from = null;
  let waiting = 0;
  stage.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    from = { x: event.clientX, y: event.clientY, center: Number(center.value || viewer.dataset.center), width: Number(width.value || viewer.dataset.width) };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener('pointermove', (event) => {
    if (!from || !from.width) return;
    const scale = from.width / 300;
    width.value = Math.max(1, Math.round(from.width + (event.clientX - from.x) * scale));
    center.value = Math.round(from.center + (event.clientY - from.y) * scale);
    preset.value = '';
    clearTimeout(waiting);
    waiting = setTimeout(apply, 60);
  });
  ['pointerup', 'pointercancel'].forEach((name) => stage.addEventListener(name, () => { from = null; }));
  img.draggable = false;
})();
