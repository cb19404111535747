// Text of a model as blocks: paragraphs and fenced code, with bold and `code` inside a line. Nothing else is marked up,
// and nothing here makes HTML: the view puts each piece into the page as text.

/** `[{type:"text", text} | {type:"code", language, text, open}]`; an unclosed fence (still streaming) is code too. */
export function textBlocks(source) {
  const blocks = [];
  let lines = [];
  let fence = null;
  const flush = () => {
    const text = lines.join("\n");
    if (fence) blocks.push({ type: "code", language: fence.language, text, open: true });
    else if (text.trim()) blocks.push({ type: "text", text: text.replace(/^\n+|\n+$/g, "") });
    lines = [];
  };
  for (const line of source.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/.exec(line);
    if (!fence && mark) {
      flush();
      fence = { mark: mark[1], language: mark[2] };
    } else if (fence && mark && mark[1][0] === fence.mark[0] && mark[1].length >= fence.mark.length && !mark[2]) {
      flush();
      blocks.at(-1).open = false;
      fence = null;
    } else lines.push(line);
  }
  flush();
  return blocks;
}

/** A line of text as `[{type:"plain"|"code"|"bold", text}]`. */
export function inlineSpans(text) {
  const spans = [];
  let at = 0;
  for (const found of text.matchAll(/`([^`\n]+)`|\*\*([^*\n]+)\*\*/g)) {
    if (found.index > at) spans.push({ type: "plain", text: text.slice(at, found.index) });
    spans.push(found[1] !== undefined ? { type: "code", text: found[1] } : { type: "bold", text: found[2] });
    at = found.index + found[0].length;
  }
  if (at < text.length) spans.push({ type: "plain", text: text.slice(at) });
  return spans;
}
