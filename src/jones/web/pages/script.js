// Editing and publishing. Everything can be read without this script. An edit is a draft in this browser until it is
// published; what is in force is shown apart from it. All text from the server is added as text, never as markup.
'use strict';

(() => {
  const SETTLE_MS = 400; // after the last key, before the server checks a draft
  const LIMIT_MS = 30000; // for an answer
  const MAX_CELLS = 4e6; // of the table of a comparison; larger texts are shown as a whole

  const page = JSON.parse(document.body.dataset.page ?? '{}');
  const byId = (id) => document.getElementById(id);
  const path = (name) => name.split('/').map(encodeURIComponent).join('/');
  const hosts = (count) => `${count} host${count === 1 ? '' : 's'}`;
  const label = (env) => (env ? `${page.service}/${env}` : page.service);

  // What one page keeps for the next. A browser may refuse to keep anything.

  function load(storage, key) {
    try {
      return JSON.parse(window[storage].getItem(key));
    } catch {
      return null;
    }
  }

  function keep(storage, key, value) {
    try {
      if (value) window[storage].setItem(key, JSON.stringify(value));
      else window[storage].removeItem(key);
      return true;
    } catch {
      return false;
    }
  }

  const changeKey = JSON.stringify(['change', page.service]);
  const noteKey = JSON.stringify(['note', page.service]);
  const draftKey = (env) => JSON.stringify(['draft', page.service, env]);

  /** Characters that do not print, or change the direction of the text around them, as escapes. */
  function plain(text) {
    const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
    return String(text).replace(hidden, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
  }

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children.map((it) => (typeof it === 'string' ? plain(it) : it)));
    return made;
  }

  /** A difference, with its lines marked. */
  function diff(text) {
    const line = (it) => (/^[+-]/.test(it) ? element('span', { class: it[0] === '+' ? 'add' : 'remove' }, it) : plain(it));
    return element('pre', { class: 'diff' }, ...text.trimEnd().split('\n').flatMap((it) => [line(it), '\n']));
  }

  /** The lines of two texts: those that only the first has after -, those that only the second has after +. */
  function compare(before, after) {
    const [a, b] = [before.split('\n'), after.split('\n')];
    let [start, end] = [0, 0];
    while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
    while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
    const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
    if (x.length * y.length > MAX_CELLS) return [...x.map((it) => `-${it}`), ...y.map((it) => `+${it}`)].join('\n');
    // The length of the longest common subsequence from each pair of lines on.
    const common = Array.from({ length: x.length + 1 }, () => new Uint32Array(y.length + 1));
    for (let i = x.length - 1; i >= 0; i -= 1) {
      for (let j = y.length - 1; j >= 0; j -= 1) {
        common[i][j] = x[i] === y[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
      }
    }
    const lines = [];
    for (let i = 0, j = 0; i < x.length || j < y.length; ) {
      const isSame = i < x.length && j < y.length && x[i] === y[j];
      const isRemoved = !isSame && (j === y.length || (i < x.length && common[i + 1][j] >= common[i][j + 1]));
      lines.push(isSame ? ` ${x[i]}` : isRemoved ? `-${x[i]}` : `+${y[j]}`);
      if (isSame || isRemoved) i += 1;
      if (!isRemoved) j += 1;
    }
    return lines.join('\n');
  }

  /** The entries of an object in JSON by key, with their values as text, so that numbers keep their digits. */
  function entries(text) {
    const found = new Map();
    let [depth, key, start] = [0, null, 0];
    for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g)) {
      if (depth === 1 && token[0] === '"' && key === null) key = token;
      else if (depth === 1 && token === ':') start = index + 1;
      else if (depth === 1 && (token === ',' || token === '}') && key !== null) {
        found.set(JSON.parse(key), text.slice(start, index).trim());
        key = null;
      }
      if (token === '{' || token === '[') depth += 1;
      if (token === '}' || token === ']') depth -= 1;
    }
    return found;
  }

  /** A value without the spaces that do not count. */
  const compact = (value) => value?.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g)?.join('');

  /** The keys that differ between two objects. */
  function touched(before, after) {
    const keys = new Set([...before.keys(), ...after.keys()]);
    return new Set([...keys].filter((key) => compact(before.get(key)) !== compact(after.get(key))));
  }

  /** Whether a text is an object in JSON. */
  function isObject(text) {
    try {
      const value = JSON.parse(text);
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    } catch {
      return false;
    }
  }

  function touchedByBoth(base, mine, theirs) {
    if (![base, mine, theirs].every(isObject)) return [];
    const [b, m, t] = [base, mine, theirs].map(entries);
    const mineTouched = touched(b, m);
    return [...touched(b, t)].filter((key) => mineTouched.has(key) && compact(m.get(key)) !== compact(t.get(key)));
  }

  /** My changes of the keys on top of theirs. All three are objects. */
  function merge(base, mine, theirs) {
    const [b, m, result] = [base, mine, theirs].map(entries);
    for (const key of touched(b, m)) {
      if (m.has(key)) result.set(key, m.get(key));
      else result.delete(key);
    }
    const lines = [...result].map(([key, value]) => `  ${JSON.stringify(key)}: ${value}`);
    return lines.length ? `{\n${lines.join(',\n')}\n}` : '{}';
  }

  /** Calls the API. `problem` says what is wrong if it is not done. */
  async function call(method, url, body, version) {
    const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
    if (version !== undefined) headers['If-Match'] = `"${version}"`;
    const request = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(LIMIT_MS) };
    try {
      const answer = await fetch(`${location.origin}/api/v1/services/${path(page.service)}${url}`, request);
      const data = await answer.json().catch(() => ({}));
      const problem = answer.ok ? null : data.detail || data.title || `${answer.status} ${answer.statusText}`;
      return { status: answer.status, data, problem };
    } catch (error) {
      const what = error.name === 'TimeoutError' ? `no answer in ${LIMIT_MS / 1000} s` : 'the server does not answer';
      const unknown = version === undefined ? '' : ' Whether it was published is not known: see the history.';
      return { status: 0, data: {}, problem: `${what}.${unknown}` };
    }
  }

  // The kinds of changes: what each is called, the method and the path of its request, the fields of its body, and what
  // `If-Match` has: the version of the configuration, or the tag of the host or of the service.

  const hostPath = (it) => `/hosts/${encodeURIComponent(it.hosts[0])}`;
  const envPath = (it) => `/envs/${path(it.env)}`;
  const canaryPath = (end) => (it) => `/canaries/${encodeURIComponent(it.id)}/${end}`;
  const kinds = {
    set: { title: (it) => `Change ${label(it.env)}`, method: 'PUT', url: envPath, fields: ['text'], tag: 'version' },
    create: { title: (it) => `Create ${label(it.env)}`, method: 'POST', url: () => '/envs', fields: ['env'] },
    delete: { title: (it) => `Delete ${label(it.env)}`, method: 'DELETE', url: envPath, fields: [], tag: 'version' },
    associate: {
      title: (it) => `Let ${it.hosts[0]} read ${label(it.env)}`,
      method: 'PUT', url: hostPath, fields: ['env'], tag: 'host',
    },
    dissociate: { title: (it) => `Remove ${it.hosts[0]}`, method: 'DELETE', url: hostPath, fields: [], tag: 'host' },
    rollback: {
      title: (it) => `Roll back ${it.env === undefined ? page.service : label(it.env)} to r${it.revision}`,
      method: 'POST', url: () => '/rollback', fields: ['revision', 'env'], tag: 'service',
    },
    pin: {
      title: (it) => `Pin ${it.hosts.join(', ')} to r${it.revision}`,
      method: 'POST', url: () => '/pins', fields: ['hosts', 'revision'], tag: 'service',
    },
    unpin: {
      title: (it) => `Unpin ${it.hosts.join(', ')}`,
      method: 'DELETE', url: () => '/pins', fields: ['hosts'], tag: 'service',
    },
    canary: {
      title: (it) => `Try a change of ${label(it.env)} on ${it.percent ? `${it.percent} % of its hosts` : it.hosts.join(', ')}`,
      method: 'POST', url: () => '/canaries', fields: ['env', 'text', 'hosts', 'percent'], tag: 'service',
    },
    promote: {
      title: (it) => `Publish the canary ${it.id} for every host`,
      method: 'POST', url: canaryPath('promote'), fields: [], tag: 'service',
    },
    abort: { title: (it) => `Abort the canary ${it.id}`, method: 'POST', url: canaryPath('abort'), fields: [], tag: 'service' },
  };

  /** Goes to the review of a change. */
  function review(change) {
    keep('sessionStorage', changeKey, { ...change, back: location.pathname });
    location.assign(page.review);
  }

  /** What a form says, as fields of a change. */
  function fields(form) {
    const found = {};
    for (const [name, text] of new FormData(form)) {
      const value = text.trim();
      if (name === 'host') found.hosts = [value];
      else if (name === 'hosts') found.hosts = value.split(/[\s,]+/).filter(Boolean);
      else if (name === 'revision') found.revision = Number(value.replace(/^r/, ''));
      else if (name === 'percent') found.percent = Number(value);
      else if (name === 'child') found.env = page.env ? `${page.env}/${value}` : value;
      else found[name] = value;
    }
    return found;
  }

  /** The editor of the own configuration of an environment. */
  function startEditor(text) {
    const inForce = page.text;
    text.parentElement.hidden = false;
    let draft = load('localStorage', draftKey(page.env));
    if (draft?.text === inForce) draft = null;
    // Somebody may have written the same again.
    if (draft?.base === inForce) draft.version = page.version;
    text.value = draft?.text ?? inForce;
    let timer = 0;
    let latest = 0;

    function showNumbers(wrong) {
      const count = text.value.split('\n').length;
      const numbers = Array.from({ length: count }, (_, n) => (n + 1 === wrong ? `✖ ${n + 1}` : `${n + 1}`));
      byId('numbers').textContent = numbers.join('\n');
      text.rows = Math.min(Math.max(count + 1, 8), 40);
      byId('numbers').scrollTop = text.scrollTop;
    }

    function showState() {
      const isConflict = draft && draft.version !== page.version;
      byId('conflict').hidden = !isConflict;
      byId('edit-actions').hidden = !draft;
      byId('edited').classList.toggle('warning', Boolean(draft));
      byId('edit-state').textContent = draft
        ? `Not published. Begun from version ${draft.version}, kept in this browser since ${draft.since}.`
        : 'The same as in force. What is written here stays in this browser until it is published.';
      if (!isConflict) return;
      byId('conflict-versions').textContent =
        `Your edit began from version ${draft.version}; version ${page.version} is in force now. Your text is kept below.`;
      byId('conflict-diff').replaceChildren(diff(compare(draft.base, inForce)));
      const both = touchedByBoth(draft.base, draft.text, inForce);
      byId('conflict-keys').textContent = cannotMerge() ?? (both.length
        ? plain(`Both changed ${both.join(', ')}: your value stays in your text.`)
        : 'Their other keys are taken into your text.');
    }

    /** Why the edit cannot go on from what is in force. */
    function cannotMerge() {
      if (!isObject(draft.text)) return 'Your text is not a JSON object yet. Correct it, then go on.';
      if (isObject(draft.base) && isObject(inForce)) return null;
      return 'One of the two versions is not a JSON object: copy your text, then discard the edit.';
    }

    function showProblem(data, problem) {
      byId('edit-problem').hidden = !problem;
      byId('edit-problem').textContent = problem ? plain(problem) : '';
      text.setAttribute('aria-invalid', problem ? 'true' : 'false');
      showNumbers(problem ? data.line : 0);
    }

    /** Asks the server about the draft, which knows what is valid and what would change. */
    async function check() {
      const asked = (latest += 1);
      const { status, data, problem } = await call('POST', '/review', { op: 'set', env: page.env, text: text.value });
      if (asked !== latest) return;
      const isWrong = problem && status !== 409;
      showProblem(data, isWrong ? problem : '');
      byId('edit-reach').textContent = isWrong || !draft ? '' : summary(data);
    }

    function changed() {
      const isSame = text.value === inForce;
      const since = draft?.since ?? new Date().toISOString().slice(0, 16).replace('T', ' ').concat(' UTC');
      const base = { version: draft?.version ?? page.version, base: draft?.base ?? inForce };
      draft = isSame ? null : { text: text.value, since, ...base };
      if (!keep('localStorage', draftKey(page.env), draft)) {
        byId('edit-reach').textContent = 'This browser keeps no drafts: leaving the page loses the edit.';
      }
      showState();
      showNumbers(0);
      clearTimeout(timer);
      timer = setTimeout(check, SETTLE_MS);
    }

    text.addEventListener('input', changed);
    text.addEventListener('scroll', () => { byId('numbers').scrollTop = text.scrollTop; });
    text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && draft) byId('edit-review').click();
    });
    byId('edit-review').addEventListener('click', () => {
      review({ op: 'set', env: page.env, text: text.value, base_version: draft.version });
    });
    byId('edit-discard').addEventListener('click', () => {
      text.value = inForce;
      draft = null;
      changed();
    });
    byId('conflict-go-on').addEventListener('click', () => {
      if (cannotMerge()) return showProblem({}, cannotMerge());
      text.value = merge(draft.base, draft.text, inForce);
      draft = { ...draft, version: page.version, base: inForce };
      changed();
      text.focus();
    });
    showState();
    showNumbers(0);
    if (draft) check();
  }

  // The review of a change.

  function names(list) {
    return element('ul', { class: 'names' }, ...list.map((it) => element('li', {}, element('bdi', {}, it))));
  }

  /** How much a change reaches, in one sentence. */
  function summary(plan) {
    const views = plan.views.length;
    if (plan.is_empty) return 'Nothing would change.';
    if (!views) return `Would change what is read by ${hosts(plan.host_count)}.`;
    return `Would change ${views} view${views === 1 ? '' : 's'}, read by ${hosts(plan.host_count)}.`;
  }

  function showPlan(plan) {
    const parts = [];
    for (const it of plan.confs) parts.push(element('h3', {}, `${label(it.env)}: own configuration, ${it.kind}`), diff(it.diff));
    // Most views change in the same way.
    const groups = new Map();
    for (const it of plan.views) groups.set(it.diff, [...(groups.get(it.diff) ?? []), it]);
    for (const [text, same] of groups) {
      const count = same.reduce((sum, it) => sum + it.hosts.length, 0);
      const title = `${same.map((it) => label(it.env)).join(', ')}: view, read by ${hosts(count)}`;
      parts.push(element('h3', {}, title), diff(text));
    }
    const move = (it) => `${it.host}: ${it.from ?? 'no association'} → ${it.to ?? 'no association'}`;
    if (plan.moves.length) parts.push(element('h3', {}, 'Hosts'), names(plan.moves.map(move)));
    for (const it of plan.notes) parts.push(element('p', { class: 'note' }, it));
    byId('changes').replaceChildren(...parts);
    byId('reach').textContent = summary(plan);
    byId('reached').replaceChildren(names(plan.hosts));
  }

  async function startReview(form) {
    const change = load('sessionStorage', changeKey);
    if (!change) return;
    const { title, method, url, fields: wanted, tag } = kinds[change.op];
    const isEdit = change.op === 'set';
    const button = form.querySelector('button');
    byId('change').textContent = plain(title(change));
    document.title = plain(`Review: ${title(change)}`);
    for (const link of document.querySelectorAll('.back')) link.href = change.back;
    byId('no-change').hidden = true;
    byId('review').hidden = false;

    /** Says what is wrong, and what to do. */
    function refuse({ status, data, problem }) {
      const help = status === 409 && isEdit && data.version !== change.base_version
        ? 'Nothing was written, and your text is kept. Go back to see the other change and to go on from it.'
        : status === 409 ? 'Nothing was written. Reload this page to review the change again.' : status && 'Nothing was written.';
      byId('reach').textContent = '';
      byId('problem').hidden = false;
      byId('problem-text').textContent = plain(problem);
      byId('problem-help').textContent = help || '';
      button.disabled = true;
    }

    const { back, ...edit } = change;
    const answer = await call('POST', '/review', edit);
    if (answer.problem) return refuse(answer);
    const plan = answer.data;
    showPlan(plan);
    if (plan.refusals.length) return refuse({ status: 422, problem: plan.refusals.join('\n') });
    let seen = { version: change.base_version, service: plan.etag }[tag];
    if (tag === 'host') seen = (await call('GET', url(change))).data.etag;
    button.disabled = plan.is_empty;
    byId('canary').hidden = !isEdit || plan.is_empty;

    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      const body = { comment: new FormData(form).get('comment'), reviewed: plan.etag };
      for (const field of wanted) body[field] = change[field];
      const done = await call(method, url(change), body, seen);
      if (done.problem) return refuse(done);
      // The text may have been edited in another window since.
      if (load('localStorage', draftKey(change.env))?.text === change.text) keep('localStorage', draftKey(change.env), null);
      keep('sessionStorage', changeKey, null);
      const { revision } = done.data;
      keep('sessionStorage', noteKey, revision === null ? 'Nothing to change.' : `Published as r${revision}: ${title(change)}.`);
      location.assign(change.op === 'delete' ? page.root : back);
    });
    byId('canary').addEventListener('submit', (event) => {
      event.preventDefault();
      const who = new FormData(event.target).get('who').trim();
      const share = /^(\d+)\s*%$/.exec(who);
      const reached = share ? { percent: Number(share[1]) } : { hosts: who.split(/[\s,]+/) };
      keep('sessionStorage', changeKey, { op: 'canary', env: change.env, text: change.text, ...reached, back: page.frozen });
      location.reload();
    });
  }

  /** Shows only rows that contain a text. */
  function startFilter(place) {
    const input = element('input', { type: 'search' });
    input.addEventListener('input', () => {
      const wanted = input.value.trim().toLowerCase();
      for (const row of document.querySelectorAll('.item')) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    place.append(element('label', {}, 'Filter by anything: environment, author, comment, time ', input));
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-change]');
    if (button) review(JSON.parse(button.dataset.change));
  });
  document.addEventListener('submit', (event) => {
    const proposal = event.target.dataset.change;
    if (!proposal) return;
    event.preventDefault();
    review({ ...JSON.parse(proposal), ...fields(event.target) });
  });
  const note = load('sessionStorage', noteKey);
  if (note && !byId('publish')) {
    byId('note').textContent = plain(note);
    byId('note').hidden = false;
    keep('sessionStorage', noteKey, null);
  }
  if (byId('text')) startEditor(byId('text'));
  if (byId('publish')) startReview(byId('publish'));
  if (byId('filter')) startFilter(byId('filter'));
})();
