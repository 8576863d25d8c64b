/** A panel in Grafana’s JSON model, as far as tests look at it. */
export interface DashboardPanel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } }
  readonly targets: readonly { readonly refId: string; readonly expr: string }[]
}

interface Container {
  readonly panels?: readonly (DashboardPanel & Container)[]
}

/** Returns the panels of a dashboard, those of collapsed rows included, and without the rows. */
export const dashboardPanels = (dashboard: unknown): DashboardPanel[] =>
  ((dashboard as Container).panels ?? []).flatMap((panel) =>
    panel.type === 'row' ? dashboardPanels(panel) : [panel],
  )
