// Line charts as SVG, side by side, for light and dark surroundings alike. No dependency, no script in the picture.

const [width, height] = [380, 260]
const margin = { top: 66, right: 18, bottom: 48, left: 62 }
export const style = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .paper { fill: #ffffff } .title { font-size: 15px; font-weight: 600 } .panel { font-weight: 600 }
  .grid { stroke: #d8dee4 } .axis { stroke: #57606a } .label { fill: #57606a }
  .line { fill: none; stroke-width: 2 }
  .c0 { stroke: #0969da } .c1 { stroke: #cf222e; stroke-dasharray: 6 4 } .c2 { stroke: #1a7f37; stroke-dasharray: 2 3 }
  .dot { stroke-dasharray: none; stroke-width: 5; stroke-linecap: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
    .label { fill: #9da7b3 } .c0 { stroke: #58a6ff } .c1 { stroke: #ff7b72 } .c2 { stroke: #56d364 }
  }`

export const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
export const short = (value) =>
  value >= 1e6
    ? `${+(value / 1e6).toPrecision(3)}M`
    : value >= 1e4
      ? `${value / 1e3}k`
      : `${+value.toPrecision(3)}`

/** Round values from 0 to a maximum, or powers of ten around a range. */
function ticks(values, log) {
  const max = Math.max(...values, log ? 1 : 0) || 1
  if (log) {
    const [from, to] = [Math.min(...values.filter((value) => value > 0), max), max].map(Math.log10)
    const first = Math.floor(from)
    const last = Math.max(first + 1, Math.ceil(to))
    return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index))
  }
  const rough = max / 4
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * unit >= rough) * unit
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, index) => index * step)
}

function scale(values, { log }, from, to) {
  const marks = ticks(values, log)
  const [low, high] = [marks[0], marks.at(-1)].map((mark) => (log ? Math.log10(mark) : mark))
  const at = (value) => {
    const place = log ? Math.log10(Math.max(value, marks[0])) : value
    return +(from + ((place - low) / (high - low)) * (to - from)).toFixed(1)
  }
  return { marks, at }
}

function panel({ title, x, y, series }, left) {
  const points = series.flatMap((each) => each.points).filter(([, value]) => Number.isFinite(value))
  const [bottom, right] = [height - margin.bottom, width - margin.right]
  const across = scale(
    points.map(([value]) => value),
    x,
    margin.left,
    right,
  )
  const up = scale(
    points.map(([, value]) => value),
    y,
    bottom,
    margin.top,
  )
  const grid = up.marks.map(
    (mark) =>
      `<path class="grid" d="M${margin.left} ${up.at(mark)}H${right}"/>` +
      `<text class="label" x="${margin.left - 6}" y="${up.at(mark) + 4}" text-anchor="end">${short(mark)}</text>`,
  )
  const marks = across.marks.map(
    (mark) =>
      `<path class="axis" d="M${across.at(mark)} ${bottom}v4"/>` +
      `<text class="label" x="${across.at(mark)}" y="${bottom + 17}" text-anchor="middle">${short(mark)}</text>`,
  )
  const lines = series.map(({ points, dots = true }, index) => {
    const sound = points.filter(([, value]) => Number.isFinite(value))
    const places = sound.map(([a, b]) => `${across.at(a)} ${up.at(b)}`)
    const spots = dots ? places.map((place) => `<path class="line dot c${index}" d="M${place}h.01"/>`) : []
    return places.length === 0
      ? ''
      : `<path class="line c${index}" d="M${places.join('L')}"/>${spots.join('')}`
  })
  const middle = (margin.top + bottom) / 2
  return [
    `<g transform="translate(${left} 0)">`,
    `<text class="panel" x="${margin.left}" y="${margin.top - 10}">${escape(title)}</text>`,
    ...grid,
    ...marks,
    `<path class="axis" d="M${margin.left} ${margin.top}V${bottom}H${right}" fill="none"/>`,
    `<text class="label" x="${(margin.left + right) / 2}" y="${height - 10}" text-anchor="middle">${escape(x.label)}</text>`,
    `<text class="label" transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">${escape(y.label)}</text>`,
    ...lines,
    '</g>',
  ].join('\n')
}

/**
 * Panels side by side, with one legend: the names of the first panel's series, which the others have too.
 * A panel is {title, x: {label, log}, y: {label, log}, series: [{name, points: [[x, y], …], dots}]}.
 */
export function lineCharts(title, panels) {
  let at = margin.left
  const legend = panels[0].series.map(({ name }, index) => {
    const entry = `<path class="line c${index}" d="M${at} 38h26"/><text x="${at + 32}" y="42">${escape(name)}</text>`
    at += 60 + name.length * 7
    return entry
  })
  const whole = width * panels.length
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${whole} ${height}" width="${whole}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${style}\n</style>`,
    `<rect class="paper" width="${whole}" height="${height}"/>`,
    `<text class="title" x="${margin.left}" y="22">${escape(title)}</text>`,
    ...legend,
    ...panels.map((each, index) => panel(each, index * width)),
    '</svg>\n',
  ].join('\n')
}
