import type { Panel, Row } from './panel.js'

/** Objects of Grafana’s classic JSON model of dashboards. */
type Json = Readonly<Record<string, unknown>>

const datasource = { type: 'prometheus', uid: '${datasource}' }
/** Columns of a dashboard, and the sizes of panels in columns and rows. */
const columns = 24
const sizes = {
  graph: { w: 8, h: 8 },
  stat: { w: 4, h: 4 },
  name: { w: 8, h: 4 },
} as const

/** Returns the panels and rows of a dashboard, each with a number and a place. */
export function placed(rows: readonly Row[]): Json[] {
  let id = 0
  let y = 0
  return rows.flatMap(({ title, isOptional = false, panels }): Json[] => {
    const row = {
      id: ++id,
      type: 'row',
      title,
      collapsed: isOptional,
      gridPos: { x: 0, y, w: columns, h: 1 },
    }
    y += 1
    let x = 0
    let height = 0
    const inside = panels.map((panel) => {
      const { w, h } = sizes[panel.as ?? 'graph']
      if (x + w > columns) {
        x = 0
        y += height
        height = 0
      }
      const place = { x, y, w, h }
      x += w
      height = Math.max(height, h)
      return { id: ++id, ...panelOf(panel), gridPos: place }
    })
    y += height
    return isOptional ? [{ ...row, panels: inside }] : [{ ...row, panels: [] }, ...inside]
  })
}

function panelOf(panel: Panel): Json {
  const { title, description, queries, as = 'graph' } = panel
  const isGraph = as === 'graph'
  return {
    type: isGraph ? 'timeseries' : 'stat',
    ...{ title, description, datasource },
    fieldConfig: { defaults: isGraph ? graphDefaults(panel) : statDefaults(panel), overrides: [] },
    options: isGraph ? graphOptions : statOptions(panel),
    targets: queries.map(({ expr, legend }, index) => ({
      ...{ refId: String.fromCharCode('A'.charCodeAt(0) + index), datasource, editorMode: 'code' },
      ...{ expr, legendFormat: legend },
      ...(isGraph ? { range: true } : { instant: true, range: false }),
    })),
  }
}

const graphDefaults = ({ unit }: Panel): Json => ({
  ...{ unit, min: 0, color: { mode: 'palette-classic' } },
  custom: { drawStyle: 'line', lineWidth: 1, fillOpacity: 10, showPoints: 'never', spanNulls: false },
})

const graphOptions: Json = {
  legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] },
  tooltip: { mode: 'multi', sort: 'desc' },
}

function statDefaults({ unit, thresholds, texts = {} }: Panel): Json {
  const mappings = Object.entries(texts).map(([value, text]) => ({
    type: 'value',
    options: { [value]: { text } },
  }))
  const steps = thresholds
    ? [
        { value: null, color: thresholds.good === 'below' ? 'green' : 'red' },
        { value: thresholds.from, color: thresholds.good === 'below' ? 'red' : 'green' },
      ]
    : [{ value: null, color: 'text' }]
  return { unit, mappings, color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps } }
}

const statOptions = ({ as, thresholds }: Panel): Json => ({
  reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
  ...{ colorMode: thresholds ? 'background' : 'value', graphMode: 'none', justifyMode: 'auto' },
  ...{ orientation: 'auto', textMode: as === 'name' ? 'name' : 'auto' },
})

/** Returns a variable whose values are those of a label, of which one, several or all can be chosen. */
const labelVariable = (name: string, label: string, query: string): Json => ({
  ...{ name, label, type: 'query', datasource, hide: 0, skipUrlSync: false },
  ...{ query: { query, refId: name }, definition: query, regex: '', sort: 1 },
  // Read again when the time range changes: instances that have gone were there then.
  ...{ refresh: 2, multi: true, includeAll: true, options: [] },
  current: { selected: true, text: ['All'], value: ['$__all'] },
})

/** Returns the variables at the top of a dashboard. @param metric one that every instance has */
export const variables = (metric: string): Json[] => [
  {
    ...{ name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', regex: '' },
    ...{ hide: 0, skipUrlSync: false, refresh: 1, multi: false, includeAll: false, options: [] },
    current: {},
  },
  labelVariable('job', 'Job', `label_values(${metric}, job)`),
  labelVariable('instance', 'Instance', `label_values(${metric}{job=~"$job"}, instance)`),
]
