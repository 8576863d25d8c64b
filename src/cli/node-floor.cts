/*
 * Ends the program with one line if Node is too old for the rest of it. Every version of Node must be able to parse this
 * file, so it is CommonJS, imports nothing, and uses the JavaScript of 2009.
 */
;(function () {
  // package.json, engines.
  var needed = [20, 18]
  var given = process.versions.node.split('.')
  var major = Number(given[0])
  if (major > needed[0]! || (major === needed[0] && Number(given[1]) >= needed[1]!)) return
  process.stderr.write(
    'refstream needs Node ' +
      needed.join('.') +
      ' or newer; this is ' +
      process.versions.node +
      ', ' +
      process.execPath +
      '\n',
  )
  process.exit(2)
})()
