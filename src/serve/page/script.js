// Brings the page up to date: fetches it again when an event arrives, at most once a second, and changes what differs.
// What a person has opened, focused, selected or scrolled to stays.
'use strict';

(() => {
  const PAUSE_MS = 1000; // between two fetches
  const SETTLE_MS = 300; // after an event: what the server answers can be 250 ms old
  const IDLE_MS = 10000; // the longest time without one: ages grow
  const RETRY_MS = 2000; // after a failure
  const LIMIT_MS = 5000; // for an answer

  const touched = new Set(); // the rows that a person has opened or closed
  const byId = (id) => document.getElementById(id);
  let timer = 0;
  let fetching = false;
  let wanted = false;
  let last = Date.now();
  let problems = problemKey(document);

  function later(delay) {
    clearTimeout(timer);
    timer = setTimeout(refresh, delay);
  }

  /** Something has changed. */
  function changed() {
    if (fetching) wanted = true;
    else later(Math.max(SETTLE_MS, last + PAUSE_MS - Date.now()));
  }

  async function refresh() {
    if (fetching) return;
    if (document.hidden) return later(IDLE_MS);
    clearTimeout(timer);
    fetching = true;
    wanted = false;
    last = Date.now();
    try {
      const answer = await fetch('/', { signal: AbortSignal.timeout(LIMIT_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      show(new DOMParser().parseFromString(await answer.text(), 'text/html'));
      back();
      later(wanted ? PAUSE_MS : IDLE_MS);
    } catch {
      away();
      later(RETRY_MS);
    } finally {
      fetching = false;
    }
  }

  function show(fresh) {
    document.title = fresh.title;
    for (const part of ['#state', '.facts', 'nav > ul', 'main']) {
      morph(document.querySelector(part), fresh.querySelector(part));
    }
    filter();
    const now = problemKey(document);
    if (now !== problems) byId('news').textContent = byId('state').textContent;
    problems = now;
  }

  /** Changes an element to be like another one. Elements stay where they can, matched by id or by position. */
  function morph(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === 'open' && touched.has(old.id))) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (!(name === 'open' && touched.has(old.id))) old.setAttribute(name, value);
    }
    const named = new Map([...old.children].filter((it) => it.id).map((it) => [it.id, it]));
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = child.id ? named.get(child.id) : at && !at.id && at.nodeName === child.nodeName ? at : null;
      if (!same || same.nodeName !== child.nodeName) {
        old.insertBefore(child, at);
        continue;
      }
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      morph(same, child);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  /** Which problems there are, whatever their ages. */
  function problemKey(page) {
    return [...page.querySelectorAll('#problems > ol > li')].map((it) => it.dataset.about).join('\n');
  }

  /** The agent does not answer: what is shown is old. */
  function away() {
    if (byId('away')) return;
    const since = byId('now').textContent;
    const note = document.createElement('p');
    note.id = 'away';
    note.setAttribute('role', 'alert');
    note.textContent = `No answer from the agent since ${since}. Everything below is from then.`;
    document.querySelector('header').after(note);
    document.body.classList.add('away');
    document.title = `No answer – ${document.title}`;
  }

  function back() {
    byId('away')?.remove();
    document.body.classList.remove('away');
  }

  /** Follows the events. Their content is on the page, so a piece of the stream only tells that there is something new. */
  async function follow() {
    let pause = RETRY_MS;
    try {
      const answer = await fetch('/events');
      // Too many others follow them: the page is fetched from time to time all the same.
      if (!answer.ok) pause = IDLE_MS;
      const reader = answer.body.getReader();
      while (!(await reader.read()).done) changed();
    } catch {
      // The next fetch of the page tells whether the agent is away.
    }
    changed();
    setTimeout(follow, pause);
  }

  /** Shows only rows that contain the text. */
  const input = document.createElement('input');
  function filter() {
    const text = input.value.trim().toLowerCase();
    for (const row of document.querySelectorAll('.item')) {
      row.hidden = text !== '' && !row.textContent.toLowerCase().includes(text);
    }
    for (const group of document.querySelectorAll('.group')) {
      if (text !== '') group.open = group.querySelector('.item:not([hidden])') !== null;
      else if (!touched.has(group.id)) group.open = false;
    }
  }

  function addFilter() {
    const label = document.createElement('label');
    input.type = 'search';
    input.addEventListener('input', filter);
    label.append('Filter ', input);
    document.querySelector('nav').append(label);
  }

  /** Opens the row that a link leads to. */
  function reveal() {
    const target = byId(location.hash.slice(1));
    for (let row = target?.closest('details'); row; row = row.parentElement.closest('details')) {
      touched.add(row.id);
      row.open = true;
    }
    target?.scrollIntoView();
  }

  document.addEventListener('click', (event) => {
    const summary = event.target.closest('summary');
    if (summary) touched.add(summary.parentElement.id);
    // A second click on a link changes nothing in the address.
    if (event.target.closest('a[href^="#"]')) setTimeout(reveal);
  });
  window.addEventListener('hashchange', reveal);
  document.addEventListener('visibilitychange', changed);
  addFilter();
  reveal();
  later(IDLE_MS);
  follow();
})();
