// The page: which dashboard, which time and which values stand in the address, so that it can be linked and gone back to.
import { draw } from './draw.js';
import { element } from './element.js';

const $ = id => document.getElementById(id);
const units = { s: 1, m: 60, h: 3600, d: 86400 };
const state = { dashboards: [], current: null, values: {}, range: '15m', since: '', until: '', asked: 0 };
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
  if (range && (range === 'from' || /^\d+[smhd]$/.test(range))) state.range = range;
  state.since = params.get('since') || '';
  state.until = params.get('until') || '';
  state.values = {};
  for (const [name, value] of params) if (!['range', 'since', 'until'].includes(name)) state.values[name] = value;
}

// go shows what an address says, as a step that the browser can take back.
function go(values = state.values, keep) {
  const next = address(state.current.uid, values, keep);
  if (next === location.hash) ask(); else location.hash = next;
}

function span() {
  if (state.range === 'from') {
    const since = Date.parse(state.since), until = Date.parse(state.until);
    if (since < until) return [since, until];
  }
  const [, n, unit] = /^(\d+)([smhd])$/.exec(state.range) || [0, 15, 'm'];
  const until = Date.now();
  return [until - n * units[unit] * 1000, until];
}

// step is how many seconds one point of a chart stands for: a round number, about 100 of them.
function step([since, until]) {
  const round = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800];
  return round.find(s => (until - since) / 1000 / s <= 120) || 604800;
}

// Pickers ------------------------------------------------------------------------------------------------------------

function showPickers() {
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
}

// shared are the chosen values that another dashboard knows too.
function shared(dashboard) {
  return Object.fromEntries(dashboard.variables.map(v => [v.name, state.values[v.name]]).filter(([, value]) => value));
}

const local = ms => Number.isNaN(ms) ? '' : new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);

function picker(variable) {
  const value = state.values[variable.name] ?? variable.default;
  const chosen = v => go({ ...state.values, [variable.name]: v || undefined });
  let field;
  if (variable.asked || variable.choices) {
    const choices = (variable.choices || [value]).map(v => [v, v || 'all']);
    field = element('select', { onchange: () => chosen(field.value) });
    const fill = list => {
      if (!list.some(([v]) => v === value)) list.push([value, value]);
      field.replaceChildren(...list.map(([v, text]) => element('option', { value: v }, text)));
      field.value = value;
    };
    fill(choices);
    if (variable.asked) question('api/options', { name: variable.name }).then(a => fill(a.rows.map(r => [String(r[0]), String(r[1])])), say);
  } else {
    field = element('input', { type: 'search', value, onchange: () => chosen(field.value.trim()) });
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

function say(text) { $('status').textContent = text instanceof Error ? text.message : text; }

function show() {
  readAddress();
  state.span = span();
  document.title = state.current.title + ' – Sextant';
  $('doc').textContent = state.current.doc;
  showPickers();
  $('rows').replaceChildren(...state.current.rows.flatMap(row => [
    element('h2', {}, row.title),
    element('div', { class: 'grid' }, ...row.panels.map(frame)),
  ]));
  ask();
}

function frame(panel) {
  const help = element('p', { class: 'help', hidden: true, id: 'help-' + panel.id }, panel.doc);
  const more = element('button', {
    type: 'button', class: 'tool', title: panel.doc, 'aria-expanded': 'false', 'aria-controls': help.id, 'aria-label': 'What is ' + panel.title + '?',
    onclick: () => { help.hidden = !help.hidden; more.setAttribute('aria-expanded', String(!help.hidden)); },
  }, 'ⓘ');
  const tools = element('span');
  const body = element('div', { class: 'body' });
  const box = element('section', { class: 'panel', 'aria-label': panel.title }, element('div', {}, element('h3', { title: panel.title }, panel.title), tools, more), help, body);
  box.style.gridColumn = 'span ' + panel.width;
  box.style.height = panel.height * 38 + 'px';
  box.dataset.panel = panel.id;
  panel.box = box;
  panel.body = body;
  panel.tools = tools;
  return box;
}

// ask asks for every panel, and draws each as its answer comes.
async function ask() {
  clearTimeout(timer);
  const round = ++state.asked, began = performance.now();
  state.span = span();
  say('asking …');
  const marks = question('api/annotations', { name: 'Gaps' }).catch(() => ({ columns: [], rows: [] }));
  let failed = 0;
  await Promise.all(state.current.rows.flatMap(r => r.panels).map(async panel => {
    panel.box.classList.add('busy');
    try {
      const answer = await question('api/panel', { dashboard: state.current.uid, panel: panel.id });
      const gaps = panel.kind === 'timeseries' ? await marks : null;
      if (round !== state.asked) return;
      draw(panel, answer, { span: state.span, gaps, address });
      panel.box.dataset.state = answer.rows.length ? 'drawn' : 'empty';
    } catch (err) {
      if (round !== state.asked) return;
      failed++;
      panel.body.replaceChildren(element('p', { class: 'fault' }, err.message));
      panel.box.dataset.state = 'failed';
    }
    panel.box.classList.remove('busy');
  }));
  if (round !== state.asked) return;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  say(failed ? `${failed} panels could not be answered` : `as of ${new Date(state.span[1]).toLocaleTimeString()}, in ${seconds} s`);
  document.body.dataset.round = round;
  const every = Number($('refresh').value);
  if (every && state.range !== 'from') timer = setTimeout(ask, every * 1000);
}

// Theme --------------------------------------------------------------------------------------------------------------

function theme(name) {
  document.documentElement.dataset.theme = name;
  $('theme').textContent = name === 'dark' ? 'Light' : 'Dark';
  $('theme').setAttribute('aria-pressed', String(name === 'dark'));
  localStorage.setItem('theme', name);
}

// Start --------------------------------------------------------------------------------------------------------------

theme(localStorage.getItem('theme') || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
$('theme').onclick = () => { theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'); ask(); };
$('again').onclick = () => ask();
$('refresh').onchange = () => ask();
$('controls').onsubmit = event => event.preventDefault();
$('range').onchange = () => {
  const range = $('range').value;
  if (range !== 'from') return go(state.values, { range });
  const [since, until] = span();
  go(state.values, { range, since: new Date(since).toISOString(), until: new Date(until).toISOString() });
};
for (const id of ['since', 'until']) {
  $(id).onchange = () => {
    const ms = Date.parse($(id).value);
    if (!Number.isNaN(ms)) go(state.values, { range: 'from', [id]: new Date(ms).toISOString() });
  };
}
addEventListener('hashchange', show);
let width = 0;
addEventListener('resize', () => { clearTimeout(width); width = setTimeout(() => state.current && ask(), 300); });

get('api/dashboards', {}).then(answer => {
  state.dashboards = answer.dashboards;
  $('history').textContent = answer.history;
  show();
}, err => say('the dashboards could not be read: ' + err.message));
