// Bars as SVG: a panel per measure, a bar per server. A bar that would make all others invisible is cut, and says so.
import { escape, short, style } from './chart.mjs'

const [width, row, left, room] = [400, 24, 140, 70]
const extra = `
  .bar { fill: #8c959f } .ours { fill: #0969da } .other { fill: #d8dee4 }
  @media (prefers-color-scheme: dark) { .bar { fill: #6e7681 } .ours { fill: #58a6ff } .other { fill: #30363d } }`

/** Up to where bars are drawn: the greatest value, unless it is more than five times the next. */
function scaleEnd(values) {
  const [greatest = 0, next = 0] = values.filter(Number.isFinite).sort((a, b) => b - a)
  return (next > 0 && greatest > 5 * next ? next * 1.4 : greatest) || 1
}

function panel({ title, bars }, x, y) {
  const end = scaleEnd(bars.map(({ value }) => value))
  const lines = bars.map(({ name, value, kind = 'bar' }, index) => {
    const top = y + 30 + index * row
    const cut = value > end
    const length = Number.isFinite(value) ? (Math.min(value, end) / end) * (width - left - room) : 0
    const text = Number.isFinite(value) ? `${cut ? '… ' : ''}${short(value)}` : 'none'
    return (
      `<text x="${x + left - 8}" y="${top + 14}" text-anchor="end">${escape(name)}</text>` +
      `<rect class="${kind}" x="${x + left}" y="${top + 3}" width="${length.toFixed(1)}" height="${row - 9}"/>` +
      `<text class="label" x="${x + left + length + 6}" y="${top + 14}">${text}</text>`
    )
  })
  return [`<text class="panel" x="${x + 20}" y="${y + 18}">${escape(title)}</text>`, ...lines].join('\n')
}

/** Panels, two in a row. A panel is {title, bars: [{name, value, kind}]}; kind is bar, ours or other. */
export function barCharts(title, panels) {
  const deep = Math.max(...panels.map(({ bars }) => bars.length)) * row + 44
  const [across, down] = [width * Math.min(2, panels.length), 36 + deep * Math.ceil(panels.length / 2)]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${across} ${down}" width="${across}" height="${down}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${style}${extra}\n</style>`,
    `<rect class="paper" width="${across}" height="${down}"/>`,
    `<text class="title" x="20" y="24">${escape(title)}</text>`,
    ...panels.map((each, index) => panel(each, (index % 2) * width, 36 + Math.floor(index / 2) * deep)),
    '</svg>\n',
  ].join('\n')
}
