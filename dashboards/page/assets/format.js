// How values are written.

export const numeric = type => /^(Nullable\(|LowCardinality\()*(U?Int|Float|Decimal)/.test(type);
export const temporal = type => /^(Nullable\()?Date/.test(type);

const letters = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

function digits(n) {
  const size = Math.abs(n);
  return n.toLocaleString('en', { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2 });
}

function scaled(n) {
  const [by, letter] = letters.find(([by]) => Math.abs(n) >= by * 10) || [1, ''];
  return digits(n / by) + letter;
}

function duration(s) {
  const [unit, name] = [[86400, 'd'], [3600, 'h'], [60, 'min']].find(([unit]) => Math.abs(s) >= unit * 1.5) || (s !== 0 && Math.abs(s) < 1 ? [.001, 'ms'] : [1, 's']);
  return digits(s / unit) + ' ' + name;
}

function bytes(n) {
  const [by, name] = [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']].find(([by]) => n >= by) || [1, 'B'];
  return digits(n / by) + ' ' + name;
}

// time is that of the reader's clock; today goes without saying.
function time(value) {
  const t = new Date(value);
  if (Number.isNaN(t.getTime()) || t.getTime() <= 0) return '–';
  const two = n => String(n).padStart(2, '0');
  const clock = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
  return t.toDateString() === new Date().toDateString() ? clock : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clock}`;
}

// format writes a value of a unit, in the words of the definitions.
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
    case 'bytes': return bytes(n);
    case 'cps': return scaled(n) + ' /s';
    case 'cpm': return scaled(n) + ' /min';
    case 'none': return String(value);
  }
  return scaled(n) + (unit.startsWith('suffix:') ? unit.slice(7) : '');
}
