/** A column of a table: its title, what a row shows in it, and whether it is a number, or may be left out on a phone. */
export const column = (title, show, { number = false, spare = false } = {}) => ({
  title,
  show,
  className: [number && 'number', spare && 'spare'].filter(Boolean).join(' '),
})

/** Shows rows in a table. Rows that stay keep their elements, so that a selection and the focus stay too. */
export class Table {
  #body
  #columns
  #rows = new Map()
  #empty

  constructor(id, caption, columns, empty = 'none') {
    const table = document.getElementById(id)
    this.#columns = columns
    if (caption) table.createCaption().textContent = caption
    const head = table.createTHead().insertRow()
    for (const { title, className } of columns) {
      const cell = document.createElement('th')
      cell.scope = 'col'
      cell.textContent = title
      cell.className = className
      head.append(cell)
    }
    this.#body = table.createTBody()
    this.#empty = document.createElement('tr')
    const cell = this.#empty.insertCell()
    cell.colSpan = columns.length
    cell.textContent = empty
  }

  /** @param keyOf names a row: the same name, the same element */
  show(rows, keyOf) {
    const shown = new Set()
    for (const row of rows) {
      const key = keyOf(row)
      if (shown.has(key)) continue
      shown.add(key)
      const element = this.#rows.get(key) ?? this.#add(key)
      this.#columns.forEach(({ show }, at) => {
        const text = String(show(row))
        const cell = element.cells[at]
        if (cell.textContent !== text) cell.textContent = text
      })
    }
    for (const [key, element] of this.#rows) {
      if (shown.has(key)) continue
      element.remove()
      this.#rows.delete(key)
    }
    ;[...shown].forEach((key, at) => {
      const element = this.#rows.get(key)
      if (this.#body.rows[at] !== element) this.#body.insertBefore(element, this.#body.rows[at] ?? null)
    })
    if (shown.size === 0) this.#body.append(this.#empty)
    else this.#empty.remove()
  }

  #add(key) {
    const element = this.#body.insertRow()
    this.#columns.forEach(({ className }, at) => {
      // The first cell names the row.
      const cell = document.createElement(at === 0 ? 'th' : 'td')
      if (at === 0) cell.scope = 'row'
      cell.className = className
      element.append(cell)
    })
    this.#rows.set(key, element)
    return element
  }
}
