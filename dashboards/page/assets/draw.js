// How answers are drawn: a number, bars, a table, or lines over time.
import uPlot from './uplot/uPlot.esm.js';
import { element } from './element.js';

export function draw(panel, answer, context) {
  const way = { stat, bargauge: bars, table, timeseries }[panel.kind];
  panel.tools.replaceChildren();
  panel.chart?.destroy();
  panel.chart = null;
  if (!answer.rows.length) {
    panel.body.replaceChildren(element('p', { class: 'say' }, 'Nothing in this time.'));
    return;
  }
  way(panel, answer, context);
}

// Values -------------------------------------------------------------------------------------------------------------

const numeric = type => /^(Nullable\(|LowCardinality\()*(U?Int|Float|Decimal)/.test(type);
const temporal = type => /^(Nullable\()?Date/.test(type);
const steps = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

function digits(n) {
  const size = Math.abs(n);
  return n.toLocaleString('en', { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2 });
}

function scaled(n) {
  const [by, letter] = steps.find(([by]) => Math.abs(n) >= by * 10) || [1, ''];
  return digits(n / by) + letter;
}

function duration(s) {
  for (const [unit, name] of [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]) if (Math.abs(s) >= unit * 1.5 || unit === 1) return digits(s / unit) + ' ' + name;
}

export function format(value, unit) {
  if (value === null || value === undefined) return '–';
  if (Array.isArray(value)) return value.map(v => format(v, unit)).join(', ');
  if (unit === 'time' || typeof value === 'string' && unit !== 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return time(value);
  const n = Number(value);
  if (unit === 'string' || value === '' || Number.isNaN(n)) return typeof value === 'object' ? JSON.stringify(value) : String(value);
  switch (unit) {
    case 'percent': return digits(n) + ' %';
    case 's': return duration(n);
    case 'ms': return n >= 10000 ? duration(n / 1000) : digits(n) + ' ms';
    case 'bytes': {
      const [by, name] = [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']].find(([by]) => n >= by) || [1, 'B'];
      return digits(n / by) + ' ' + name;
    }
    case 'cps': return scaled(n) + ' /s';
    case 'cpm': return scaled(n) + ' /min';
    case 'none': return String(value);
  }
  if (unit.startsWith('suffix:')) return scaled(n) + unit.slice(7);
  return scaled(n);
}

function time(value) {
  const t = new Date(value);
  if (Number.isNaN(t.getTime()) || t.getTime() <= 0) return '–';
  const two = n => String(n).padStart(2, '0');
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

function colour(levels, value) {
  let found = '';
  if (value !== null && levels) for (const level of levels) if (found === '' || value >= level.from) found = level.colour;
  return found ? 'c-' + found : '';
}

// A number -----------------------------------------------------------------------------------------------------------

function stat(panel, { columns, rows }) {
  const i = Math.max(0, columns.findIndex(c => numeric(c.type)));
  const value = rows[0][i];
  const text = value === null ? 'not known' : format(value, panel.unit);
  panel.body.replaceChildren(element('div', { class: 'stat ' + (value === null ? '' : colour(panel.levels, Number(value)) || 'c-neutral') }, text));
}

// Bars ---------------------------------------------------------------------------------------------------------------

function bars(panel, { columns, rows }) {
  const number = columns.findIndex(c => numeric(c.type)), name = columns.findIndex((c, i) => i !== number);
  const most = panel.max || Math.max(...rows.map(r => Number(r[number]) || 0), 1e-9);
  const list = element('dl', { class: 'bars' });
  for (const row of rows) {
    const value = Number(row[number]) || 0, fill = element('i');
    fill.style.width = Math.min(100, 100 * value / most) + '%';
    const text = format(row[name], 'string');
    list.append(element('dt', { title: text }, text), element('div', { class: 'track ' + (colour(panel.levels, value) || 'c-neutral') }, fill), element('dd', {}, format(row[number], panel.unit)));
  }
  panel.body.replaceChildren(list);
}

// A table ------------------------------------------------------------------------------------------------------------

function table(panel, { columns, rows, cut }, context) {
  const known = Object.fromEntries((panel.columns || []).map(c => [c.name, c]));
  const of = columns.map(c => ({ title: c.name.replaceAll('_', ' '), unit: panel.unit, ...known[c.name], name: c.name, number: numeric(c.type) && known[c.name]?.unit !== 'string' }));
  const sorted = panel.sorted || (panel.sorted = { by: -1, up: true });
  const body = element('tbody');
  const heads = of.map((c, i) => element('th', { scope: 'col', class: c.number ? 'number' : '' },
    element('button', { type: 'button', title: c.name, onclick: () => { sorted.up = sorted.by === i ? !sorted.up : !c.number; sorted.by = i; fill(); } }, c.title)));

  function cell(c, row, i) {
    const value = row[i], text = format(value, c.unit);
    const td = element('td', { class: (c.number ? 'number ' : c.unit === 'time' || temporal(columns[i].type) ? 'time ' : '') + (c.levels && value !== null ? colour(c.levels, Number(value)) : '') });
    if (c.link && value !== '' && value !== null) {
      const values = Object.fromEntries(Object.entries(c.link.vars).map(([variable, column]) => [variable, row[columns.findIndex(x => x.name === column)]]).filter(([, v]) => v !== undefined));
      td.append(element('a', { href: context.address(c.link.uid, values), title: c.link.title }, text));
    } else td.textContent = text;
    return td;
  }

  function fill() {
    let list = rows;
    if (sorted.by >= 0) {
      const i = sorted.by, sign = sorted.up ? 1 : -1;
      list = rows.toSorted((a, b) => {
        const x = a[i], y = b[i];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (of[i].number ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true }));
      });
    }
    heads.forEach((th, i) => i === sorted.by ? th.setAttribute('aria-sort', sorted.up ? 'ascending' : 'descending') : th.removeAttribute('aria-sort'));
    body.replaceChildren(...list.map(row => element('tr', {}, ...of.map((c, i) => cell(c, row, i)))));
  }
  fill();
  panel.body.tabIndex = 0; // what scrolls can be scrolled by keys
  panel.body.replaceChildren(element('table', {}, element('thead', {}, element('tr', {}, ...heads)), body), cut ? element('p', { class: 'say' }, 'There are more rows than the page shows.') : null);
}

// Lines over time ----------------------------------------------------------------------------------------------------

// lines turns rows of (time, names…, numbers…) into one list of times and one of values for each line.
function lines({ columns, rows }) {
  const at = columns.findIndex(c => temporal(c.type));
  const names = columns.flatMap((c, i) => i !== at && !numeric(c.type) ? [i] : []);
  const numbers = columns.flatMap((c, i) => numeric(c.type) ? [i] : []);
  const times = [...new Set(rows.map(r => Date.parse(r[at]) / 1000))].sort((a, b) => a - b);
  const index = new Map(times.map((t, i) => [t, i]));
  const found = new Map();
  for (const row of rows) {
    const prefix = names.map(i => row[i]).join(' ');
    for (const i of numbers) {
      const name = names.length && numbers.length === 1 ? prefix || 'none' : [prefix, columns[i].name].filter(Boolean).join(' ');
      if (!found.has(name)) found.set(name, Array(times.length).fill(null));
      if (row[i] !== null) found.get(name)[index.get(Date.parse(row[at]) / 1000)] = Number(row[i]);
    }
  }
  return { times, found: [...found] };
}

const most = 30;

function timeseries(panel, answer, context) {
  let { times, found } = lines(answer);
  const size = values => values.reduce((sum, v) => sum + Math.abs(v || 0), 0);
  const left = Math.max(0, found.length - most);
  if (left) found = found.toSorted((a, b) => size(b[1]) - size(a[1])).slice(0, most);

  const css = getComputedStyle(document.documentElement);
  const tone = i => css.getPropertyValue('--s' + i % 10).trim();
  const soft = css.getPropertyValue('--soft').trim(), rule = css.getPropertyValue('--line').trim(), bad = css.getPropertyValue('--bad').trim();
  let drawn = found.map(([, values]) => values);
  if (panel.stacked) {
    const sum = times.map(() => 0);
    drawn = drawn.map(values => values.map((v, i) => sum[i] += v || 0)).reverse();
  }
  const order = panel.stacked ? found.map((_, i) => found.length - 1 - i) : found.map((_, i) => i);
  const legend = element('div', { class: 'legend' }, ...found.map(([name, values], i) => {
    const mark = element('i');
    mark.style.background = tone(i);
    const last = values.findLast(v => v !== null);
    return element('span', { title: name }, mark, name + ' ', element('b', {}, format(last ?? null, panel.unit)));
  }), left ? element('span', {}, `and ${left} smaller ones`) : null);
  const tip = element('div', { class: 'tip', hidden: true });
  const chart = element('div', { class: 'chart', role: 'img', 'aria-label': panel.title + ': ' + found.map(([name, v]) => name + ' ' + format(v.findLast(x => x !== null) ?? null, panel.unit)).join(', ') }, tip);
  panel.body.replaceChildren(chart, legend);
  const axis = { stroke: soft, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: '11px system-ui, sans-serif' };
  panel.chart = new uPlot({
    width: panel.body.clientWidth - 14, height: Math.max(70, panel.body.clientHeight - legend.offsetHeight - 12),
    scales: { x: { range: () => context.span.map(ms => ms / 1000) }, y: { range: (_, low, high) => [Math.min(0, low), panel.max || (high > 0 ? high * 1.05 : 1)] } },
    axes: [axis, { ...axis, size: 62, values: (_, ticks) => ticks.map(v => format(v, panel.unit)) }],
    series: [{}, ...order.map(i => ({
      stroke: tone(i), width: 1.5, ...(panel.stacked ? { fill: tone(i) + '55' } : {}),
      points: { show: times.length < 3, size: 5 }, spanGaps: false,
    }))],
    legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
    hooks: {
      drawAxes: [u => shade(u, context.gaps, bad)],
      setCursor: [u => pointed(u, tip, times, found, tone, panel.unit)],
    },
  }, [times, ...drawn], chart);

  const asTable = element('button', {
    type: 'button', class: 'tool', 'aria-pressed': String(!!panel.asTable), title: 'the same as a table',
    onclick: () => { panel.asTable = !panel.asTable; draw(panel, answer, context); panel.tools.querySelector('button')?.focus(); },
  }, '▦');
  panel.tools.replaceChildren(asTable);
  if (panel.asTable) {
    panel.chart.destroy();
    panel.chart = null;
    table({ ...panel, columns: [], sorted: panel.sorted }, answer, context);
  }
}

// shade marks the gaps behind the lines.
function shade(u, gaps, tone) {
  if (!gaps?.rows.length) return;
  const from = gaps.columns.findIndex(c => c.name === 'time'), to = gaps.columns.findIndex(c => c.name === 'timeEnd');
  u.ctx.save();
  u.ctx.fillStyle = tone;
  u.ctx.globalAlpha = .13;
  const [low, high] = [u.bbox.left, u.bbox.left + u.bbox.width];
  for (const row of gaps.rows) {
    const a = Math.max(low, u.valToPos(Date.parse(row[from]) / 1000, 'x', true)), b = Math.min(high, u.valToPos(Date.parse(row[to]) / 1000, 'x', true));
    if (b >= low && a <= high) u.ctx.fillRect(a, u.bbox.top, Math.max(2, b - a), u.bbox.height);
  }
  u.ctx.restore();
}

// pointed tells the values at the pointer.
function pointed(u, tip, times, found, tone, unit) {
  const i = u.cursor.idx;
  tip.hidden = i === null || i === undefined || u.cursor.left < 0;
  if (tip.hidden) return;
  const here = found.map(([name, values], k) => [name, values[i], k]).filter(([, v]) => v !== null).sort((a, b) => b[1] - a[1]).slice(0, 12);
  tip.replaceChildren(element('div', {}, time(times[i] * 1000)), ...here.map(([name, v, k]) => {
    const mark = element('span', {}, '■ ');
    mark.style.color = tone(k);
    return element('div', {}, mark, `${name}: ${format(v, unit)}`);
  }));
  const right = u.cursor.left > u.over.clientWidth / 2;
  tip.style.top = '4px';
  tip.style.left = right ? '' : u.cursor.left + u.bbox.left / devicePixelRatio + 12 + 'px';
  tip.style.right = right ? u.over.clientWidth - u.cursor.left + 16 + 'px' : '';
}
