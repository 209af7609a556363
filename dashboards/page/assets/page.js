// The page: which dashboard, which time and which values stand in the address, so that it can be linked and gone back to.
import { draw } from './draw.js';
import { element } from './element.js';

const $ = id => document.getElementById(id);
const units = { s: 1, m: 60, h: 3600, d: 86400 };
const state = { dashboards: [], annotations: [], current: null, shown: null, values: {}, range: '', since: '', until: '', span: [0, 0], asked: 0 };
let timer = 0;

async function get(path, params) {
  const response = await fetch(path + '?' + new URLSearchParams(params));
  const body = await response.json().catch(() => ({ error: 'the answer was cut off' }));
  if (!response.ok) throw new Error(body.error || response.statusText);
  return body;
}

// Address ------------------------------------------------------------------------------------------------------------

function address(uid, values, keep = {}) {
  const params = new URLSearchParams();
  const { range, since, until } = { ...state, ...keep };
  params.set('range', range);
  if (range === 'from') { params.set('since', since); params.set('until', until); }
  for (const [name, value] of Object.entries(values)) if (value !== undefined) params.set(name, value);
  return '#' + uid + '?' + params;
}

function readAddress() {
  const [uid, query = ''] = location.hash.slice(1).split('?');
  const params = new URLSearchParams(query);
  state.current = state.dashboards.find(d => d.uid === uid) || state.dashboards[0];
  const range = params.get('range');
  if (range && (range === 'from' || /^\d{1,5}[smhd]$/.test(range))) state.range = range;
  state.since = params.get('since') || '';
  state.until = params.get('until') || '';
  state.values = {};
  for (const { name } of state.current.variables) if (params.has(name)) state.values[name] = params.get(name);
}

// choose shows other values, as a step that the browser can take back.
function choose(values = state.values, keep) {
  const next = address(state.current.uid, values, keep);
  if (next === location.hash) ask(); else location.hash = next;
}

function span() {
  if (state.range === 'from') {
    const since = Date.parse(state.since), until = Date.parse(state.until);
    if (since < until) return [since, until];
  }
  const [, n, unit] = /^(\d+)([smhd])$/.exec(state.range) || [0, 1, 'h'];
  const until = Date.now();
  return [until - Math.max(1, n) * units[unit] * 1000, until];
}

// step is how many seconds one point of a chart stands for: a round number, about 100 of them.
function step([since, until]) {
  const round = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800];
  return round.find(s => (until - since) / 1000 / s <= 120) || 30 * 86400;
}

// Pickers ------------------------------------------------------------------------------------------------------------

function showPickers() {
  const focus = document.activeElement?.closest('#variables, #dashboards') ? [document.activeElement.name, document.activeElement.textContent] : null;
  $('dashboards').replaceChildren(...state.dashboards.map(d => element('a', {
    href: address(d.uid, shared(d)), ...(d === state.current ? { 'aria-current': 'page' } : {}),
  }, d.title)));
  const known = [...$('range').options].some(o => o.value === state.range);
  if (!known) $('range').append(element('option', { value: state.range }, 'last ' + state.range));
  $('range').value = state.range;
  $('absolute').hidden = state.range !== 'from';
  if (state.range === 'from') {
    $('since').value = local(Date.parse(state.since));
    $('until').value = local(Date.parse(state.until));
  }
  $('variables').replaceChildren(...state.current.variables.map(picker));
  if (focus) { // whoever works by keys goes on from there
    const [name, text] = focus;
    [...document.querySelectorAll('#variables select, #variables input, #dashboards a')].find(e => name ? e.name === name : e.textContent === text)?.focus();
  }
}

// shared are the chosen values that another dashboard knows too.
function shared(dashboard) {
  return Object.fromEntries(dashboard.variables.map(v => [v.name, state.values[v.name]]).filter(([, value]) => value));
}

const local = ms => Number.isNaN(ms) ? '' : new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);

function picker(variable) {
  const value = state.values[variable.name] ?? variable.default;
  const chosen = v => choose({ ...state.values, [variable.name]: v || undefined });
  let field;
  if (variable.asked || variable.choices) {
    field = element('select', { onchange: () => chosen(field.value) });
    const fill = list => {
      if (!list.some(([v]) => v === value)) list.push([value, value || 'all']);
      field.replaceChildren(...list.map(([v, text]) => element('option', { value: v }, text)));
      field.value = value;
    };
    fill((variable.choices || []).map(v => [v, v]));
    if (variable.asked) question('api/options', { name: variable.name }).then(a => fill(a.rows.map(r => [String(r[0]), String(r[1])])), () => {});
  } else {
    field = element('input', { type: 'search', value, maxLength: 200, onchange: () => chosen(field.value.trim()) });
  }
  field.name = variable.name;
  field.title = variable.doc;
  return element('label', {}, variable.title, field);
}

// Questions ----------------------------------------------------------------------------------------------------------

function question(path, params) {
  const [since, until] = state.span;
  return get(path, { ...state.values, since: Math.floor(since), until: Math.ceil(until), step: step(state.span), ...params });
}

function say(text) { $('status').textContent = text; }

function show() {
  readAddress();
  state.span = span();
  document.title = state.current.title + ' – Sextant';
  showPickers();
  if (state.shown !== state.current) {
    state.shown = state.current;
    $('title').textContent = state.current.title;
    $('doc').textContent = state.current.doc;
    $('rows').replaceChildren(...state.current.rows.flatMap(row => [
      element('h2', {}, row.title),
      element('div', { class: 'grid' }, ...row.panels.map(frame)),
    ]));
  }
  ask();
}

function frame(panel) {
  const help = element('p', { class: 'help', hidden: true, id: 'help-' + panel.id }, panel.doc);
  const more = element('button', {
    type: 'button', class: 'tool', title: panel.doc, 'aria-expanded': 'false', 'aria-controls': help.id, 'aria-label': 'What is ' + panel.title + '?',
    onclick: () => { help.hidden = !help.hidden; more.setAttribute('aria-expanded', String(!help.hidden)); },
  }, '?');
  const tools = element('span');
  const body = element('div', { class: 'body' });
  const box = element('section', { class: 'panel', 'aria-label': panel.title }, element('div', {}, element('h3', {}, panel.title), tools, more), help, body);
  box.style.gridColumn = 'span ' + panel.width;
  box.style.height = panel.height * 30 + 'px';
  box.dataset.panel = panel.id;
  Object.assign(panel, { box, body, tools, chart: null, drawn: null, sorted: { by: -1, up: true } });
  return box;
}

const panels = () => state.current.rows.flatMap(r => r.panels);

// marks asks for what is marked in charts.
async function marks() {
  const lists = await Promise.all(state.annotations.map(async ({ name, colour }) => {
    const { columns, rows } = await question('api/annotations', { name });
    const [from, to] = ['time', 'timeEnd'].map(name => columns.findIndex(c => c.name === name));
    return rows.map(row => ({ since: Date.parse(row[from]), until: Date.parse(row[to]), colour }));
  }));
  return lists.flat();
}

// ask asks for every panel, and draws each as its answer comes.
async function ask() {
  clearTimeout(timer);
  const round = ++state.asked;
  state.span = span();
  say('asking …');
  const marked = marks().catch(() => []);
  let failed = 0;
  await Promise.all(panels().map(async panel => {
    panel.box.classList.add('busy');
    try {
      const answer = await question('api/panel', { dashboard: state.current.uid, panel: panel.id });
      const context = { span: state.span, marks: panel.kind === 'timeseries' ? await marked : [], address };
      if (round !== state.asked) return;
      panel.drawn = () => draw(panel, answer, context);
      panel.drawn();
      panel.box.dataset.state = answer.rows.length ? 'drawn' : 'empty';
    } catch (err) {
      if (round !== state.asked) return;
      failed++;
      panel.drawn = null;
      panel.body.replaceChildren(element('p', { class: 'fault' }, err.message));
      panel.box.dataset.state = 'failed';
    }
    panel.box.classList.remove('busy');
  }));
  if (round !== state.asked) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  say(failed ? `${failed} panels without an answer` : `as of ${new Date(state.span[1]).toLocaleTimeString('en-GB')} ${zone}`);
  document.body.dataset.round = round;
  again(failed ? retry : Number($('refresh').value));
}

const retry = 5; // seconds after which what has failed is asked again: a history that is just being made, for one

// again asks again after some seconds, while somebody looks.
function again(seconds) {
  if (seconds && state.range !== 'from') timer = setTimeout(() => document.hidden ? again(seconds) : ask(), seconds * 1000);
}

function redraw() { for (const panel of panels()) panel.drawn?.(); }

// Theme --------------------------------------------------------------------------------------------------------------

function theme(name) {
  document.documentElement.dataset.theme = name;
  $('theme').textContent = name === 'dark' ? 'Light' : 'Dark';
  $('theme').setAttribute('aria-pressed', String(name === 'dark'));
}

// Start --------------------------------------------------------------------------------------------------------------

theme(localStorage.getItem('theme') || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
$('theme').onclick = () => {
  theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
  localStorage.setItem('theme', document.documentElement.dataset.theme);
  redraw();
};
$('again').onclick = ask;
$('refresh').onchange = ask;
$('controls').onsubmit = event => event.preventDefault();
$('range').onchange = () => {
  const range = $('range').value;
  if (range !== 'from') return choose(state.values, { range });
  const [since, until] = span();
  choose(state.values, { range, since: new Date(since).toISOString(), until: new Date(until).toISOString() });
};
for (const id of ['since', 'until']) {
  $(id).onchange = () => {
    const ms = Date.parse($(id).value);
    if (!Number.isNaN(ms)) choose(state.values, { range: 'from', [id]: new Date(ms).toISOString() });
  };
}
addEventListener('hashchange', show);
let resized = 0;
addEventListener('resize', () => { clearTimeout(resized); resized = setTimeout(() => state.current && redraw(), 200); });

get('api/dashboards', {}).then(answer => {
  Object.assign(state, { dashboards: answer.dashboards, annotations: answer.annotations, range: answer.range });
  $('history').textContent = 'database ' + answer.history;
  show();
}, err => say('the dashboards could not be read: ' + err.message));
