// element makes an element. Text is always text: nothing that a flow said becomes markup.
export function element(name, props = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key === 'class') e.className = value;
    else if (key in e && key !== 'list') e[key] = value;
    else e.setAttribute(key, value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}
