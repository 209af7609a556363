// How answers are drawn: a number, bars, a table, or lines over time.
import uPlot from './uplot/uPlot.esm.js';
import { element } from './element.js';
import { format, numeric, temporal } from './format.js';

const ways = { stat, bargauge: bars, table, timeseries };

// draw shows an answer in a panel. What is scrolled to, and where the keys go, stays as it was.
export function draw(panel, answer, context) {
  const [top, left] = [panel.body.scrollTop, panel.body.scrollLeft];
  const focus = focusable(panel).indexOf(document.activeElement);
  panel.chart?.destroy();
  panel.chart = null;
  panel.tools.replaceChildren();
  if (answer.rows.length) ways[panel.kind](panel, answer, context);
  else panel.body.replaceChildren(element('p', { class: 'say' }, 'Nothing in this time.'));
  [panel.body.scrollTop, panel.body.scrollLeft] = [top, left];
  if (focus >= 0) focusable(panel)[focus]?.focus({ preventScroll: true });
}

const focusable = panel => [...panel.box.querySelectorAll('.tool, .body, .body button, .body a')];

function colour(levels, value) {
  if (value === null || !levels?.length) return '';
  return 'c-' + (levels.findLast(level => value >= level.from) ?? levels[0]).colour;
}

// A number -----------------------------------------------------------------------------------------------------------

function stat(panel, { columns, rows }) {
  const i = Math.max(0, columns.findIndex(c => numeric(c.type)));
  const value = rows[0][i];
  const tone = value === null ? '' : colour(panel.levels, Number(value)) || 'c-neutral';
  panel.body.replaceChildren(element('div', { class: 'stat ' + tone }, value === null ? 'not known' : format(value, panel.unit)));
}

// Bars ---------------------------------------------------------------------------------------------------------------

function bars(panel, { columns, rows }) {
  const number = columns.findIndex(c => numeric(c.type)), name = columns.findIndex((_, i) => i !== number);
  const most = panel.max || Math.max(...rows.map(r => Number(r[number]) || 0), 1e-9);
  const list = element('dl', { class: 'bars' });
  for (const row of rows) {
    const value = Number(row[number]) || 0, fill = element('i');
    fill.style.width = Math.min(100, 100 * value / most) + '%';
    const text = format(row[name], 'string');
    list.append(element('dt', { title: text }, text), element('div', { class: 'track ' + (colour(panel.levels, value) || 'c-neutral') }, fill), element('dd', {}, format(row[number], panel.unit)));
  }
  panel.body.replaceChildren(list);
  scrollable(panel);
}

// What scrolls can be scrolled by keys.
function scrollable(panel) {
  panel.body.tabIndex = 0;
  panel.body.setAttribute('role', 'region');
  panel.body.setAttribute('aria-label', panel.title);
}

// A table ------------------------------------------------------------------------------------------------------------

const long = 40; // characters from which on a cell has several lines

function table(panel, { columns, rows, cut }, context) {
  const known = new Map((panel.columns || []).map(c => [c.name, c]));
  const shown = columns.map(c => ({
    title: c.name, unit: panel.unit, ...known.get(c.name), name: c.name,
    number: numeric(c.type) && known.get(c.name)?.unit !== 'string', time: temporal(c.type),
  }));
  const sorted = panel.sorted ||= { by: -1, up: true };
  const body = element('tbody');
  const heads = shown.map((c, i) => element('th', { scope: 'col', class: c.number ? 'number' : '' },
    element('button', { type: 'button', title: 'sort by ' + c.title, onclick: () => { sorted.up = sorted.by === i ? !sorted.up : !c.number; sorted.by = i; fill(); } }, c.title)));

  function cell(c, row, i) {
    const value = row[i], text = value === '' && c.empty || format(value, c.unit);
    const td = element('td', { class: [c.number && 'number', c.time && 'time', text.length > long && 'long', colour(c.levels, value === null ? null : Number(value))].filter(Boolean).join(' ') });
    if (c.time && text !== '–') td.title = value;
    if (c.link && value !== '' && value !== null) {
      const values = Object.entries(c.link.vars).map(([variable, column]) => [variable, row[columns.findIndex(x => x.name === column)]]);
      td.append(element('a', { href: context.address(c.link.uid, Object.fromEntries(values)), title: c.link.title }, text));
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
        return sign * (shown[i].number ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true }));
      });
    }
    heads.forEach((th, i) => i === sorted.by ? th.setAttribute('aria-sort', sorted.up ? 'ascending' : 'descending') : th.removeAttribute('aria-sort'));
    body.replaceChildren(...list.map(row => element('tr', {}, ...shown.map((c, i) => cell(c, row, i)))));
  }
  fill();
  panel.body.replaceChildren(element('table', {}, element('thead', {}, element('tr', {}, ...heads)), body));
  panel.tools.prepend(element('span', {}, (cut ? 'the first ' : '') + rows.length + (rows.length === 1 ? ' row' : ' rows')));
  scrollable(panel);
}

// Lines over time ----------------------------------------------------------------------------------------------------

// lines turns rows of (time, names…, numbers…) into one list of times and one of values for each line.
function lines({ columns, rows }, filled) {
  const at = columns.findIndex(c => temporal(c.type));
  const names = columns.flatMap((c, i) => i !== at && !numeric(c.type) ? [i] : []);
  const numbers = columns.flatMap((c, i) => numeric(c.type) ? [i] : []);
  let times = [...new Set(rows.map(r => Date.parse(r[at]) / 1000))].sort((a, b) => a - b);
  if (filled) times = evenly(times);
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
  const list = [...found];
  if (names.length) list.sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })); // or colours would change from answer to answer
  return { times, found: list };
}

// evenly returns the times with those between them at which there was nothing to add up, and so no row.
function evenly(times) {
  const apart = Math.min(...times.slice(1).map((t, i) => t - times[i])), n = (times.at(-1) - times[0]) / apart;
  if (!(apart >= 1 && n <= 2000)) return times;
  return [...new Set([...times, ...Array.from({ length: n }, (_, i) => times[0] + i * apart)])].sort((a, b) => a - b);
}

const mostLines = 30;

function timeseries(panel, answer, context) {
  const other = element('button', {
    type: 'button', class: 'tool', 'aria-pressed': String(!!panel.asTable), title: 'the same numbers as a table',
    onclick: () => { panel.asTable = !panel.asTable; draw(panel, answer, context); },
  }, 'table');
  if (panel.asTable) table({ ...panel, columns: [] }, answer, context);
  else chart(panel, answer, context);
  panel.tools.append(other);
}

function chart(panel, answer, context) {
  let { times, found } = lines(answer, panel.stacked && !panel.live);
  const size = values => values.reduce((sum, v) => sum + Math.abs(v || 0), 0);
  const left = Math.max(0, found.length - mostLines);
  if (left) found = found.toSorted((a, b) => size(b[1]) - size(a[1])).slice(0, mostLines);
  let drawn = found.map(([, values]) => values);
  if (panel.stacked) {
    const sum = times.map(() => 0);
    drawn = drawn.map(values => values.map((v, i) => sum[i] += v || 0));
  }

  const style = getComputedStyle(document.documentElement), css = name => style.getPropertyValue(name).trim();
  const tones = found.map((_, i) => css('--s' + i % 10));
  const latest = ([, values]) => format(values.findLast(v => v !== null) ?? null, panel.unit);
  const legend = element('div', { class: 'legend' }, ...found.map((line, i) => {
    const mark = element('i');
    mark.style.background = tones[i];
    return element('span', {}, mark, line[0] + ' ', element('b', {}, latest(line)));
  }), left ? element('span', {}, `and ${left} smaller ones`) : null);
  const tip = element('div', { class: 'tip', hidden: true });
  const box = element('div', { class: 'chart', role: 'img', 'aria-label': panel.title + ', latest: ' + found.map(line => line[0] + ' ' + latest(line)).join(', ') }, tip);
  panel.body.replaceChildren(box, legend);

  const font = '11px ' + getComputedStyle(document.body).fontFamily;
  const axis = { stroke: css('--soft'), grid: { stroke: css('--line'), width: 1 }, ticks: { stroke: css('--line'), width: 1 }, font };
  panel.chart = new uPlot({
    width: panel.body.clientWidth - 18, height: Math.max(70, panel.body.clientHeight - legend.offsetHeight - 14),
    scales: { x: { range: () => context.span.map(ms => ms / 1000) }, y: { range: (_, low, high) => [Math.min(0, low), panel.max || (high > 0 ? high * 1.05 : 1)] } },
    axes: [{ ...axis, values: clock }, { ...axis, size: wide, values: (_, ticks) => ticks.map(v => format(v, panel.unit)) }],
    series: [{}, ...found.map(([name], i) => ({
      stroke: tones[i], width: panel.stacked ? 1 : 1.5, spanGaps: false, points: { show: times.length < 3, size: 5 },
      ...(name === 'target' ? { dash: [6, 4] } : {}), ...(panel.stacked && i === 0 ? { fill: tones[i] + '66' } : {}),
    }))],
    bands: panel.stacked ? found.slice(1).map((_, i) => ({ series: [i + 2, i + 1], fill: tones[i + 1] + '66' })) : [],
    legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
    hooks: {
      drawAxes: [u => context.marks.forEach(m => mark(u, m, css('--' + m.colour)))],
      setCursor: [u => pointed(u, tip, times, found, tones, panel.unit)],
    },
  }, [times, ...drawn], box);
}

// How times stand below a chart: from which distance in seconds on, and what is added where a year, a day or a minute begins.
const clock = [
  [86400 * 365, '{YYYY}', null, null, null, null, null, null, null, 1],
  [86400 * 28, '{YYYY}-{MM}', null, null, null, null, null, null, null, 1],
  [86400, '{MM}-{DD}', '\n{YYYY}', null, null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{YYYY}-{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', '\n{YYYY}-{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, null, 1],
];

// wide is as wide as the longest number at the axis.
function wide(u, values) {
  u.ctx.save();
  u.ctx.font = u.axes[1].font[0];
  const most = Math.max(30, ...(values || []).map(v => u.ctx.measureText(v).width / devicePixelRatio));
  u.ctx.restore();
  return Math.ceil(most) + 18;
}

// mark shades a stretch of time behind the lines.
function mark(u, { since, until }, tone) {
  const [low, high] = [u.bbox.left, u.bbox.left + u.bbox.width];
  const a = Math.max(low, u.valToPos(since / 1000, 'x', true)), b = Math.min(high, u.valToPos(until / 1000, 'x', true));
  if (b < low || a > high) return;
  u.ctx.save();
  u.ctx.fillStyle = tone;
  u.ctx.globalAlpha = since === until ? .6 : .13;
  u.ctx.fillRect(a, u.bbox.top, Math.max(2, b - a), u.bbox.height);
  u.ctx.restore();
}

// pointed tells the values at the pointer.
function pointed(u, tip, times, found, tones, unit) {
  const i = u.cursor.idx;
  tip.hidden = i === null || i === undefined || u.cursor.left < 0;
  if (tip.hidden) return;
  const here = found.map(([name, values], k) => [name, values[i], k]).filter(([, v]) => v !== null).sort((a, b) => b[1] - a[1]).slice(0, 12);
  tip.replaceChildren(element('div', {}, format(new Date(times[i] * 1000).toISOString(), 'time')), ...here.map(([name, v, k]) => {
    const dot = element('span', {}, '■ ');
    dot.style.color = tones[k];
    return element('div', {}, dot, `${name}: ${format(v, unit)}`);
  }));
  const right = u.cursor.left > u.over.clientWidth / 2;
  tip.style.top = '4px';
  tip.style.left = right ? '' : u.cursor.left + u.bbox.left / devicePixelRatio + 12 + 'px';
  tip.style.right = right ? u.over.clientWidth - u.cursor.left + 16 + 'px' : '';
}
