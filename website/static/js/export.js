// The page of a running export: asks for its JSON now and then and fills in what changed. When its state changes the
// page is loaded again, since other buttons and sections belong to it.
(() => {
  const box = document.querySelector('[data-export]');
  if (!box || !box.dataset.export) return;
  const field = (name) => box.querySelector(`[data-field="${name}"]`);
  const live = box.querySelector('[data-live]');
  const number = (value) => value.toLocaleString('en-US');
  const size = (bytes) => {
    const units = ['Bytes', 'kB', 'MB', 'GB', 'TB'];
    let at = 0;
    let value = bytes;
    while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
    return `${at ? value.toFixed(1) : value} ${units[at]}`;
  };
  const duration = (seconds) => {
    if (seconds === null) return '–';
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
    return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  };
  let wait = 1500;
  let told = 0;
  const ask = async () => {
    try {
      const answer = await fetch(box.dataset.export, { headers: { Accept: 'application/json' } });
      if (answer.status === 401 || answer.status === 404) { window.location.reload(); return; }
      if (answer.ok) {
        const job = await answer.json();
        if (job.state !== box.dataset.state || (job.asked || '') !== box.dataset.asked) { window.location.reload(); return; }
        field('share').value = job.share;
        for (const name of ['sent', 'instances', 'failed', 'objects']) field(name).textContent = number(job[name]);
        field('bytes').textContent = size(job.bytes);
        field('rate').textContent = job.instances_per_second ? job.instances_per_second.toFixed(1) : '–';
        field('left').textContent = duration(job.seconds_left);
        const tenth = Math.floor(job.share * 10);
        if (tenth > told) { told = tenth; live.textContent = `${tenth * 10} per cent sent`; }
      }
    } catch { /* the network is away: ask again */ }
    wait = Math.min(wait * 1.2, 8000);
    setTimeout(ask, wait);
  };
  setTimeout(ask, wait);
})();
